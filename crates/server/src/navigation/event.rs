//! What clients are told of single changes.

use hubline::value::DateTime;
use hubline_store::Timestamp;
use hubline_store::navigation::{Change, ChangeKind, Health, MappingValues};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::view::{MappingView, date_time};

/// A change of the log, as far as clients are told of it.
#[derive(Debug)]
pub(super) enum Event {
    Mapping(MappingEvent),
    Provider(ProviderHealthChanged),
}

/// What happened to a mapping.
#[derive(Debug)]
pub(super) struct MappingEvent {
    id: i64,
    version: i64,
    at: Timestamp,
    before: Option<MappingValues>,
    after: Option<MappingValues>,
    /// Whether it was a part of an import, which is told as a whole.
    pub(super) in_bulk: bool,
}

/// How it looks to who sees only some models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum ChangeType {
    Created,
    Updated,
    Deleted,
}

/// The argument of `ModelMappingChanged` and `ModelUpdate`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MappingChanged {
    mapping: MappingView,
    change_type: ChangeType,
    version: i64,
}

/// The argument of `ProviderHealthChanged`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProviderHealthChanged {
    pub(super) name: String,
    health: Health,
    detail: String,
    previous_health: Health,
    since: DateTime,
    version: i64,
}

/// What the log says of a provider.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Recorded {
    health: Health,
    detail: String,
}

/// The mapping's members, and `changeType` and `version` beside them.
impl Serialize for MappingChanged {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut changed = serializer.serialize_struct("MappingChanged", MappingView::MEMBERS + 2)?;
        self.mapping.serialize_members(&mut changed)?;
        changed.serialize_field("changeType", &self.change_type)?;
        changed.serialize_field("version", &self.version)?;
        changed.end()
    }
}

impl Event {
    /// `None` for what is not told as a single change.
    pub(super) fn of(change: Change) -> Option<Self> {
        match change.kind {
            ChangeKind::Created | ChangeKind::Updated | ChangeKind::Deleted => {
                Some(Self::Mapping(MappingEvent {
                    id: change.mapping_id,
                    version: change.version,
                    at: change.at,
                    before: serde_json::from_str(&change.before).ok(),
                    after: serde_json::from_str(&change.after).ok(),
                    in_bulk: change.in_bulk,
                }))
            }
            ChangeKind::ProviderHealth => {
                let recorded = |text: &str| serde_json::from_str(text).unwrap_or_default();
                let (before, after): (Recorded, Recorded) =
                    (recorded(&change.before), recorded(&change.after));
                Some(Self::Provider(ProviderHealthChanged {
                    name: change.name,
                    health: after.health,
                    detail: after.detail,
                    previous_health: before.health,
                    since: date_time(change.at),
                    version: change.version,
                }))
            }
            ChangeKind::ProviderDeleted => None,
        }
    }
}

impl MappingEvent {
    /// The virtual names that it concerns: two where it has got another one.
    pub(super) fn aliases(&self) -> Vec<&str> {
        let mut aliases: Vec<&str> = [&self.before, &self.after]
            .into_iter()
            .flatten()
            .map(|values| &*values.virtual_model_name)
            .collect();
        aliases.dedup();
        aliases
    }

    /// How it looks to who sees these models: what gets a name that is not seen is gone, what loses one is new.
    pub(super) fn seen_by(&self, sees: impl Fn(&str) -> bool) -> Option<MappingChanged> {
        let seen =
            |values: &Option<MappingValues>| values.clone().filter(|values| sees(&values.virtual_model_name));
        let (values, change_type) = match (seen(&self.before), seen(&self.after)) {
            (None, Some(after)) => (after, ChangeType::Created),
            (Some(_), Some(after)) => (after, ChangeType::Updated),
            (Some(before), None) => (before, ChangeType::Deleted),
            (None, None) => return None,
        };
        let mapping = MappingView::new(self.id, values, self.at);
        Some(MappingChanged { mapping, change_type, version: self.version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str) -> Option<MappingValues> {
        serde_json::from_value(
            serde_json::json!({"virtualModelName": name, "providerModelName": "m", "providerName": "p"}),
        )
        .ok()
    }

    #[test]
    fn another_name_is_an_end_to_who_sees_only_the_first_and_a_beginning_to_who_sees_only_the_second() {
        let event = MappingEvent {
            id: 1,
            version: 2,
            at: Timestamp(0),
            before: values("a"),
            after: values("b"),
            in_bulk: false,
        };
        assert_eq!(event.aliases(), ["a", "b"]);
        let seen = |names: &[&str]| {
            let seen = event.seen_by(|name| names.contains(&name))?;
            let json = serde_json::to_value(&seen).unwrap();
            Some(format!("{} {}", json["changeType"].as_str()?, json["virtualModelName"].as_str()?))
        };
        assert_eq!(seen(&["a", "b"]).unwrap(), "Updated b");
        assert_eq!(seen(&["a"]).unwrap(), "Deleted a");
        assert_eq!(seen(&["b"]).unwrap(), "Created b");
        assert_eq!(seen(&["c"]), None);
    }
}
