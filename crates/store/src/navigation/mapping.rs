use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::NavigationError;
use crate::Timestamp;

/// Longest name of a model or provider, in characters.
pub const LONGEST_NAME: usize = 200;

/// What an operator says of a mapping.
///
/// As JSON: `{"virtualModelName", "providerModelName", "providerName", "enabled", "priority"}`, the last two optional.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MappingValues {
    /// The name that clients use: 1 to 200 characters, compared exactly.
    pub virtual_model_name: String,
    /// The provider's name for the model: 1 to 200 characters.
    pub provider_model_name: String,
    /// Who serves it: 1 to 200 characters, compared exactly.
    pub provider_name: String,
    /// Whether it is in use. Default: true.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Which mapping of a virtual name comes first: the one with the lower number. Default: 0.
    #[serde(default)]
    pub priority: i32,
}

/// A mapping from a virtual model name to a provider's model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelMapping {
    /// Its id, from 1 on; no id is given twice.
    pub id: i64,
    /// What it says.
    pub values: MappingValues,
    /// How often it was written, from 1 on: the value of its `ETag`.
    pub row_version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl MappingValues {
    /// Checks the names.
    ///
    /// # Errors
    /// [`NavigationError::Invalid`], with `prefix` before the property's name.
    pub fn check(&self, prefix: &str) -> Result<(), NavigationError> {
        check_name(&format!("{prefix}virtualModelName"), &self.virtual_model_name)?;
        check_name(&format!("{prefix}providerModelName"), &self.provider_model_name)?;
        check_name(&format!("{prefix}providerName"), &self.provider_name)
    }

    pub(super) fn to_json(&self) -> Result<String, NavigationError> {
        serde_json::to_string(self).map_err(|error| NavigationError::invalid("mapping", error.to_string()))
    }
}

/// The columns that [`ModelMapping::from_row`] reads.
pub(super) const COLUMNS: &str = "id, virtual_model_name, provider_model_name, provider_name, enabled, priority, row_version, created_at, updated_at";

impl ModelMapping {
    pub(super) fn from_row(row: &AnyRow) -> Result<Self, NavigationError> {
        Self::from_columns(row, 0)
    }

    /// Reads the columns from the one with this index on.
    pub(super) fn from_columns(row: &AnyRow, first: usize) -> Result<Self, NavigationError> {
        Ok(Self {
            id: row.try_get(first)?,
            values: MappingValues {
                virtual_model_name: row.try_get(first + 1)?,
                provider_model_name: row.try_get(first + 2)?,
                provider_name: row.try_get(first + 3)?,
                enabled: row.try_get::<i64, _>(first + 4)? != 0,
                priority: i32::try_from(row.try_get::<i64, _>(first + 5)?).unwrap_or_default(),
            },
            row_version: row.try_get(first + 6)?,
            created_at: Timestamp(row.try_get(first + 7)?),
            updated_at: Timestamp(row.try_get(first + 8)?),
        })
    }
}

/// 1 to 200 characters, none of them a control character, no white space around them.
pub(super) fn check_name(field: &str, name: &str) -> Result<(), NavigationError> {
    let problem = match name {
        "" => "must not be empty".to_owned(),
        _ if name.chars().nth(LONGEST_NAME).is_some() => {
            format!("must have at most {LONGEST_NAME} characters")
        }
        _ if name.chars().any(char::is_control) => "must not contain control characters".to_owned(),
        _ if name.trim() != name => "must not begin or end with white space".to_owned(),
        _ => return Ok(()),
    };
    Err(NavigationError::invalid(field, problem))
}

fn enabled() -> bool {
    true
}
