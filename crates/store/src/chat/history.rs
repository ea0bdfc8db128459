//! What was written in a conversation.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::page::fitting;
use super::{Conversation, MAXIMUM_PAGE, Message, MessageKey, find};
use crate::{Connection, StoreError, Timestamp};

/// The messages of a conversation whose ids are below `before`, newest first, at most `limit`, at most [`MAXIMUM_PAGE`] and, beyond the
/// first, at most [`MAXIMUM_PAGE_BYTES`](super::MAXIMUM_PAGE_BYTES) of text. So a page that is not empty may be followed by another one.
/// Who may read them is the caller's to know.
///
/// # Errors
/// The database cannot be used.
pub async fn history(
    db: &mut Connection,
    conversation: &Conversation,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Message>, StoreError> {
    let Some(found) = find(db, conversation).await? else { return Ok(Vec::new()) };
    let before = before.unwrap_or(i64::MAX);
    let select = "SELECT id, CAST(OCTET_LENGTH(text) AS BIGINT) FROM chat_messages
                  WHERE conversation = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    let query = sqlx::query_as(select).bind(found.number).bind(before);
    let sizes: Vec<(i64, i64)> = query.bind(i64::from(limit.min(MAXIMUM_PAGE))).fetch_all(&mut *db).await?;
    let kept = fitting(sizes.iter().map(|(_, size)| *size));
    let Some((lowest, _)) = sizes.iter().take(kept).next_back() else { return Ok(Vec::new()) };
    let select = "SELECT conversation, id, sender, text, sent_at FROM chat_messages
                  WHERE conversation = $1 AND id >= $2 AND id < $3 ORDER BY id DESC";
    let query = sqlx::query(select).bind(found.number).bind(*lowest).bind(before);
    query.fetch_all(&mut *db).await?.iter().map(|row| message(row, conversation.clone())).collect()
}

/// From the columns `conversation, id, sender, text, sent_at`.
pub(super) fn message(row: &AnyRow, conversation: Conversation) -> Result<Message, StoreError> {
    Ok(Message {
        conversation,
        key: MessageKey { conversation: row.try_get(0)?, id: row.try_get(1)? },
        from: row.try_get(2)?,
        text: row.try_get(3)?,
        sent_at: Timestamp(row.try_get(4)?),
    })
}

/// The same with the conversation's columns behind them.
pub(super) fn message_with_conversation(row: &AnyRow) -> Result<Message, StoreError> {
    message(row, Conversation::from_row(row, 5)?)
}
