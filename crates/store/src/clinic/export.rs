//! What is stored of a user, in pages. The other parts are [`crate::chat::conversations`], [`consultations::list`](super::consultations::list)
//! and [`audit::list`](super::audit::list).

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::chat::{Conversation, Message, MessageKey};
use crate::{Connection, StoreError, Timestamp};

/// Messages that are looked at for one page.
const LOOKED_AT: i64 = 2_000;

/// The user's messages among the next 2,000 behind a place, a conversation's number and an id: all that were exchanged with one other
/// user, and in rooms those that the user has written. Returns them, and behind which place to go on; `None` if there are no more.
///
/// # Errors
/// The database cannot be used.
pub async fn messages(
    db: &mut Connection,
    user: &str,
    (conversation, id): (i64, i64),
) -> Result<(Vec<Message>, Option<(i64, i64)>), StoreError> {
    let select = "SELECT conversation, id FROM chat_messages WHERE (conversation, id) > ($1, $2)
                  ORDER BY conversation, id LIMIT 1 OFFSET $3";
    let query = sqlx::query_as(select).bind(conversation).bind(id).bind(LOOKED_AT - 1);
    let last: Option<(i64, i64)> = query.fetch_optional(&mut *db).await?;
    let (to_conversation, to_id) = last.unwrap_or((i64::MAX, i64::MAX));
    let select =
        "SELECT m.conversation, m.id, m.sender, m.text, m.sent_at, c.room, c.first_user, c.second_user
                  FROM chat_messages m JOIN chat_conversations c ON c.id = m.conversation
                  WHERE (m.conversation, m.id) > ($1, $2) AND (m.conversation, m.id) <= ($3, $4)
                      AND (m.sender = $5 OR c.first_user = $5 OR c.second_user = $5)
                  ORDER BY m.conversation, m.id";
    let query = sqlx::query(select).bind(conversation).bind(id).bind(to_conversation).bind(to_id);
    let rows = query.bind(user.to_owned()).fetch_all(db).await?;
    Ok((rows.iter().map(message).collect::<Result<_, _>>()?, last))
}

fn message(row: &AnyRow) -> Result<Message, StoreError> {
    let room: String = row.try_get(5)?;
    let conversation = match room.is_empty() {
        true => Conversation::between(row.try_get::<String, _>(6)?, row.try_get::<String, _>(7)?),
        false => Conversation::room(room),
    };
    Ok(Message {
        conversation,
        key: MessageKey { conversation: row.try_get(0)?, id: row.try_get(1)? },
        from: row.try_get(2)?,
        text: row.try_get(3)?,
        sent_at: Timestamp(row.try_get(4)?),
    })
}
