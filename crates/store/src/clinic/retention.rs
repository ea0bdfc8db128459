//! Deleting by age, in transactions of a bounded size.

use super::audit;
use crate::{Connection, StoreError, Timestamp};

/// What is kept for a time of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The audit, from when an entry was written.
    Audit,
    /// Consultations, from when they closed; those that are open, or will be, stay.
    Consultations,
}

impl Kind {
    /// What it is called in a log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Consultations => "consultations",
        }
    }
}

/// Deletes at most `limit` of what is older than `time`. Returns how many; fewer than `limit`, and there are no more.
///
/// # Errors
/// The database cannot be used.
pub async fn delete_before(
    db: &mut Connection,
    kind: Kind,
    time: Timestamp,
    limit: u32,
) -> Result<u64, StoreError> {
    let delete = match kind {
        Kind::Audit => return audit::delete_before(db, time, limit).await,
        Kind::Consultations => {
            "DELETE FROM clinic_consultations
             WHERE id IN (SELECT id FROM clinic_consultations WHERE closes < $1 ORDER BY closes, id LIMIT $2)"
        }
    };
    let query = sqlx::query(delete).bind(time.0).bind(i64::from(limit));
    Ok(query.execute(db).await?.rows_affected())
}
