//! A user's conversations.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::history::message;
use super::{Conversation, HAS_OPEN_CONSULTATION, MAXIMUM_PAGE, MAXIMUM_UNREAD, Message};
use crate::{Connection, StoreError, Timestamp};

/// Which page of a user's conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConversationsPage {
    /// Those behind this one: its [`Overview::place`].
    pub before: Option<(i64, i64)>,
}

/// A conversation as one of its members sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// Which it is.
    pub conversation: Conversation,
    /// Its last message; `None` if nothing was written, or if that was deleted.
    pub last_message: Option<Message>,
    /// The id of the last message that was written.
    pub last_id: i64,
    /// Messages of others that the user has not read, at most [`MAXIMUM_UNREAD`].
    pub unread: i64,
    /// Up to which message the user has received it.
    pub delivered_id: i64,
    /// Up to which message the user has read it.
    pub read_id: i64,
    /// In a pair, the same of the other user: delivered, read.
    pub partner: Option<(i64, i64)>,
    /// Its place in the list: time and number.
    pub place: (i64, i64),
}

/// A user's conversations, those first where something was written last, at most `limit` and at most [`MAXIMUM_PAGE`]. With `only_open_at`
/// those alone that have a consultation which is open then.
///
/// # Errors
/// The database cannot be used.
pub async fn conversations(
    db: &mut Connection,
    user: &str,
    page: ConversationsPage,
    limit: u32,
    only_open_at: Option<Timestamp>,
) -> Result<Vec<Overview>, StoreError> {
    let is_open = only_open_at.map_or("$2 = $2", |_| HAS_OPEN_CONSULTATION);
    let select = format!(
        "SELECT m.conversation, m.id, m.sender, m.text, m.sent_at,
               c.room, c.first_user, c.second_user, c.id, c.last_id, c.last_sent_at, mine.delivered_id, mine.read_id,
               (SELECT CAST(COUNT(*) AS BIGINT) FROM (SELECT 1 FROM chat_messages u
                   WHERE u.conversation = c.id AND u.id > mine.read_id AND u.sender <> $1 LIMIT $6) AS unread),
               theirs.delivered_id, theirs.read_id
        FROM chat_members mine
        JOIN chat_conversations c ON c.id = mine.conversation
        LEFT JOIN chat_messages m ON m.conversation = c.id AND m.id = c.last_id
        LEFT JOIN chat_members theirs ON theirs.conversation = c.id AND c.room = '' AND theirs.user_id <> $1
        WHERE mine.user_id = $1 AND (c.last_sent_at < $3 OR (c.last_sent_at = $3 AND c.id < $4)) AND {is_open}
        ORDER BY c.last_sent_at DESC, c.id DESC LIMIT $5"
    );
    let (time, number) = page.before.unwrap_or((i64::MAX, i64::MAX));
    let query = sqlx::query(AssertSqlSafe(select)).bind(user).bind(only_open_at.unwrap_or(Timestamp(0)).0);
    let query = query.bind(time).bind(number);
    let query = query.bind(i64::from(limit.min(MAXIMUM_PAGE))).bind(i64::from(MAXIMUM_UNREAD));
    query.fetch_all(&mut *db).await?.iter().map(overview).collect()
}

fn overview(row: &AnyRow) -> Result<Overview, StoreError> {
    let conversation = Conversation::from_row(row, 5)?;
    let last_message = match row.try_get::<Option<i64>, _>(0)? {
        Some(_) => Some(message(row, conversation.clone())?),
        None => None,
    };
    let partner: (Option<i64>, Option<i64>) = (row.try_get(14)?, row.try_get(15)?);
    Ok(Overview {
        conversation,
        last_message,
        last_id: row.try_get(9)?,
        unread: row.try_get(13)?,
        delivered_id: row.try_get(11)?,
        read_id: row.try_get(12)?,
        partner: partner.0.zip(partner.1),
        place: (row.try_get(10)?, row.try_get(8)?),
    })
}
