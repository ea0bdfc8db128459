use std::collections::BTreeSet;
use std::time::Duration;

use hubline::value::DateTime;
use hubline_store::Timestamp;
use hubline_store::keys::Key;
use hubline_store::keys::{AdminScope, LONGEST_NAME};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::names::{NAME, is_name};
use crate::api::{PageSize, Problem, Whole, shown};

/// For how many seconds a key is good: 10 years at most.
pub(super) type Life = Whole<1, 315_360_000>;

/// For how many seconds earlier secrets are good after a rotation: 30 days at most.
type Overlap = Whole<0, 2_592_000>;

/// How long earlier secrets are good after a rotation, in seconds, unless the request says: a day.
const USUAL_OVERLAP: u32 = 86_400;

/// What an admin key may do; each includes those before it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AdminScope)]
pub(super) enum Scope {
    /// Look at mappings, providers, consultations, bans.
    Read,
    /// Change them.
    Write,
    /// Everything: keys, the audit trail, export and erasure of users too.
    Full,
}

impl From<Scope> for AdminScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Read => Self::Read,
            Scope::Write => Self::Write,
            Scope::Full => Self::Full,
        }
    }
}

impl From<AdminScope> for Scope {
    fn from(scope: AdminScope) -> Self {
        match scope {
            AdminScope::Read => Self::Read,
            AdminScope::Write => Self::Write,
            AdminScope::Full => Self::Full,
        }
    }
}

/// What every key has, whatever it opens; no secrets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyFacts {
    /// Its id, which is no secret.
    #[schema(example = "5f0c1e7a9b3d2846")]
    id: String,
    /// What people call it.
    name: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime,
    /// When it ends; null for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<DateTime>,
    /// When it was revoked; null if it was not.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<DateTime>,
    /// When it was used last, to the minute; null if it never was.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<DateTime>,
}

impl From<Key> for KeyFacts {
    fn from(key: Key) -> Self {
        Self {
            id: key.id,
            name: key.name,
            created_at: shown(key.created_at),
            expires_at: key.expires_at.map(shown),
            revoked_at: key.revoked_at.map(shown),
            last_used_at: key.last_used_at.map(shown),
        }
    }
}

/// A key with its new secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WithSecret<K> {
    /// The key.
    pub(super) key: K,
    /// What its holder sends as `Authorization: Bearer`; clients of a hub as `access_token` where they cannot.
    pub(super) secret: String,
    /// Until when earlier secrets are good, after a rotation; null for a new key.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) earlier_secrets_until: Option<DateTime>,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// What the page before has as `next`.
    #[param(nullable = false, required = false, pattern = "^([0-9a-f]{16})?$")]
    pub(super) after: Option<String>,
    /// How many at most.
    #[serde(default)]
    #[param(inline, required = false)]
    pub(super) limit: PageSize,
}

/// How to rotate a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rotation {
    /// For how many seconds the earlier secrets stay good; a day unless given, 0 ends them at once.
    #[schema(inline, default = 86_400)]
    overlap_seconds: Option<Overlap>,
}

impl Rotation {
    pub(super) fn overlap(&self) -> Duration {
        Duration::from_secs(self.overlap_seconds.map_or(USUAL_OVERLAP, Whole::as_u32).into())
    }
}

/// A name that stands in the audit and in logs. It has no colon, which names of settings have.
pub(super) fn checked_name(name: String) -> Result<String, Problem> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b" ._@/-".contains(&byte);
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    match starts_well && name.len() <= LONGEST_NAME && name.bytes().all(is_plain) {
        true => Ok(name),
        false => Err(Problem::field(
            "name",
            format!(
                "1 to {LONGEST_NAME} letters, digits, blanks and ._@/- are needed, beginning with a letter or digit"
            ),
        )),
    }
}

/// Most models that a key names.
const MOST_MODELS: usize = 1_000;

/// The models that a key sees.
pub(super) fn checked_models(models: Option<BTreeSet<String>>) -> Result<Option<BTreeSet<String>>, Problem> {
    let Some(models) = models else { return Ok(None) };
    match models.len() <= MOST_MODELS && models.iter().all(|name| is_name(name)) {
        true => Ok(Some(models)),
        false => {
            Err(Problem::field("models", format!("at most {MOST_MODELS} names are needed, each {NAME}")))
        }
    }
}

/// When something ends that lasts so long.
pub(super) fn end(now: Timestamp, life: Option<Life>) -> Option<Timestamp> {
    life.map(|life| now.after(Duration::from_secs(life.as_u32().into())))
}
