//! Deleting by age, in transactions of a bounded size.

use super::audit;
use crate::calls;
use crate::{Connection, StoreError, Timestamp};

/// Conversations that [`conversations_with_messages_before`] looks at.
const LOOKED_AT: i64 = 1_000;

/// What is kept for a time of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The audit, from when an entry was written.
    Audit,
    /// Consultations, from when they closed; those that are open, or will be, stay.
    Consultations,
    /// The history of calls, from when they began.
    Calls,
    /// Messages of this conversation, from when they were sent.
    Messages(i64),
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
        Kind::Calls => return calls::delete_before(db, time, limit).await,
        Kind::Messages(conversation) => return delete_messages(db, conversation, time, limit).await,
        Kind::Consultations => {
            "DELETE FROM clinic_consultations
             WHERE id IN (SELECT id FROM clinic_consultations WHERE closes < $1 ORDER BY closes, id LIMIT $2)"
        }
    };
    let query = sqlx::query(delete).bind(time.0).bind(i64::from(limit));
    Ok(query.execute(db).await?.rows_affected())
}

/// Looks for conversations with messages older than `time`, among the next 1,000 behind the one with this number. Returns them, and
/// behind which one to look on; `None` if there are no more.
///
/// # Errors
/// The database cannot be used.
pub async fn conversations_with_messages_before(
    db: &mut Connection,
    time: Timestamp,
    after: i64,
) -> Result<(Vec<i64>, Option<i64>), StoreError> {
    // Messages of a conversation have one order by id and by time, so its first one tells.
    let select = "SELECT c.id, (SELECT m.sent_at FROM chat_messages m WHERE m.conversation = c.id ORDER BY m.id LIMIT 1)
                  FROM chat_conversations c WHERE c.id > $1 ORDER BY c.id LIMIT $2";
    let found: Vec<(i64, Option<i64>)> =
        sqlx::query_as(select).bind(after).bind(LOOKED_AT).fetch_all(db).await?;
    let next = found.last().map(|(conversation, _)| *conversation);
    let is_old = |first: Option<i64>| first.is_some_and(|sent_at| sent_at < time.0);
    let old = found.into_iter().filter(|(_, first)| is_old(*first)).map(|(conversation, _)| conversation);
    Ok((old.collect(), next))
}

async fn delete_messages(
    db: &mut Connection,
    conversation: i64,
    time: Timestamp,
    limit: u32,
) -> Result<u64, StoreError> {
    let select = "SELECT id, sent_at FROM chat_messages WHERE conversation = $1 ORDER BY id LIMIT $2";
    let query = sqlx::query_as(select).bind(conversation).bind(i64::from(limit));
    let oldest: Vec<(i64, i64)> = query.fetch_all(&mut *db).await?;
    let Some((last, _)) = oldest.iter().take_while(|(_, sent_at)| *sent_at < time.0).last() else {
        return Ok(0);
    };
    let delete = "DELETE FROM chat_messages WHERE conversation = $1 AND id <= $2";
    Ok(sqlx::query(delete).bind(conversation).bind(*last).execute(db).await?.rows_affected())
}
