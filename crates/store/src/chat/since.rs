//! What a user has missed in all conversations.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row};

use super::cursor::{NAMED, Position};
use super::page::{Range, Sized, fitting, messages_in, sizes_in};
use super::{Conversation, Cursor, CursorError, HAS_OPEN_CONSULTATION, MAXIMUM_PAGE, Message};
use crate::{Connection, StoreError, Timestamp};

/// From where on messages are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// From the beginning of each conversation, or from when the user became a member of its room.
    Beginning,
    /// From now on: no messages, but a cursor.
    Now,
    /// From where a page ended.
    Cursor(Cursor),
}

/// Messages that a user has missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    /// Those of one conversation in the order of their ids.
    pub messages: Vec<Message>,
    /// Where they end.
    pub next: Cursor,
    /// Whether there were more.
    pub has_more: bool,
    /// How many conversations were looked at.
    pub conversations: usize,
}

/// Why a page is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinceError {
    /// The cursor is ahead of the database, which is another one than the cursor is of, or an older copy of it.
    #[error("the cursor is ahead of the database")]
    Ahead(#[source] CursorError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for SinceError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The messages of a user's conversations behind a cursor, the user's own too, at most `limit`, at most [`MAXIMUM_PAGE`] and, beyond the
/// first, at most [`MAXIMUM_PAGE_BYTES`](super::MAXIMUM_PAGE_BYTES) of text. In the order of their times.
///
/// Every message is on one page of those that follow each other by [`Since::next`], however many are stored meanwhile. With
/// `only_open_at` conversations are left out that have no consultation which is open then; what is missed in them comes when one is.
///
/// # Errors
/// See [`SinceError`].
pub async fn since(
    db: &mut Connection,
    user: &str,
    after: &After,
    limit: u32,
    only_open_at: Option<Timestamp>,
) -> Result<Since, SinceError> {
    let beginning = Cursor::default();
    let before = match after {
        After::Cursor(cursor) => cursor,
        After::Beginning | After::Now => &beginning,
    };
    let (mut positions, conversations) = memberships(db, user, before, only_open_at).await?;
    let looked_at = positions.len();
    if *after == After::Now {
        for position in &mut positions {
            position.read_up_to = position.last_id;
        }
        return Ok(Since {
            messages: Vec::new(),
            next: Cursor::after(before, positions, NAMED),
            has_more: false,
            conversations: looked_at,
        });
    }
    find_positions(db, before, &mut positions).await?;
    // Those that were silent longest first: see `Cursor::after`.
    positions.sort_unstable_by_key(|position| position.last_sent_at);
    let mut ranges = next_ranges(&mut positions, limit.clamp(1, MAXIMUM_PAGE).into());
    let sizes = sizes_in(db, &ranges).await?;
    if let Some(first_left_out) = sizes.get(fitting(sizes.iter().map(|sized| sized.size))) {
        end_before(first_left_out, &mut ranges, &mut positions);
    }
    let mut messages = messages_in(db, &ranges, |number| conversations.get(&number)).await?;
    if messages.is_empty() {
        skip_deleted(db, &mut positions).await?;
    }
    let has_more = positions.iter().any(Position::is_unread);
    messages.sort_by_key(|message| (message.sent_at, message.key));
    Ok(Since { messages, next: Cursor::after(before, positions, NAMED), has_more, conversations: looked_at })
}

/// The user's conversations, read up to where the cursor says or, if it does not, up to where they begin for the user.
async fn memberships(
    db: &mut Connection,
    user: &str,
    before: &Cursor,
    only_open_at: Option<Timestamp>,
) -> Result<(Vec<Position>, HashMap<i64, Conversation>), SinceError> {
    let is_open = only_open_at.map_or("0 = 0", |_| HAS_OPEN_CONSULTATION);
    let select = format!(
        "SELECT c.id, c.last_id, c.last_sent_at, mine.first_id, c.room, c.first_user, c.second_user,
             CAST(CASE WHEN {is_open} THEN 1 ELSE 0 END AS BIGINT)
         FROM chat_members mine JOIN chat_conversations c ON c.id = mine.conversation WHERE mine.user_id = $1"
    );
    let mut query = sqlx::query(AssertSqlSafe(select)).bind(user);
    if let Some(at) = only_open_at {
        query = query.bind(at.0);
    }
    let rows = query.fetch_all(&mut *db).await?;
    let mut positions = Vec::with_capacity(rows.len());
    let mut conversations = HashMap::new();
    for row in &rows {
        let (number, last_id, first_id) = (row.try_get(0)?, row.try_get(1)?, row.try_get(3)?);
        let read_up_to = before.positions.get(&number).copied().unwrap_or(first_id);
        if read_up_to > last_id {
            return Err(SinceError::Ahead(CursorError));
        }
        if read_up_to < last_id {
            conversations.insert(number, Conversation::from_row(row, 4)?);
        }
        let (last_sent_at, is_open) = (row.try_get(2)?, row.try_get::<i64, _>(7)? != 0);
        positions.push(Position { number, read_up_to, first_id, last_id, last_sent_at, is_open });
    }
    Ok((positions, conversations))
}

/// Finds the positions in conversations of which the cursor says only up to which time they are read.
async fn find_positions(
    db: &mut Connection,
    before: &Cursor,
    positions: &mut [Position],
) -> Result<(), SinceError> {
    let Some(until) = before.until() else { return Ok(()) };
    for position in positions {
        if before.positions.contains_key(&position.number) {
        } else if position.last_sent_at <= until.0 {
            position.read_up_to = position.last_id;
        } else {
            let select = "SELECT id FROM chat_messages WHERE conversation = $1 AND id > $2 AND sent_at <= $3
                          ORDER BY id DESC LIMIT 1";
            let query =
                sqlx::query_scalar(select).bind(position.number).bind(position.first_id).bind(until.0);
            let found: Option<i64> = query.fetch_optional(&mut *db).await?;
            position.read_up_to = found.unwrap_or(position.first_id);
        }
    }
    Ok(())
}

/// Chooses what is read next, `limit` messages at most, and moves the positions to its end.
fn next_ranges(positions: &mut [Position], limit: i64) -> Vec<Range> {
    let mut left = limit;
    let mut ranges = Vec::new();
    for position in positions.iter_mut().filter(|position| position.is_unread()) {
        let behind = position.read_up_to;
        let up_to = position.last_id.min(behind + left);
        if up_to > behind {
            ranges.push(Range { number: position.number, behind, up_to });
            position.read_up_to = up_to;
            left -= up_to - behind;
        }
    }
    ranges
}

/// Takes a message, and what would be read after it, out of the ranges, and moves the positions back.
fn end_before(message: &Sized, ranges: &mut Vec<Range>, positions: &mut [Position]) {
    let ends_in = ranges.iter().position(|range| range.number == message.number);
    let taken_back = ranges.split_off(ends_in.unwrap_or(ranges.len()));
    let mut read_up_to: HashMap<i64, i64> =
        taken_back.iter().map(|range| (range.number, range.behind)).collect();
    if let Some(cut) = taken_back.first() {
        ranges.push(Range { up_to: message.id - 1, ..*cut });
        read_up_to.insert(cut.number, message.id - 1);
    }
    for position in positions {
        if let Some(&up_to) = read_up_to.get(&position.number) {
            position.read_up_to = up_to;
        }
    }
}

/// Moves the position in a conversation that was begun to the next message: those between were deleted by age.
async fn skip_deleted(db: &mut Connection, positions: &mut [Position]) -> Result<(), StoreError> {
    let begun = positions.iter_mut().find(|position| position.is_unread());
    let Some(position) = begun else { return Ok(()) };
    let select = "SELECT id FROM chat_messages WHERE conversation = $1 AND id > $2 ORDER BY id LIMIT 1";
    let query = sqlx::query_scalar(select).bind(position.number).bind(position.read_up_to);
    let next: Option<i64> = query.fetch_optional(&mut *db).await?;
    position.read_up_to = next.map_or(position.last_id, |next| next - 1);
    Ok(())
}
