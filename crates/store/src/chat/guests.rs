//! Anonymous members of rooms, whose memberships end with their connection: nobody comes back under such an id.
//!
//! The instance that has the connection ends them. It may die before, so it is kept beside them, and raises a number of its own, its
//! beat, while it has any. No clock of another machine takes part: an instance measures by its own how long it has seen another with the same
//! beat, and takes it for dead after a while ([`remove_of`]). One that was not, and comes back, is told so by [`beat`].

use super::members::leave;
use crate::{Connection, StoreError};

/// An instance that has, or had, anonymous members.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GuestInstance {
    /// The id that it has given itself.
    pub id: String,
    /// A number that it raises while it lives.
    pub beat: i64,
}

/// Notes that a user is an anonymous one of an instance, in the transaction that makes the user a member.
///
/// # Errors
/// The database cannot be used.
pub async fn arrive(db: &mut Connection, user: &str, instance: &str) -> Result<(), StoreError> {
    // Whoever takes the instance for dead waits, and sees another beat then.
    let upsert = "INSERT INTO chat_guest_instances (id, beat) VALUES ($1, 1)
                  ON CONFLICT (id) DO UPDATE SET beat = chat_guest_instances.beat + 1";
    sqlx::query(upsert).bind(instance).execute(&mut *db).await?;
    let upsert = "INSERT INTO chat_guests (user_id, instance) VALUES ($1, $2)
                  ON CONFLICT (user_id) DO UPDATE SET instance = excluded.instance";
    sqlx::query(upsert).bind(user).bind(instance).execute(&mut *db).await?;
    Ok(())
}

/// Ends all memberships of an anonymous user.
///
/// # Errors
/// The database cannot be used.
pub async fn depart(db: &mut Connection, user: &str) -> Result<(), StoreError> {
    let select = "SELECT c.room FROM chat_members m JOIN chat_conversations c ON c.id = m.conversation
                  WHERE m.user_id = $1 AND c.room <> '' ORDER BY c.id";
    let rooms: Vec<String> = sqlx::query_scalar(select).bind(user).fetch_all(&mut *db).await?;
    for room in rooms {
        leave(db, user, &room).await?;
    }
    sqlx::query("DELETE FROM chat_guests WHERE user_id = $1").bind(user).execute(&mut *db).await?;
    Ok(())
}

/// Raises an instance's beat. Returns whether it is known; otherwise it has no anonymous members, or others took it for dead.
///
/// # Errors
/// The database cannot be used.
pub async fn beat(db: &mut Connection, instance: &str) -> Result<bool, StoreError> {
    let update = "UPDATE chat_guest_instances SET beat = beat + 1 WHERE id = $1";
    Ok(sqlx::query(update).bind(instance).execute(&mut *db).await?.rows_affected() > 0)
}

/// Instances that have, or had, anonymous members; at most `limit`.
///
/// # Errors
/// The database cannot be used.
pub async fn instances(db: &mut Connection, limit: u32) -> Result<Vec<GuestInstance>, StoreError> {
    let select = "SELECT id, beat FROM chat_guest_instances ORDER BY id LIMIT $1";
    let rows: Vec<(String, i64)> = sqlx::query_as(select).bind(i64::from(limit)).fetch_all(&mut *db).await?;
    Ok(rows.into_iter().map(|(id, beat)| GuestInstance { id, beat }).collect())
}

/// Ends the memberships of at most `limit` anonymous users of an instance that has the same beat still, and forgets it with the last.
/// Returns how many users that were.
///
/// # Errors
/// The database cannot be used.
pub async fn remove_of(db: &mut Connection, dead: &GuestInstance, limit: u32) -> Result<usize, StoreError> {
    let lock = "UPDATE chat_guest_instances SET beat = beat WHERE id = $1 AND beat = $2";
    let query = sqlx::query(lock).bind(&dead.id).bind(dead.beat);
    if query.execute(&mut *db).await?.rows_affected() == 0 {
        return Ok(0);
    }
    let select = "SELECT user_id FROM chat_guests WHERE instance = $1 ORDER BY user_id LIMIT $2";
    let query = sqlx::query_scalar(select).bind(&dead.id).bind(i64::from(limit));
    let users: Vec<String> = query.fetch_all(&mut *db).await?;
    for user in &users {
        depart(db, user).await?;
    }
    if users.len() < limit as usize {
        let delete = "DELETE FROM chat_guest_instances WHERE id = $1";
        sqlx::query(delete).bind(&dead.id).execute(&mut *db).await?;
    }
    Ok(users.len())
}
