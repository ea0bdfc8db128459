//! What a user has written, and with whom.

use sqlx::AssertSqlSafe;

use super::Erasure;
use crate::{Connection, StoreError};

/// Removes text and name from at most `limit` of the user's messages. Returns from how many.
pub(super) async fn erase(db: &mut Connection, erasure: &Erasure, limit: u32) -> Result<u64, StoreError> {
    let changed = erase_named(db, erasure, limit).await?;
    match u64::from(limit).saturating_sub(changed) {
        0 => Ok(changed),
        left => Ok(changed + erase_unnamed(db, erasure, left).await?),
    }
}

/// Those to which the sender has given a name, which is a text of the user's too.
async fn erase_named(db: &mut Connection, erasure: &Erasure, limit: u32) -> Result<u64, StoreError> {
    let select = "SELECT client_message_id FROM chat_messages WHERE sender = $1 AND client_message_id > ''
                  ORDER BY client_message_id LIMIT 1 OFFSET $2";
    let query = sqlx::query_scalar(select).bind(&erasure.user).bind(i64::from(limit) - 1);
    let last: Option<String> = query.fetch_optional(&mut *db).await?;
    let up_to = if last.is_some() { "AND client_message_id <= $3" } else { "" };
    let update = format!(
        "UPDATE chat_messages SET text = '', sender = $1, client_message_id = NULL
         WHERE sender = $2 AND client_message_id > '' {up_to}"
    );
    let mut query = sqlx::query(AssertSqlSafe(update)).bind(&erasure.pseudonym).bind(&erasure.user);
    if let Some(last) = last {
        query = query.bind(last);
    }
    Ok(query.execute(db).await?.rows_affected())
}

async fn erase_unnamed(db: &mut Connection, erasure: &Erasure, limit: u64) -> Result<u64, StoreError> {
    let select = "SELECT conversation, id FROM chat_messages WHERE sender = $1 AND client_message_id IS NULL
                  ORDER BY conversation, id LIMIT 1 OFFSET $2";
    let offset = i64::try_from(limit).unwrap_or(i64::MAX) - 1;
    let last: Option<(i64, i64)> =
        sqlx::query_as(select).bind(&erasure.user).bind(offset).fetch_optional(&mut *db).await?;
    let (conversation, id) = last.unwrap_or((i64::MAX, i64::MAX));
    let update = "UPDATE chat_messages SET text = '', sender = $1
                  WHERE sender = $2 AND client_message_id IS NULL AND (conversation, id) <= ($3, $4)";
    let query = sqlx::query(update).bind(&erasure.pseudonym).bind(&erasure.user);
    Ok(query.bind(conversation).bind(id).execute(db).await?.rows_affected())
}

/// Ends memberships of rooms, and puts the pseudonym into pairs, in at most `limit` conversations. Returns in how many.
pub(super) async fn leave(db: &mut Connection, erasure: &Erasure, limit: u32) -> Result<u64, StoreError> {
    let select = "SELECT c.id, c.room, c.first_user, c.second_user FROM chat_members m
                  JOIN chat_conversations c ON c.id = m.conversation
                  WHERE m.user_id = $1 ORDER BY m.conversation LIMIT $2";
    let query = sqlx::query_as(select).bind(&erasure.user).bind(i64::from(limit));
    let found: Vec<(i64, String, String, String)> = query.fetch_all(&mut *db).await?;
    for (conversation, room, first, second) in &found {
        if !room.is_empty() {
            let delete = "DELETE FROM chat_members WHERE user_id = $1 AND conversation = $2";
            sqlx::query(delete).bind(&erasure.user).bind(conversation).execute(&mut *db).await?;
            continue;
        }
        let renamed = |user: &String| if *user == erasure.user { &erasure.pseudonym } else { user }.clone();
        let mut users = [renamed(first), renamed(second)];
        users.sort();
        let update = "UPDATE chat_conversations SET first_user = $1, second_user = $2 WHERE id = $3";
        let query = sqlx::query(update).bind(&users[0]).bind(&users[1]).bind(conversation);
        query.execute(&mut *db).await?;
        let update = "UPDATE chat_members SET user_id = $1 WHERE user_id = $2 AND conversation = $3";
        let query = sqlx::query(update).bind(&erasure.pseudonym).bind(&erasure.user).bind(conversation);
        query.execute(&mut *db).await?;
    }
    Ok(found.len() as u64)
}
