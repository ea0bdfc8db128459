//! What is stored of a user, in pages. The other parts are [`crate::chat::conversations`], [`consultations::list`](super::consultations::list)
//! and [`audit::list`](super::audit::list).

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use crate::chat::page::{Range, Sized, fitting, messages_in};
use crate::chat::{Conversation, Message};
use crate::{Connection, StoreError};

/// Messages on a page at most; [`MAXIMUM_PAGE_BYTES`](crate::chat::MAXIMUM_PAGE_BYTES) bounds it too.
const PAGE: i64 = 500;

/// Where an export of messages is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessagesPlace {
    /// In conversations with one other user, behind this conversation's number and id.
    Pairs(i64, i64),
    /// In rooms, behind the message that its sender has given this name.
    Named(String),
    /// In rooms, where the sender has given no name: behind this conversation's number and id.
    Unnamed(i64, i64),
}

impl MessagesPlace {
    /// Where it begins.
    pub const FIRST: Self = Self::Pairs(i64::MIN, 0);
}

/// A page of a user's messages: all that were exchanged with one other user, and in rooms those that the user has written. Returns them,
/// and where to go on, even if the page is empty; `None` if there are no more.
///
/// # Errors
/// The database cannot be used.
pub async fn messages(
    db: &mut Connection,
    user: &str,
    place: MessagesPlace,
) -> Result<(Vec<Message>, Option<MessagesPlace>), StoreError> {
    match place {
        MessagesPlace::Pairs(conversation, id) => in_pair(db, user, conversation, id).await,
        MessagesPlace::Named(behind) => named(db, user, behind).await,
        MessagesPlace::Unnamed(conversation, id) => unnamed(db, user, conversation, id).await,
    }
}

/// Messages of the next conversation with one other user.
async fn in_pair(
    db: &mut Connection,
    user: &str,
    conversation: i64,
    id: i64,
) -> Result<(Vec<Message>, Option<MessagesPlace>), StoreError> {
    let select = "SELECT c.room, c.first_user, c.second_user, c.id FROM chat_members m
                  JOIN chat_conversations c ON c.id = m.conversation
                  WHERE m.user_id = $1 AND m.conversation >= $2 AND c.room = '' ORDER BY m.conversation LIMIT 1";
    let Some(row) = sqlx::query(select).bind(user).bind(conversation).fetch_optional(&mut *db).await? else {
        return Ok((Vec::new(), Some(MessagesPlace::Named(String::new()))));
    };
    let number: i64 = row.try_get(3)?;
    let behind = if number == conversation { id } else { 0 };
    let select = "SELECT conversation, id, CAST(OCTET_LENGTH(text) AS BIGINT) FROM chat_messages
                  WHERE conversation = $1 AND id > $2 ORDER BY id LIMIT $3";
    let found = sqlx::query(select).bind(number).bind(behind).bind(PAGE).fetch_all(&mut *db).await?;
    let (found, is_last) = page(&found)?;
    let Some(last) = found.last() else {
        return Ok((Vec::new(), Some(MessagesPlace::Pairs(number + 1, 0))));
    };
    let conversation = Conversation::from_row(&row, 0)?;
    let range = Range { number, behind, up_to: last.id };
    let messages = messages_in(db, &[range], |_| Some(&conversation)).await?;
    let next =
        if is_last { MessagesPlace::Pairs(number + 1, 0) } else { MessagesPlace::Pairs(number, last.id) };
    Ok((messages, Some(next)))
}

async fn named(
    db: &mut Connection,
    user: &str,
    behind: String,
) -> Result<(Vec<Message>, Option<MessagesPlace>), StoreError> {
    let select =
        "SELECT conversation, id, CAST(OCTET_LENGTH(text) AS BIGINT), client_message_id FROM chat_messages
                  WHERE sender = $1 AND client_message_id > $2 ORDER BY client_message_id LIMIT $3";
    let rows = sqlx::query(select).bind(user).bind(behind).bind(PAGE).fetch_all(&mut *db).await?;
    let (found, is_last) = page(&rows)?;
    let next = match rows.get(found.len().saturating_sub(1)) {
        Some(last) if !is_last => MessagesPlace::Named(last.try_get(3)?),
        _ => MessagesPlace::Unnamed(i64::MIN, 0),
    };
    Ok((in_rooms(db, &found).await?, Some(next)))
}

async fn unnamed(
    db: &mut Connection,
    user: &str,
    conversation: i64,
    id: i64,
) -> Result<(Vec<Message>, Option<MessagesPlace>), StoreError> {
    let select = "SELECT conversation, id, CAST(OCTET_LENGTH(text) AS BIGINT) FROM chat_messages
                  WHERE sender = $1 AND client_message_id IS NULL AND (conversation, id) > ($2, $3)
                  ORDER BY conversation, id LIMIT $4";
    let query = sqlx::query(select).bind(user).bind(conversation).bind(id).bind(PAGE);
    let (found, is_last) = page(&query.fetch_all(&mut *db).await?)?;
    let next = found.last().filter(|_| !is_last).map(|last| MessagesPlace::Unnamed(last.number, last.id));
    Ok((in_rooms(db, &found).await?, next))
}

/// What fits on a page of what was found, and whether there is no more.
fn page(rows: &[AnyRow]) -> Result<(Vec<Sized>, bool), StoreError> {
    let sized =
        |row: &AnyRow| Ok(Sized { number: row.try_get(0)?, id: row.try_get(1)?, size: row.try_get(2)? });
    let mut found = rows.iter().map(sized).collect::<Result<Vec<_>, StoreError>>()?;
    found.truncate(fitting(found.iter().map(|sized| sized.size)));
    let is_last = found.len() == rows.len() && (rows.len() as i64) < PAGE;
    Ok((found, is_last))
}

/// Those of the messages that were written in rooms.
async fn in_rooms(db: &mut Connection, found: &[Sized]) -> Result<Vec<Message>, StoreError> {
    let mut numbers: Vec<i64> = found.iter().map(|sized| sized.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
    let select = format!(
        "SELECT room, first_user, second_user, id FROM chat_conversations WHERE id IN ({})",
        numbers.join(", ")
    );
    let mut rooms = HashMap::new();
    for row in &sqlx::query(AssertSqlSafe(select)).persistent(false).fetch_all(&mut *db).await? {
        let conversation = Conversation::from_row(row, 0)?;
        if conversation.room_name().is_some() {
            rooms.insert(row.try_get::<i64, _>(3)?, conversation);
        }
    }
    let is_in_room = |sized: &&Sized| rooms.contains_key(&sized.number);
    let ranges: Vec<Range> =
        found.iter().filter(is_in_room).map(|sized| Range::one(sized.number, sized.id)).collect();
    messages_in(db, &ranges, |number| rooms.get(&number)).await
}
