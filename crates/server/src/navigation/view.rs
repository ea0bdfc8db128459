//! What clients get to see, in the form that they get.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hubline::value::DateTime;
use hubline_store::Timestamp;
use hubline_store::navigation::{Health, MappingValues, ModelMapping, Provider, StateSnapshot};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::scope::Scope;

/// A mapping in a state, and in an event.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(as = NavigationMapping, rename_all = "camelCase")]
pub(crate) struct MappingView {
    /// The mapping's id.
    id: i64,
    /// The name that clients use.
    virtual_model_name: String,
    /// The provider's name for the model.
    provider_model_name: String,
    /// Who serves it.
    provider_name: String,
    /// Whether it is in use.
    enabled: bool,
    /// Which mapping of a virtual name comes first: the one with the lower number.
    priority: i32,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: DateTime,
}

/// A provider in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = NavigationProvider)]
pub(crate) struct ProviderView {
    /// Its name, as mappings have it.
    name: String,
    /// `Unknown`, `Healthy`, `Degraded` or `Unhealthy`.
    #[schema(value_type = String)]
    health: Health,
    /// More about that; empty if there is nothing to say.
    detail: String,
    /// Since when health and detail are what they are.
    #[schema(value_type = String, format = DateTime)]
    since: DateTime,
}

/// Mappings and providers at one version.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) version: i64,
    mappings: Vec<MappingView>,
    providers: Vec<ProviderView>,
}

/// The state as it is described to those who ask by HTTP.
#[derive(ToSchema)]
#[schema(as = NavigationState)]
#[expect(dead_code, reason = "a description of what `NavigationState` is written as")]
pub(crate) struct NavigationStateSchema {
    /// How often mappings and providers have been changed. It never goes back.
    version: i64,
    /// When the state was sent: Unix seconds with fraction.
    timestamp: f64,
    /// By virtual name, then priority.
    mappings: Vec<MappingView>,
    /// By name.
    providers: Vec<ProviderView>,
}

/// When a state is sent: Unix seconds with fraction, so that a receiver can subtract it from its clock.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub(super) struct UnixSeconds(pub(super) f64);

impl UnixSeconds {
    pub(super) fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64())
    }
}

/// The state as it is sent: `{ version, timestamp, mappings, providers }`.
#[derive(Debug, Clone)]
pub(super) struct NavigationState {
    timestamp: UnixSeconds,
    view: Arc<View>,
}

impl MappingView {
    pub(super) fn new(id: i64, values: MappingValues, updated_at: Timestamp) -> Self {
        let MappingValues { virtual_model_name, provider_model_name, provider_name, enabled, priority } =
            values;
        let updated_at = date_time(updated_at);
        Self { id, virtual_model_name, provider_model_name, provider_name, enabled, priority, updated_at }
    }

    pub(super) const MEMBERS: usize = 7;

    /// Writes its members into a structure that may have others beside them.
    pub(super) fn serialize_members<S: SerializeStruct>(&self, structure: &mut S) -> Result<(), S::Error> {
        structure.serialize_field("id", &self.id)?;
        structure.serialize_field("virtualModelName", &self.virtual_model_name)?;
        structure.serialize_field("providerModelName", &self.provider_model_name)?;
        structure.serialize_field("providerName", &self.provider_name)?;
        structure.serialize_field("enabled", &self.enabled)?;
        structure.serialize_field("priority", &self.priority)?;
        structure.serialize_field("updatedAt", &self.updated_at)
    }
}

impl Serialize for MappingView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut mapping = serializer.serialize_struct("MappingView", Self::MEMBERS)?;
        self.serialize_members(&mut mapping)?;
        mapping.end()
    }
}

impl From<ModelMapping> for MappingView {
    fn from(mapping: ModelMapping) -> Self {
        Self::new(mapping.id, mapping.values, mapping.updated_at)
    }
}

impl From<Provider> for ProviderView {
    fn from(Provider { name, health, detail, since }: Provider) -> Self {
        Self { name, health, detail, since: date_time(since) }
    }
}

impl From<StateSnapshot> for View {
    fn from(StateSnapshot { version, mappings, providers }: StateSnapshot) -> Self {
        Self {
            version,
            mappings: mappings.into_iter().map(Into::into).collect(),
            providers: providers.into_iter().map(Into::into).collect(),
        }
    }
}

impl View {
    /// What a client of this scope sees of it: its models, and the providers of these.
    pub(super) fn within(self: &Arc<Self>, scope: &Scope) -> Arc<Self> {
        if !scope.is_bounded() {
            return Arc::clone(self);
        }
        let mappings = self.mappings.iter().filter(|mapping| scope.sees(&mapping.virtual_model_name));
        let mappings: Vec<_> = mappings.cloned().collect();
        let names: HashSet<&String> = mappings.iter().map(|mapping| &mapping.provider_name).collect();
        let providers = self.providers.iter().filter(|provider| names.contains(&provider.name));
        let providers = providers.cloned().collect();
        Arc::new(Self { version: self.version, mappings, providers })
    }

    /// Whether both say the same, whatever their versions.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.mappings == other.mappings && self.providers == other.providers
    }

    /// Whether a provider of this name is in it.
    pub(super) fn has_provider(&self, name: &str) -> bool {
        self.providers.iter().any(|provider| provider.name == name)
    }
}

impl NavigationState {
    pub(super) fn new(view: Arc<View>, timestamp: UnixSeconds) -> Self {
        Self { timestamp, view }
    }

    pub(super) fn version(&self) -> i64 {
        self.view.version
    }
}

impl Serialize for NavigationState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut state = serializer.serialize_struct("NavigationState", 4)?;
        state.serialize_field("version", &self.view.version)?;
        state.serialize_field("timestamp", &self.timestamp)?;
        state.serialize_field("mappings", &self.view.mappings)?;
        state.serialize_field("providers", &self.view.providers)?;
        state.end()
    }
}

pub(super) fn date_time(time: Timestamp) -> DateTime {
    OffsetDateTime::from(time).into()
}
