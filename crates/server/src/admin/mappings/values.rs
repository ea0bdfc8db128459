use hubline::value::DateTime;
use hubline_store::navigation::{
    Change, ChangeKind, Health, ImportMode, ImportOutcome, MappingValues, ModelMapping, Provider,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::admin::names::Name;
use crate::api::{Object, Whole, shown};

/// What a column of the database holds.
type Priority = Whole<-2_147_483_648, 2_147_483_647>;

/// What a mapping says.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewModelMapping {
    /// The name that clients use, compared exactly.
    virtual_model_name: Name,
    /// The provider's name for the model.
    provider_model_name: Name,
    /// Who serves it, compared exactly. A virtual name has one mapping for each provider.
    provider_name: Name,
    /// Whether it is in use.
    #[serde(default = "yes")]
    #[schema(required = false, default = true)]
    enabled: bool,
    /// Which mapping of a virtual name comes first: the one with the lower number.
    #[serde(default = "first")]
    #[schema(value_type = i32, required = false, default = 0, minimum = -2_147_483_648, maximum = 2_147_483_647)]
    priority: Priority,
    // What a mapping that was read has besides; who sends it back with a change need not take it out.
    #[serde(default, rename = "id")]
    #[schema(ignore)]
    _id: Option<IgnoredAny>,
    #[serde(default, rename = "version")]
    #[schema(ignore)]
    _version: Option<IgnoredAny>,
    #[serde(default, rename = "createdAt")]
    #[schema(ignore)]
    _created_at: Option<IgnoredAny>,
    #[serde(default, rename = "updatedAt")]
    #[schema(ignore)]
    _updated_at: Option<IgnoredAny>,
}

impl From<NewModelMapping> for MappingValues {
    fn from(new: NewModelMapping) -> Self {
        Self {
            virtual_model_name: new.virtual_model_name.into_text(),
            provider_model_name: new.provider_model_name.into_text(),
            provider_name: new.provider_name.into_text(),
            enabled: new.enabled,
            priority: i32::try_from(new.priority.get()).unwrap_or_default(),
        }
    }
}

/// A mapping from a virtual model name to a provider's model.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ModelMapping)]
pub(super) struct ShownMapping {
    /// Its id; none is given twice.
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
    /// How often it was written: the value of its `ETag`.
    version: i64,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: DateTime,
}

impl From<ModelMapping> for ShownMapping {
    fn from(mapping: ModelMapping) -> Self {
        let MappingValues { virtual_model_name, provider_model_name, provider_name, enabled, priority } =
            mapping.values;
        Self {
            id: mapping.id,
            virtual_model_name,
            provider_model_name,
            provider_name,
            enabled,
            priority,
            version: mapping.row_version,
            created_at: shown(mapping.created_at),
            updated_at: shown(mapping.updated_at),
        }
    }
}

/// A part of the list of mappings.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelMappingList {
    /// In the order of their ids.
    pub(super) items: Vec<ShownMapping>,
    /// How many there are, those left out included.
    pub(super) total: i64,
}

/// What becomes of mappings that an import does not name.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ImportMode)]
pub(super) enum Mode {
    /// They stay.
    #[default]
    Merge,
    /// They are deleted.
    Replace,
}

impl From<Mode> for ImportMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Merge => Self::Merge,
            Mode::Replace => Self::Replace,
        }
    }
}

/// Mappings to be imported; an export is one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ModelMappingImport {
    /// Those that a virtual name and a provider have already are changed, others created.
    #[schema(value_type = Vec<NewModelMapping>, max_items = 5_000)]
    pub(super) mappings: Vec<Object<NewModelMapping>>,
    /// What becomes of the others.
    #[serde(default)]
    #[schema(required = false, default = "merge")]
    pub(super) mode: Mode,
}

/// What an import has done.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelMappingImported {
    /// The version of the navigation state afterwards.
    version: i64,
    /// New mappings.
    created: usize,
    /// Mappings that say something else now.
    updated: usize,
    /// Mappings that are gone.
    deleted: usize,
    /// Mappings that said so already.
    unchanged: usize,
}

impl From<ImportOutcome> for ModelMappingImported {
    fn from(outcome: ImportOutcome) -> Self {
        let ImportOutcome { version, created, updated, deleted, unchanged } = outcome;
        Self { version, created, updated, deleted, unchanged }
    }
}

/// All mappings, as an import takes them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelMappingExport {
    /// In the order of their ids.
    #[schema(value_type = Vec<NewModelMapping>)]
    pub(super) mappings: Vec<MappingValues>,
}

/// How a provider is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = Health)]
pub(super) enum HealthWord {
    /// Nobody has said yet.
    Unknown,
    /// It serves.
    Healthy,
    /// It serves, with trouble.
    Degraded,
    /// It does not serve.
    Unhealthy,
}

impl From<HealthWord> for Health {
    fn from(word: HealthWord) -> Self {
        match word {
            HealthWord::Unknown => Self::Unknown,
            HealthWord::Healthy => Self::Healthy,
            HealthWord::Degraded => Self::Degraded,
            HealthWord::Unhealthy => Self::Unhealthy,
        }
    }
}

/// How a provider is, as who watches it says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ProviderHealth {
    /// How it is.
    pub(super) health: HealthWord,
    /// More about that, for people.
    #[serde(default)]
    #[schema(
        required = false,
        default = "",
        max_length = 500,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$"
    )]
    pub(super) detail: String,
}

/// Who serves models.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Provider)]
pub(super) struct ShownProvider {
    /// Its name, as mappings have it.
    pub(super) name: String,
    /// How it is.
    #[schema(value_type = HealthWord)]
    health: Health,
    /// More about that; empty if there is nothing to say.
    detail: String,
    /// Since when it is so.
    #[schema(value_type = String, format = DateTime)]
    since: DateTime,
}

impl From<Provider> for ShownProvider {
    fn from(provider: Provider) -> Self {
        let Provider { name, health, detail, since } = provider;
        Self { name, health, detail, since: shown(since) }
    }
}

/// What happened to a mapping or a provider.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChangeKind)]
pub(super) enum Kind {
    /// A new mapping.
    Created,
    /// A mapping that says something else.
    Updated,
    /// A mapping that is gone.
    Deleted,
    /// A provider whose health is another.
    ProviderHealth,
    /// A provider that is gone.
    ProviderDeleted,
}

/// Who changed what, and how it was before and after.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NavigationChange)]
pub(super) struct ShownChange {
    /// Its id, in the order of changes.
    id: i64,
    /// The version of the navigation state that it made.
    version: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: DateTime,
    /// Who: `admin:` and the name of the key.
    #[schema(example = "admin:deployment")]
    actor: String,
    /// What.
    kind: Kind,
    /// Whether it was a part of an import.
    in_bulk: bool,
    /// The mapping's id; null for a provider.
    mapping_id: Option<i64>,
    /// The mapping's virtual name, or the provider's name.
    name: String,
    /// How it was; null for what is new.
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// How it is; null for what is gone.
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
}

impl From<Change> for ShownChange {
    fn from(change: Change) -> Self {
        Self {
            id: change.id,
            version: change.version,
            at: shown(change.at),
            actor: change.actor,
            kind: match change.kind {
                ChangeKind::Created => Kind::Created,
                ChangeKind::Updated => Kind::Updated,
                ChangeKind::Deleted => Kind::Deleted,
                ChangeKind::ProviderHealth => Kind::ProviderHealth,
                ChangeKind::ProviderDeleted => Kind::ProviderDeleted,
            },
            in_bulk: change.in_bulk,
            mapping_id: Some(change.mapping_id).filter(|id| *id > 0),
            name: change.name,
            before: serde_json::from_str(&change.before).ok(),
            after: serde_json::from_str(&change.after).ok(),
        }
    }
}

fn yes() -> bool {
    true
}

fn first() -> Priority {
    Whole::nearest(0)
}
