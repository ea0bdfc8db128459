//! Users of whom text and name are removed.
//!
//! An erasure takes many transactions, each of a bounded size. It is a row until it is complete, so that another instance goes on
//! where one has died. What is kept of a user afterwards names the user no more than the ids of messages do; which user a
//! pseudonym stands for is kept nowhere.

mod messages;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Party, audit};
use crate::{Connection, StoreError, Timestamp, calls};

/// Rows that one [`step`] changes at most.
const BATCH: u32 = 500;

/// A user who is being erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The user, by the id that the hubs know.
    pub user: String,
    /// What the audit calls the user from now on.
    pub pseudonym: String,
    /// Who asked for it, as [`Party`] writes it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Begins to erase a user; if that has begun already, returns what was begun.
///
/// # Errors
/// The database cannot be used.
pub async fn begin(db: &mut Connection, user: &str, by: &Party) -> Result<Erasure, StoreError> {
    let mut random = [0; 8];
    getrandom::getrandom(&mut random).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let pseudonym = format!("erased-{:016x}", u64::from_be_bytes(random));
    let insert =
        "INSERT INTO clinic_erasures (user_id, pseudonym, requested_by, requested_at) VALUES ($1, $2, $3, $4)
                  ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id
                  RETURNING user_id, pseudonym, requested_by, requested_at";
    let query = sqlx::query(insert).bind(user).bind(pseudonym).bind(by.as_str()).bind(Timestamp::now().0);
    erasure(&query.fetch_one(db).await?)
}

/// Erasures that are not complete, the oldest first, at most `limit`.
///
/// # Errors
/// The database cannot be used.
pub async fn pending(db: &mut Connection, limit: u32) -> Result<Vec<Erasure>, StoreError> {
    let select = "SELECT user_id, pseudonym, requested_by, requested_at FROM clinic_erasures
                  ORDER BY requested_at, user_id LIMIT $1";
    let rows = sqlx::query(select).bind(i64::from(limit)).fetch_all(db).await?;
    rows.iter().map(erasure).collect()
}

/// What an erasure has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The first: the pseudonym is put into the audit.
    Audit,
    /// And among the participants of consultations.
    Participants,
    /// And in the history of calls, without the reasons of rejections.
    Calls,
    /// Texts are removed, and the pseudonym is put in the place of their sender.
    Messages,
    /// The user leaves rooms, and the pseudonym is put into conversations with others.
    Conversations,
    /// Nothing is left to be done but to [`complete`] it.
    Done,
}

impl Stage {
    /// Where it begins.
    pub const FIRST: Self = Self::Audit;
}

/// Does a part of an erasure, which changes 500 rows at most. Returns what comes next, and how many rows were
/// changed. Done again from the beginning, after an instance has died, it finds what was left.
///
/// # Errors
/// The database cannot be used.
pub async fn step(db: &mut Connection, erasure: &Erasure, stage: Stage) -> Result<(Stage, u64), StoreError> {
    let then = |next: Stage, changed: u64| (if changed < BATCH.into() { next } else { stage }, changed);
    match stage {
        Stage::Audit => {
            let (user, pseudonym) = (Party::user(&erasure.user), Party::user(&erasure.pseudonym));
            let changed = audit::pseudonymize(db, &user, &pseudonym, BATCH).await?;
            Ok(then(Stage::Participants, changed))
        }
        Stage::Participants => Ok(then(Stage::Calls, pseudonymize_participant(db, erasure).await?)),
        Stage::Calls => {
            let changed = calls::pseudonymize(db, &erasure.user, &erasure.pseudonym, BATCH).await?;
            Ok(then(Stage::Messages, changed))
        }
        Stage::Messages => Ok(then(Stage::Conversations, messages::erase(db, erasure, BATCH).await?)),
        Stage::Conversations => Ok(then(Stage::Done, messages::leave(db, erasure, BATCH).await?)),
        Stage::Done => Ok((Stage::Done, 0)),
    }
}

async fn pseudonymize_participant(db: &mut Connection, erasure: &Erasure) -> Result<u64, StoreError> {
    let update = "UPDATE clinic_participants SET user_id = $1
                  WHERE user_id = $2 AND consultation_id IN
                      (SELECT consultation_id FROM clinic_participants WHERE user_id = $2 ORDER BY consultation_id LIMIT $3)";
    let query = sqlx::query(update).bind(&erasure.pseudonym).bind(&erasure.user).bind(i64::from(BATCH));
    Ok(query.execute(db).await?.rows_affected())
}

/// Completes an erasure: why the user was kept out is forgotten, and that there was something to erase.
///
/// # Errors
/// The database cannot be used.
pub async fn complete(db: &mut Connection, erasure: &Erasure) -> Result<(), StoreError> {
    let update = "UPDATE clinic_bans SET reason = '' WHERE user_id = $1";
    sqlx::query(update).bind(&erasure.user).execute(&mut *db).await?;
    let delete = "DELETE FROM clinic_erasures WHERE user_id = $1";
    sqlx::query(delete).bind(&erasure.user).execute(db).await?;
    Ok(())
}

fn erasure(row: &AnyRow) -> Result<Erasure, StoreError> {
    Ok(Erasure {
        user: row.try_get(0)?,
        pseudonym: row.try_get(1)?,
        by: row.try_get(2)?,
        at: Timestamp(row.try_get(3)?),
    })
}
