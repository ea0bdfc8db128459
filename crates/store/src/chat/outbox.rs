//! Messages that are stored and may not have been published.
//!
//! The instance that stores a message publishes it and removes its row here. A row that stays is of an instance that died in between, or
//! that cannot reach the others: any instance may then [`claim`] and publish it. Of several that try, one succeeds. No clock takes part: an
//! instance measures by its own how long it has seen a row with the same claim.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::{Message, MessageKey, history};
use crate::{Connection, StoreError, Timestamp};

/// Rows in one statement at most.
const LARGEST_DELETE: usize = 500;

/// A row of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Unpublished {
    /// The message's time, by which rows are in order.
    pub sent_at: Timestamp,
    /// Which message.
    pub key: MessageKey,
    /// Who publishes it: 0 for the instance that stored it, else the number that an instance gave.
    pub claim: i64,
}

/// The oldest rows, at most `limit`.
///
/// # Errors
/// The database cannot be used.
pub async fn oldest(db: &mut Connection, limit: u32) -> Result<Vec<Unpublished>, StoreError> {
    let select = "SELECT sent_at, conversation, id, claim FROM chat_outbox
                  ORDER BY sent_at, conversation, id LIMIT $1";
    let rows = sqlx::query(select).bind(i64::from(limit)).fetch_all(&mut *db).await?;
    rows.iter().map(unpublished).collect()
}

/// Claims a row, unless it is gone or has another claim than `row` says. Returns the message; `None` if it is not the caller's to publish.
///
/// # Errors
/// The database cannot be used.
pub async fn claim(db: &mut Connection, row: &Unpublished) -> Result<Option<Message>, StoreError> {
    let new_claim = super::new_number()? + 1;
    let update = "UPDATE chat_outbox SET claim = $1 WHERE sent_at = $2 AND conversation = $3 AND id = $4 AND claim = $5";
    let query = sqlx::query(update).bind(new_claim).bind(row.sent_at.0).bind(row.key.conversation);
    if query.bind(row.key.id).bind(row.claim).execute(&mut *db).await?.rows_affected() == 0 {
        return Ok(None);
    }
    let select =
        "SELECT m.conversation, m.id, m.sender, m.text, m.sent_at, c.room, c.first_user, c.second_user
                  FROM chat_messages m JOIN chat_conversations c ON c.id = m.conversation
                  WHERE m.conversation = $1 AND m.id = $2";
    let query = sqlx::query(select).bind(row.key.conversation).bind(row.key.id);
    let found = query.fetch_optional(&mut *db).await?;
    if found.is_none() {
        // Deleted by age before it was published.
        remove(db, &[(row.sent_at, row.key)]).await?;
    }
    found.as_ref().map(history::message_with_conversation).transpose()
}

/// Removes rows whose messages are published.
///
/// # Errors
/// The database cannot be used.
pub async fn remove(db: &mut Connection, rows: &[(Timestamp, MessageKey)]) -> Result<(), StoreError> {
    for rows in rows.chunks(LARGEST_DELETE) {
        let values: Vec<String> = rows
            .iter()
            .map(|(sent_at, key)| format!("({}, {}, {})", sent_at.0, key.conversation, key.id))
            .collect();
        let delete = format!(
            "DELETE FROM chat_outbox WHERE (sent_at, conversation, id) IN (VALUES {})",
            values.join(", ")
        );
        sqlx::query(AssertSqlSafe(delete)).persistent(false).execute(&mut *db).await?;
    }
    Ok(())
}

fn unpublished(row: &AnyRow) -> Result<Unpublished, StoreError> {
    Ok(Unpublished {
        sent_at: Timestamp(row.try_get(0)?),
        key: MessageKey { conversation: row.try_get(1)?, id: row.try_get(2)? },
        claim: row.try_get(3)?,
    })
}
