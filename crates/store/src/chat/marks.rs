//! How far a user has got in a conversation.

use super::{Conversation, find};
use crate::{Connection, StoreError};

/// What has happened to messages, up to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A device of the user has them.
    Delivered,
    /// The user has read them; then they are delivered too.
    Read,
}

/// Moves a user's mark in a conversation up to a message, or to the last one; never back. Returns up to which message that is, or `None`
/// if the user is no member.
///
/// # Errors
/// The database cannot be used.
pub async fn mark(
    db: &mut Connection,
    user: String,
    conversation: Conversation,
    mark: Mark,
    up_to: Option<i64>,
) -> Result<Option<i64>, StoreError> {
    let Some(found) = find(db, &conversation).await? else { return Ok(None) };
    let up_to = up_to.unwrap_or(i64::MAX).min(found.last_id);
    let update = match mark {
        Mark::Delivered => {
            "UPDATE chat_members SET delivered_id = CASE WHEN delivered_id < $1 THEN $1 ELSE delivered_id END
             WHERE user_id = $2 AND conversation = $3"
        }
        Mark::Read => {
            "UPDATE chat_members SET delivered_id = CASE WHEN delivered_id < $1 THEN $1 ELSE delivered_id END,
                 read_id = CASE WHEN read_id < $1 THEN $1 ELSE read_id END
             WHERE user_id = $2 AND conversation = $3"
        }
    };
    let query = sqlx::query(update).bind(up_to).bind(user).bind(found.number);
    Ok((query.execute(&mut *db).await?.rows_affected() > 0).then_some(up_to))
}
