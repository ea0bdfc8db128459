//! What hubs are called on Redis.

use super::key::Key;
use super::reader::Reader;
use super::report::Problem;
use crate::app::HUB_NAMES;

const HUB_NAME: Key = Key::new(
    "SignalR:HubNames:{hub}",
    "what other servers call a hub on Redis, for instance the CLR name of an ASP.NET Core fleet",
)
.unset("the same");

/// Names on Redis by the names of hubs, `SignalR:HubNames:{hub}`.
///
/// ASP.NET Core uses the hub's full .NET type name, such as `TeleDoctor.Hubs.ChatHub`; servers
/// hear one another only if they agree on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct HubNames(Vec<(String, String)>);

impl HubNames {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let named: Vec<(String, _)> = reader
            .matching(HUB_NAME)
            .into_iter()
            .filter_map(|(captured, setting)| Some((captured.into_iter().next()?, setting)))
            .collect();
        let is_set = |hub: &str| named.iter().any(|(known, _)| known.eq_ignore_ascii_case(hub));
        let keep_theirs: Vec<&str> = HUB_NAMES.into_iter().filter(|hub| !is_set(hub)).collect();
        let mut names: Vec<(String, String)> = Vec::new();
        for (hub, setting) in named {
            let name = setting.value.trim().to_owned();
            let is_another =
                |known: &&(String, String)| !known.0.eq_ignore_ascii_case(&hub) && known.1 == name;
            if names.iter().any(|known| is_another(&known)) || keep_theirs.contains(&&*name) {
                let problem =
                    Problem::Expected("a name that no other hub has: both would get each other's messages");
                reader.mistake(&setting.key, &setting, problem);
            }
            reader.note(&setting.key, name.clone(), setting.source);
            names.push((hub, name));
        }
        Self(names)
    }

    /// The name of a hub on Redis, if one was set; hubs compare without case.
    pub(crate) fn get(&self, hub: &str) -> Option<&str> {
        let mut names = self.0.iter();
        names.find(|(known, _)| known.eq_ignore_ascii_case(hub)).map(|(_, name)| name.as_str())
    }

    /// Hub and name on Redis, as configured.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(hub, name)| (hub.as_str(), name.as_str()))
    }
}
