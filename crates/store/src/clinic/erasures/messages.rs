//! What a user has written, and with whom.

use super::{Erasure, Stage};
use crate::{Connection, StoreError};

/// Messages that are looked at in one transaction.
const LOOKED_AT: i64 = 2_000;

/// Removes the user's texts from the next messages behind a place. No index finds a user's messages, which would cost every message more
/// than an erasure is worth, so all are looked at.
pub(super) async fn erase(
    db: &mut Connection,
    erasure: &Erasure,
    (conversation, id): (i64, i64),
) -> Result<(Stage, u64), StoreError> {
    let select = "SELECT conversation, id FROM chat_messages WHERE (conversation, id) > ($1, $2)
                  ORDER BY conversation, id LIMIT 1 OFFSET $3";
    let query = sqlx::query_as(select).bind(conversation).bind(id).bind(LOOKED_AT - 1);
    let last: Option<(i64, i64)> = query.fetch_optional(&mut *db).await?;
    let (to_conversation, to_id) = last.unwrap_or((i64::MAX, i64::MAX));
    let update = "UPDATE chat_messages SET text = '', sender = $1
                  WHERE sender = $2 AND (conversation, id) > ($3, $4) AND (conversation, id) <= ($5, $6)";
    let query = sqlx::query(update).bind(&erasure.pseudonym).bind(&erasure.user);
    let query = query.bind(conversation).bind(id).bind(to_conversation).bind(to_id);
    let changed = query.execute(db).await?.rows_affected();
    let next = last.map_or(Stage::Conversations, |(conversation, id)| Stage::Messages(conversation, id));
    Ok((next, changed))
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
