//! The history of calls: who called whom, when, and what became of it. Nothing of what was said or shown.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use crate::clinic::Party;
use crate::clinic::audit::{self, AuditEntry};
use crate::{Connection, StoreError, Timestamp};

/// Largest page that [`of_user`] returns.
pub const MAXIMUM_PAGE: u32 = 1_000;
/// Longest reason in characters; what is behind is left out.
pub const LONGEST_REASON: usize = 200;

/// A call, as it was last known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// Its id; of two calls the one that began earlier has the smaller one.
    pub id: String,
    /// The user who called, by the id that the hubs know.
    pub caller: String,
    /// The user who was called.
    pub recipient: String,
    /// When it began to ring.
    pub started: Timestamp,
    /// When it was accepted.
    pub accepted: Option<Timestamp>,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// What became of it.
    pub outcome: CallOutcome,
    /// Why it was rejected, in the recipient's words, in at most 200 characters.
    pub reason: Option<String>,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// It is not over, or nobody could write down what became of it.
    Begun,
    /// It was accepted, and one of the two has ended it.
    Completed,
    /// It was accepted, and a participant lost the connection and did not return.
    Lost,
    /// Nobody answered.
    Missed,
    /// The recipient has refused it.
    Declined,
    /// The recipient was in another call.
    Busy,
    /// It was taken back before it was answered.
    Cancelled,
}

/// Which calls are asked for; `Default` is all.
#[derive(Debug, Clone, Default)]
pub struct CallFilter {
    /// Those with this other participant.
    pub with: Option<String>,
    /// Those that began before the call with this id: the next page.
    pub before: Option<String>,
}

impl CallOutcome {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Completed => "completed",
            Self::Lost => "lost",
            Self::Missed => "missed",
            Self::Declined => "declined",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
        }
    }

    fn from_text(text: &str) -> Self {
        let all = [Self::Completed, Self::Lost, Self::Missed, Self::Declined, Self::Busy, Self::Cancelled];
        all.into_iter().find(|outcome| outcome.as_str() == text).unwrap_or(Self::Begun)
    }
}

/// Writes down a call, and that it was in the audit: `call.started` and `call.ended`, by its caller, about its recipient. What was
/// written of it before stays if that was its end. Returns whether something has changed.
///
/// # Errors
/// The database cannot be used.
pub async fn record(db: &mut Connection, call: &CallRecord) -> Result<bool, StoreError> {
    let upsert = "INSERT INTO calls (id, caller, recipient, started, accepted, ended, outcome, reason)
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                  ON CONFLICT (id) DO UPDATE SET accepted = excluded.accepted, ended = excluded.ended,
                      outcome = excluded.outcome, reason = excluded.reason
                  WHERE calls.ended IS NULL AND excluded.ended IS NOT NULL";
    let query =
        sqlx::query(upsert).bind(&call.id).bind(storable(&call.caller)).bind(storable(&call.recipient));
    let query = query.bind(call.started.0).bind(call.accepted.map(|time| time.0));
    let query = query.bind(call.ended.map(|time| time.0)).bind(call.outcome.as_str());
    let query = query.bind(
        call.reason
            .as_deref()
            .map(|reason| storable(&reason.chars().take(LONGEST_REASON).collect::<String>())),
    );
    if query.execute(&mut *db).await?.rows_affected() == 0 {
        return Ok(false);
    }
    audit::record(db, &entry(call)).await?;
    Ok(true)
}

/// A user's calls, newest first, at most `limit` and at most [`MAXIMUM_PAGE`].
///
/// # Errors
/// The database cannot be used.
pub async fn of_user(
    db: &mut Connection,
    user: &str,
    filter: &CallFilter,
    limit: u32,
) -> Result<Vec<CallRecord>, StoreError> {
    let limit = limit.min(MAXIMUM_PAGE);
    // One statement for both sides would read all of the user's calls for each page.
    let mut found = of_side(db, ["caller", "recipient"], user, filter, limit).await?;
    found.extend(of_side(db, ["recipient", "caller"], user, filter, limit).await?);
    found.sort_unstable_by(|one, other| other.id.cmp(&one.id));
    found.dedup_by(|one, other| one.id == other.id);
    found.truncate(limit as usize);
    Ok(found)
}

/// The calls in which the user has one side.
async fn of_side(
    db: &mut Connection,
    [own, other]: [&str; 2],
    user: &str,
    filter: &CallFilter,
    limit: u32,
) -> Result<Vec<CallRecord>, StoreError> {
    let before = if filter.before.is_some() { "AND id < $4" } else { "" };
    let select = format!(
        "SELECT id, caller, recipient, started, accepted, ended, outcome, reason FROM calls
         WHERE {own} = $1 AND ($2 = '' OR {other} = $2) {before} ORDER BY id DESC LIMIT $3"
    );
    let with = storable(filter.with.as_deref().unwrap_or_default());
    let query = sqlx::query(AssertSqlSafe(select)).bind(storable(user)).bind(with);
    let mut query = query.bind(i64::from(limit));
    if let Some(before) = &filter.before {
        query = query.bind(storable(before));
    }
    query.fetch_all(db).await?.iter().map(read).collect()
}

/// Puts a pseudonym in the place of a user, and removes reasons, in at most `limit` calls. Returns in how many; fewer than
/// `limit`, and there are no more.
///
/// # Errors
/// The database cannot be used.
pub async fn pseudonymize(
    db: &mut Connection,
    user: &str,
    pseudonym: &str,
    limit: u32,
) -> Result<u64, StoreError> {
    let mut changed = 0;
    for column in ["caller", "recipient"] {
        let left = u64::from(limit).saturating_sub(changed);
        let update = format!(
            "UPDATE calls SET reason = NULL, {column} = $2
             WHERE id IN (SELECT id FROM calls WHERE {column} = $1 ORDER BY id LIMIT $3)"
        );
        let query = sqlx::query(AssertSqlSafe(update)).bind(storable(user)).bind(storable(pseudonym));
        let query = query.bind(i64::try_from(left).unwrap_or(i64::MAX));
        changed += query.execute(&mut *db).await?.rows_affected();
    }
    Ok(changed)
}

/// Deletes at most `limit` of the calls that began before a time. Returns how many; fewer than `limit`, and there are no more.
///
/// # Errors
/// The database cannot be used.
pub async fn delete_before(db: &mut Connection, time: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let delete =
        "DELETE FROM calls WHERE id IN (SELECT id FROM calls WHERE started < $1 ORDER BY started LIMIT $2)";
    Ok(sqlx::query(delete).bind(time.0).bind(i64::from(limit)).execute(db).await?.rows_affected())
}

fn entry(call: &CallRecord) -> AuditEntry {
    let (at, action, details) = match call.ended {
        None => (call.started, "call.started", format!("call {}", call.id)),
        Some(ended) => {
            let talked = call.accepted.map(|accepted| (ended.0 - accepted.0) / 10_000_000);
            let talked = talked.map(|seconds| format!(" after {seconds} s")).unwrap_or_default();
            (ended, "call.ended", format!("call {}: {}{talked}", call.id, call.outcome.as_str()))
        }
    };
    let (actor, subject) = (Party::user(&call.caller), Party::user(&call.recipient));
    AuditEntry { at, actor, action, subject, details: Some(details) }
}

fn read(row: &AnyRow) -> Result<CallRecord, StoreError> {
    let time = |column| Ok::<_, StoreError>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp));
    Ok(CallRecord {
        id: row.try_get(0)?,
        caller: row.try_get(1)?,
        recipient: row.try_get(2)?,
        started: Timestamp(row.try_get(3)?),
        accepted: time(4)?,
        ended: time(5)?,
        outcome: CallOutcome::from_text(row.try_get(6)?),
        reason: row.try_get(7)?,
    })
}

/// What both databases take.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
