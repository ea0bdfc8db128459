use std::collections::BTreeSet;
use std::time::Duration;

use hubline_store::Timestamp;
use hubline_store::keys::{AdminScope, LONGEST_NAME};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::names::{NAME, is_name};
use crate::api::Problem;

/// Longest time a key may be good, and its earlier secrets after a rotation, in seconds: 10 years, 30 days.
const LONGEST_LIFE: u32 = 315_360_000;
const LONGEST_OVERLAP: u32 = 2_592_000;

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

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// What the page before has as `next`.
    #[param(nullable = false, required = false, pattern = "^([0-9a-f]{16})?$")]
    pub(super) after: Option<String>,
    /// How many at most.
    #[param(nullable = false, required = false, minimum = 1, maximum = 200, default = 50)]
    pub(super) limit: Option<u32>,
}

/// How to rotate a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rotation {
    /// For how many seconds the earlier secrets stay good; a day unless given, 0 ends them at once.
    #[schema(maximum = 2_592_000, default = 86_400)]
    overlap_seconds: Option<u32>,
}

impl Rotation {
    pub(super) fn overlap(&self) -> Result<Duration, Problem> {
        match self.overlap_seconds.unwrap_or(USUAL_OVERLAP) {
            seconds @ 0..=LONGEST_OVERLAP => Ok(Duration::from_secs(seconds.into())),
            _ => Err(Problem::field(
                "overlapSeconds",
                format!("a number from 0 to {LONGEST_OVERLAP} is needed"),
            )),
        }
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

/// When something ends that lasts so many seconds.
pub(super) fn end(now: Timestamp, seconds: Option<u32>) -> Result<Option<Timestamp>, Problem> {
    match seconds {
        None => Ok(None),
        Some(seconds @ 1..=LONGEST_LIFE) => Ok(Some(super::after(now, Duration::from_secs(seconds.into())))),
        Some(_) => {
            Err(Problem::field("expiresInSeconds", format!("a number from 1 to {LONGEST_LIFE} is needed")))
        }
    }
}
