//! Everything at one version.

use sqlx::{AssertSqlSafe, Row};

use super::{ModelMapping, NavigationError, Provider};
use crate::Connection;

/// Mappings and providers as they were at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StateSnapshot {
    /// The version that they have.
    pub version: i64,
    /// By virtual name, then priority, then id.
    pub mappings: Vec<ModelMapping>,
    /// By name.
    pub providers: Vec<Provider>,
}

/// Reads version, mappings and providers in one statement, so that they belong together without a transaction.
///
/// # Errors
/// The database cannot be used.
pub async fn state(db: &mut Connection) -> Result<StateSnapshot, NavigationError> {
    let columns = super::mapping::COLUMNS;
    let select = format!(
        "SELECT version, 0 AS part, 0 AS id, '' AS virtual_model_name, '' AS provider_model_name, '' AS provider_name,
             0 AS enabled, 0 AS priority, 0 AS row_version, 0 AS created_at, 0 AS updated_at
         FROM navigation_state WHERE id = 1
         UNION ALL SELECT 0, 1, {columns} FROM navigation_mappings
         UNION ALL SELECT 0, 2, 0, name, health, detail, 0, 0, 0, since, 0 FROM navigation_providers"
    );
    let mut state = StateSnapshot::default();
    for row in &sqlx::query(AssertSqlSafe(select)).fetch_all(&mut *db).await? {
        match row.try_get::<i64, _>(1)? {
            1 => state.mappings.push(ModelMapping::from_columns(row, 2)?),
            2 => state.providers.push(provider(row)?),
            _ => state.version = row.try_get(0)?,
        }
    }
    // Not by the database, whose order depends on its language.
    state.mappings.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
    state.providers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(state)
}

fn order(mapping: &ModelMapping) -> (&str, i32, i64) {
    (&mapping.values.virtual_model_name, mapping.values.priority, mapping.id)
}

fn provider(row: &sqlx::any::AnyRow) -> Result<Provider, NavigationError> {
    Ok(Provider {
        name: row.try_get(3)?,
        health: super::Health::from_name(row.try_get(4)?).unwrap_or_default(),
        detail: row.try_get(5)?,
        since: crate::Timestamp(row.try_get(9)?),
    })
}
