//! Who is kept out, until when.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::Party;
use crate::{Connection, StoreError, Timestamp};

/// How many users may be kept out at once: every instance holds them in memory.
pub const MAXIMUM: u32 = 100_000;

/// A user who is kept out for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// The user, by the id that the hubs know.
    pub user: String,
    /// From when on the user may come again.
    pub until: Timestamp,
    /// Why, for those who read the list; the user is not told.
    pub reason: String,
    /// Who keeps the user out, as [`Party`] writes it.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
}

/// What became of a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Banned {
    /// It is in force, instead of what there was before for this user.
    Yes,
    /// [`MAXIMUM`] users are kept out already.
    TooMany,
}

/// Keeps a user out, or changes until when and why.
///
/// # Errors
/// The database cannot be used.
pub async fn put(db: &mut Connection, ban: &Ban) -> Result<Banned, StoreError> {
    let upsert =
        "INSERT INTO clinic_bans (user_id, until, reason, banned_by, banned_at) VALUES ($1, $2, $3, $4, $5)
                  ON CONFLICT (user_id) DO UPDATE SET until = excluded.until, reason = excluded.reason,
                      banned_by = excluded.banned_by, banned_at = excluded.banned_at";
    let active = "SELECT CAST(COUNT(*) AS BIGINT) FROM clinic_bans WHERE until > $1 AND user_id <> $2";
    let others: i64 = sqlx::query_scalar(active).bind(ban.at.0).bind(&ban.user).fetch_one(&mut *db).await?;
    if others >= i64::from(MAXIMUM) {
        return Ok(Banned::TooMany);
    }
    let query = sqlx::query(upsert).bind(&ban.user).bind(ban.until.0).bind(&ban.reason);
    query.bind(&ban.by).bind(ban.at.0).execute(&mut *db).await?;
    Ok(Banned::Yes)
}

/// Keeps a user out whom another database keeps out, of a machine with a database of its own. Nothing changes if this one does so until the
/// same time: it may be the same database.
///
/// # Errors
/// The database cannot be used.
pub async fn put_announced(db: &mut Connection, user: &str, until: Timestamp) -> Result<Banned, StoreError> {
    if get(db, user, Timestamp::now()).await?.is_some_and(|known| known.until == until) {
        return Ok(Banned::Yes);
    }
    put(db, &Ban::now(user, until, "announced by another machine", &Party::server())).await
}

/// Lets a user in again. Returns whether the user was kept out.
///
/// # Errors
/// The database cannot be used.
pub async fn lift(db: &mut Connection, user: &str, now: Timestamp) -> Result<bool, StoreError> {
    let delete = "DELETE FROM clinic_bans WHERE user_id = $1 RETURNING until";
    let until: Option<i64> = sqlx::query_scalar(delete).bind(user).fetch_optional(&mut *db).await?;
    Ok(until.is_some_and(|until| until > now.0))
}

/// The ban of a user that is in force.
///
/// # Errors
/// The database cannot be used.
pub async fn get(db: &mut Connection, user: &str, now: Timestamp) -> Result<Option<Ban>, StoreError> {
    let select = "SELECT user_id, until, reason, banned_by, banned_at FROM clinic_bans WHERE user_id = $1 AND until > $2";
    let row = sqlx::query(select).bind(user).bind(now.0).fetch_optional(&mut *db).await?;
    row.as_ref().map(ban).transpose()
}

/// The bans that are in force, by user, at most `limit`, those behind the user `after`.
///
/// # Errors
/// The database cannot be used.
pub async fn list(
    db: &mut Connection,
    now: Timestamp,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Ban>, StoreError> {
    let select = "SELECT user_id, until, reason, banned_by, banned_at FROM clinic_bans
                  WHERE until > $1 AND user_id > $2 ORDER BY user_id LIMIT $3";
    let query = sqlx::query(select).bind(now.0).bind(after.unwrap_or_default()).bind(i64::from(limit));
    query.fetch_all(&mut *db).await?.iter().map(ban).collect()
}

/// Deletes at most `limit` bans that ended before `time`. Returns how many.
///
/// # Errors
/// The database cannot be used.
pub async fn delete_ended(db: &mut Connection, time: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let delete = "DELETE FROM clinic_bans
                  WHERE user_id IN (SELECT user_id FROM clinic_bans WHERE until < $1 ORDER BY until LIMIT $2)";
    let query = sqlx::query(delete).bind(time.0).bind(i64::from(limit));
    Ok(query.execute(&mut *db).await?.rows_affected())
}

impl Ban {
    /// A ban that begins now.
    pub fn now(user: &str, until: Timestamp, reason: &str, by: &Party) -> Self {
        Self {
            user: user.to_owned(),
            until,
            reason: reason.to_owned(),
            by: by.as_str().to_owned(),
            at: Timestamp::now(),
        }
    }
}

fn ban(row: &AnyRow) -> Result<Ban, StoreError> {
    Ok(Ban {
        user: row.try_get(0)?,
        until: Timestamp(row.try_get(1)?),
        reason: row.try_get(2)?,
        by: row.try_get(3)?,
        at: Timestamp(row.try_get(4)?),
    })
}
