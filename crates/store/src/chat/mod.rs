//! The messages of the chat.
//!
//! A [`Conversation`] is a pair of users or a room. Its messages have the ids 1, 2, 3 ..., given by a counter that the storing
//! transaction raises and holds locked until it ends, so the order of ids is the order of commits: whoever has read a conversation
//! up to an id never sees a message appear behind it. A message writes no row for its readers. What they have read
//! are marks, and what they have missed is told by a [`Cursor`], the position in each of their conversations.
//!
//! Beside each message stands a row in the outbox until it has been published ([`outbox`]). Anonymous members of rooms are known with
//! their instance ([`guests`]).

mod append;
mod conversations;
mod cursor;
pub mod guests;
mod history;
mod marks;
mod members;
pub mod outbox;
pub(crate) mod page;
mod since;

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::{Connection, StoreError, Timestamp};

pub use append::{Appended, NewMessage, Refusal, Requirements, append, append_if, has_open_consultation};
pub use conversations::{ConversationsPage, Overview, conversations};
pub use cursor::{Cursor, CursorError};
pub use history::history;
pub use marks::{Mark, mark};
pub use members::{JoinError, JoinLimits, is_member, join, leave};
pub use page::MAXIMUM_PAGE_BYTES;
pub use since::{After, Since, SinceError, since};

/// Messages or conversations on one page at most.
pub const MAXIMUM_PAGE: u32 = 1_000;
/// Most unread messages that are counted.
pub const MAXIMUM_UNREAD: u32 = 1_000;

/// What messages belong to: two users, or a room.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conversation {
    room: String,
    first_user: String,
    second_user: String,
}

/// Which message: its conversation's number in the database, and its id there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageKey {
    /// The conversation's number.
    pub conversation: i64,
    /// Its place in the conversation, from 1.
    pub id: i64,
}

/// A message that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it belongs.
    pub conversation: Conversation,
    /// Which it is.
    pub key: MessageKey,
    /// Who wrote it.
    pub from: String,
    /// What was written; empty once it was erased.
    pub text: String,
    /// When it was stored; later than what has a smaller id.
    pub sent_at: Timestamp,
}

impl Conversation {
    /// The one of two users, who may be the same.
    pub fn between(one: impl Into<String>, other: impl Into<String>) -> Self {
        let (one, other) = (one.into(), other.into());
        let (first_user, second_user) = if one <= other { (one, other) } else { (other, one) };
        Self { room: String::new(), first_user, second_user }
    }

    /// The one of a room, whose name is not empty.
    pub fn room(name: impl Into<String>) -> Self {
        Self { room: name.into(), first_user: String::new(), second_user: String::new() }
    }

    /// The room's name; `None` for two users.
    pub fn room_name(&self) -> Option<&str> {
        Some(&*self.room).filter(|room| !room.is_empty())
    }

    /// The user beside `user`; `None` for a room.
    pub fn partner_of(&self, user: &str) -> Option<&str> {
        let partner = if self.first_user == user { &self.second_user } else { &self.first_user };
        Some(&**partner).filter(|_| self.room.is_empty())
    }

    /// The users of a pair, each once.
    fn users(&self) -> impl Iterator<Item = &str> {
        let second = Some(&*self.second_user).filter(|second| *second != self.first_user);
        [&*self.first_user].into_iter().chain(second).filter(|_| self.room.is_empty())
    }

    /// From the columns `room, first_user, second_user`, of which the first is at `column`.
    pub(crate) fn from_row(row: &AnyRow, column: usize) -> Result<Self, StoreError> {
        Ok(Self {
            room: row.try_get(column)?,
            first_user: row.try_get(column + 1)?,
            second_user: row.try_get(column + 2)?,
        })
    }
}

/// A conversation's row.
struct Stored {
    number: i64,
    last_id: i64,
}

/// Finds a conversation.
async fn find(db: &mut Connection, conversation: &Conversation) -> Result<Option<Stored>, StoreError> {
    let select =
        "SELECT id, last_id FROM chat_conversations WHERE room = $1 AND first_user = $2 AND second_user = $3";
    let query = sqlx::query_as(select).bind(&conversation.room);
    let query = query.bind(&conversation.first_user).bind(&conversation.second_user);
    let found: Option<(i64, i64)> = query.fetch_optional(&mut *db).await?;
    Ok(found.map(|(number, last_id)| Stored { number, last_id }))
}

/// A number for a new conversation. They are short, so that cursors are.
fn new_number() -> Result<i64, StoreError> {
    const BITS: u32 = 40;
    let mut random = [0; 8];
    getrandom::getrandom(&mut random).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    Ok(i64::from_be_bytes(random) & ((1 << BITS) - 1))
}

/// True of a conversation `c` that belongs to a consultation with the user `$1`, open at the time `$2`. What is open is looked up once and
/// not for each conversation.
const HAS_OPEN_CONSULTATION: &str = "(c.room <> '' AND c.room IN (
        SELECT k.room FROM clinic_participants p JOIN clinic_consultations k ON k.id = p.consultation_id
        WHERE p.user_id = $1 AND k.opens <= $2 AND (k.closes IS NULL OR k.closes > $2))
    OR c.room = '' AND CASE WHEN c.first_user = $1 THEN c.second_user ELSE c.first_user END IN (
        SELECT q.user_id FROM clinic_participants p JOIN clinic_consultations k ON k.id = p.consultation_id
        JOIN clinic_participants q ON q.consultation_id = k.id
        WHERE p.user_id = $1 AND k.opens <= $2 AND (k.closes IS NULL OR k.closes > $2)))";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_one_conversation_from_both_sides() {
        let pair = Conversation::between("bob", "ada");
        assert_eq!(pair, Conversation::between("ada", "bob"));
        assert_eq!((pair.partner_of("ada"), pair.partner_of("bob")), (Some("bob"), Some("ada")));
        assert_eq!(pair.users().collect::<Vec<_>>(), ["ada", "bob"]);
        assert_eq!(pair.room_name(), None);
        let own = Conversation::between("ada", "ada");
        assert_eq!((own.partner_of("ada"), own.users().count()), (Some("ada"), 1));
        let room = Conversation::room("ward");
        assert_eq!((room.room_name(), room.partner_of("ada"), room.users().count()), (Some("ward"), None, 0));
    }
}
