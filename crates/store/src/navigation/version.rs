//! The row that counts changes.

use sqlx::Row;

use super::NavigationError;
use crate::Connection;

/// The version of mappings and providers: the number of changes there have been, 0 in an empty database.
///
/// # Errors
/// The database cannot be used.
pub async fn version(db: &mut Connection) -> Result<i64, NavigationError> {
    let select = "SELECT version FROM navigation_state WHERE id = 1";
    Ok(sqlx::query_scalar(select).fetch_one(&mut *db).await?)
}

/// What a change was given.
pub(super) struct Step {
    /// The version that the change makes.
    pub(super) version: i64,
    /// The id of the first new mapping.
    pub(super) first_mapping: i64,
    /// The id of the first entry of the log.
    pub(super) first_change: i64,
}

/// Waits for its turn: no other change happens until this transaction has ended.
pub(super) async fn lock(db: &mut Connection) -> Result<(), NavigationError> {
    let update = "UPDATE navigation_state SET version = version WHERE id = 1";
    sqlx::query(update).execute(&mut *db).await?;
    Ok(())
}

/// Raises the version, and gives out ids for new mappings and for entries of the log.
pub(super) async fn step(
    db: &mut Connection,
    mappings: usize,
    changes: usize,
) -> Result<Step, NavigationError> {
    let update = "UPDATE navigation_state
                  SET version = version + 1, last_mapping = last_mapping + $1, last_change = last_change + $2
                  WHERE id = 1 RETURNING version, last_mapping, last_change";
    let [mappings, changes] = [mappings, changes].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let row = sqlx::query(update).bind(mappings).bind(changes).fetch_one(&mut *db).await?;
    let (last_mapping, last_change): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
    Ok(Step {
        version: row.try_get(0)?,
        first_mapping: last_mapping - mappings + 1,
        first_change: last_change - changes + 1,
    })
}
