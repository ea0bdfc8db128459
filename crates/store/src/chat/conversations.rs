//! A user's conversations.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::page::{Range, fitting, messages_in};
use super::{Conversation, HAS_OPEN_CONSULTATION, MAXIMUM_PAGE, MAXIMUM_UNREAD, Message};
use crate::{Connection, StoreError, Timestamp};

/// Unread messages are counted among so many of the newest, since a user's own ones are not skipped by an index.
const UNREAD_AMONG: i64 = 2_000;

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
    /// Messages of others that the user has not read, at most [`MAXIMUM_UNREAD`], among the newest 2,000.
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

/// A user's conversations, those first where something was written last, at most `limit`, at most [`MAXIMUM_PAGE`] and,
/// beyond the first, at most [`MAXIMUM_PAGE_BYTES`](super::MAXIMUM_PAGE_BYTES) of last messages. With `only_open_at` those alone that have a
/// consultation which is open then.
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
    // What is looked up for a conversation is so for those of the page alone. Which are open is asked of the user's own: else PostgreSQL may
    // ask it of all that there are.
    let select = format!(
        "WITH own AS MATERIALIZED (
             SELECT k.room, k.first_user, k.second_user, k.id, k.last_id, k.last_sent_at, mine.delivered_id, mine.read_id
             FROM chat_members mine JOIN chat_conversations k ON k.id = mine.conversation
             WHERE mine.user_id = $1 AND (k.last_sent_at < $3 OR (k.last_sent_at = $3 AND k.id < $4)))
         SELECT c.room, c.first_user, c.second_user, c.id, c.last_id, c.last_sent_at, c.delivered_id, c.read_id,
             (SELECT CAST(COUNT(*) AS BIGINT) FROM (
                 SELECT 1 FROM (SELECT u.sender FROM chat_messages u WHERE u.conversation = c.id AND u.id > c.read_id
                                ORDER BY u.id DESC LIMIT $7) AS newest
                 WHERE newest.sender <> $1 LIMIT $6) AS unread),
             theirs.delivered_id, theirs.read_id, CAST(OCTET_LENGTH(m.text) AS BIGINT)
         FROM (SELECT * FROM own AS c WHERE {is_open} ORDER BY c.last_sent_at DESC, c.id DESC LIMIT $5) AS c
         LEFT JOIN chat_messages m ON m.conversation = c.id AND m.id = c.last_id
         LEFT JOIN chat_members theirs
             ON theirs.conversation = CASE WHEN c.room = '' THEN c.id END AND theirs.user_id <> $1
         ORDER BY c.last_sent_at DESC, c.id DESC"
    );
    let (time, number) = page.before.unwrap_or((i64::MAX, i64::MAX));
    let query = sqlx::query(AssertSqlSafe(select)).bind(user).bind(only_open_at.unwrap_or(Timestamp(0)).0);
    let query = query.bind(time).bind(number);
    let query = query.bind(i64::from(limit.min(MAXIMUM_PAGE))).bind(i64::from(MAXIMUM_UNREAD));
    let rows = query.bind(UNREAD_AMONG).fetch_all(&mut *db).await?;
    let mut page = rows.iter().map(overview).collect::<Result<Vec<_>, StoreError>>()?;
    page.truncate(fitting(page.iter().map(|(_, size)| size.unwrap_or(0))));
    with_last_messages(db, page).await
}

/// A conversation, and the size of its last message, if that is there.
fn overview(row: &AnyRow) -> Result<(Overview, Option<i64>), StoreError> {
    let partner: (Option<i64>, Option<i64>) = (row.try_get(9)?, row.try_get(10)?);
    let overview = Overview {
        conversation: Conversation::from_row(row, 0)?,
        last_message: None,
        last_id: row.try_get(4)?,
        unread: row.try_get(8)?,
        delivered_id: row.try_get(6)?,
        read_id: row.try_get(7)?,
        partner: partner.0.zip(partner.1),
        place: (row.try_get(5)?, row.try_get(3)?),
    };
    Ok((overview, row.try_get(11)?))
}

async fn with_last_messages(
    db: &mut Connection,
    page: Vec<(Overview, Option<i64>)>,
) -> Result<Vec<Overview>, StoreError> {
    let is_there = |(_, size): &&(Overview, Option<i64>)| size.is_some();
    let one = |(overview, _): &(Overview, _)| Range::one(overview.place.1, overview.last_id);
    let ranges: Vec<Range> = page.iter().filter(is_there).map(one).collect();
    let conversations: HashMap<i64, Conversation> =
        page.iter().map(|(overview, _)| (overview.place.1, overview.conversation.clone())).collect();
    let messages = messages_in(db, &ranges, |number| conversations.get(&number)).await?;
    let mut messages: HashMap<i64, Message> =
        messages.into_iter().map(|message| (message.key.conversation, message)).collect();
    let complete = |(overview, _): (Overview, _)| {
        let last_message = messages.remove(&overview.place.1);
        Overview { last_message, ..overview }
    };
    Ok(page.into_iter().map(complete).collect())
}
