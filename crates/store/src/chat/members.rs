//! Who is in a room.

use super::append::room;
use super::{Conversation, find};
use crate::{Connection, StoreError, Timestamp};

/// How much one room and one user may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoinLimits {
    /// Rooms of one user.
    pub rooms_per_user: usize,
    /// Members of one room.
    pub members_per_room: usize,
}

/// Why a user does not become a member.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The user is in as many rooms as one may be.
    #[error("the user is in {0} rooms, as many as one may be in")]
    TooManyRooms(usize),
    /// The room has as many members as one may have.
    #[error("the room has {0} members, as many as one may have")]
    RoomIsFull(usize),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a user a member of a room, which comes into being with its first one. Returns whether the user was none before; nothing changes
/// otherwise.
///
/// # Errors
/// See [`JoinError`].
pub async fn join(
    db: &mut Connection,
    user: &str,
    name: &str,
    limits: JoinLimits,
) -> Result<bool, JoinError> {
    let conversation = Conversation::room(name);
    if is_member(db, user, &conversation).await? {
        return Ok(false);
    }
    let (number, last_id) = room(db, &conversation, Timestamp::now()).await?;
    if rooms(db, user).await? >= limits.rooms_per_user {
        return Err(JoinError::TooManyRooms(limits.rooms_per_user));
    }
    if members(db, number).await? >= limits.members_per_room {
        return Err(JoinError::RoomIsFull(limits.members_per_room));
    }
    let insert = "INSERT INTO chat_members (user_id, conversation, first_id, delivered_id, read_id)
                  VALUES ($1, $2, $3, $3, $3) ON CONFLICT (user_id, conversation) DO NOTHING";
    let query = sqlx::query(insert).bind(user).bind(number).bind(last_id);
    Ok(query.execute(&mut *db).await.map_err(StoreError::from)?.rows_affected() > 0)
}

/// Ends a user's membership of a room, and the room if it has neither members nor messages then. Returns whether the user was a member.
///
/// # Errors
/// The database cannot be used.
pub async fn leave(db: &mut Connection, user: &str, name: &str) -> Result<bool, StoreError> {
    let Some(found) = find(db, &Conversation::room(name)).await? else { return Ok(false) };
    // Whoever joins meanwhile waits for this, or this for them.
    let lock = "UPDATE chat_conversations SET last_id = last_id WHERE id = $1 RETURNING last_id";
    let last_id: Option<i64> = sqlx::query_scalar(lock).bind(found.number).fetch_optional(&mut *db).await?;
    let delete = "DELETE FROM chat_members WHERE user_id = $1 AND conversation = $2";
    let deleted = sqlx::query(delete).bind(user).bind(found.number).execute(&mut *db).await?.rows_affected();
    if deleted > 0 && last_id == Some(0) && members(db, found.number).await? == 0 {
        let delete = "DELETE FROM chat_conversations WHERE id = $1";
        sqlx::query(delete).bind(found.number).execute(&mut *db).await?;
    }
    Ok(deleted > 0)
}

/// Whether a user is a member of a conversation: one of the pair, or in the room.
///
/// # Errors
/// The database cannot be used.
pub async fn is_member(
    db: &mut Connection,
    user: &str,
    conversation: &Conversation,
) -> Result<bool, StoreError> {
    let select = "SELECT 1 FROM chat_conversations c
                  JOIN chat_members m ON m.conversation = c.id AND m.user_id = $1
                  WHERE c.room = $2 AND c.first_user = $3 AND c.second_user = $4";
    let query = sqlx::query(select).bind(user).bind(&conversation.room);
    let query = query.bind(&conversation.first_user).bind(&conversation.second_user);
    Ok(query.fetch_optional(&mut *db).await?.is_some())
}

async fn rooms(db: &mut Connection, user: &str) -> Result<usize, StoreError> {
    let select = "SELECT CAST(COUNT(*) AS BIGINT) FROM chat_members m
                  JOIN chat_conversations c ON c.id = m.conversation WHERE m.user_id = $1 AND c.room <> ''";
    let count: i64 = sqlx::query_scalar(select).bind(user).fetch_one(&mut *db).await?;
    Ok(usize::try_from(count).unwrap_or_default())
}

async fn members(db: &mut Connection, number: i64) -> Result<usize, StoreError> {
    let select = "SELECT CAST(COUNT(*) AS BIGINT) FROM chat_members WHERE conversation = $1";
    let count: i64 = sqlx::query_scalar(select).bind(number).fetch_one(&mut *db).await?;
    Ok(usize::try_from(count).unwrap_or_default())
}
