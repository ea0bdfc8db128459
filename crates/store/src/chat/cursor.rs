//! Positions in all conversations of a user, as an opaque text.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Timestamp;

/// Conversations that a cursor names; see [`Cursor`].
pub(super) const NAMED: usize = 2_000;
/// Longest text of a cursor in bytes.
const LONGEST_TEXT: usize = 32 * 1024;
const VERSION: u8 = 1;

/// Up to where a user has read each of his conversations.
///
/// It names the positions in the 2,000 conversations where something was written last. Of those that were silent longer it keeps the time
/// up to which all of them are read, which needs no more than clocks of the instances that differ by less than those were silent.
/// As text it takes 10 bytes for each conversation, 19 KB at most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor {
    /// Every conversation that is not named is read up to the messages of this time.
    pub(super) until: i64,
    /// By number.
    pub(super) positions: BTreeMap<i64, i64>,
}

/// A text that is no cursor of this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no cursor that this user was given")]
pub struct CursorError;

/// A conversation after a page was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) number: i64,
    pub(super) read_up_to: i64,
    /// Where it is read up to if no cursor says so.
    pub(super) first_id: i64,
    pub(super) last_id: i64,
    pub(super) last_sent_at: i64,
    /// Whether the user may read it now.
    pub(super) is_open: bool,
}

impl Position {
    /// Whether there is something to be read.
    pub(super) fn is_unread(&self) -> bool {
        self.is_open && self.read_up_to < self.last_id
    }
}

impl Cursor {
    /// Reads what [`Cursor::to_text`] has written for this user.
    ///
    /// # Errors
    /// The text was written for somebody else, or not here.
    pub fn from_text(text: &str, user: &str) -> Result<Self, CursorError> {
        if text.len() > LONGEST_TEXT {
            return Err(CursorError);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
        let Some((&VERSION, rest)) = bytes.split_first() else { return Err(CursorError) };
        let (sum, mut body) = rest.split_at_checked(4).ok_or(CursorError)?;
        if sum != checksum(user, body) {
            return Err(CursorError);
        }
        let until = take(&mut body)?;
        let (mut positions, mut number) = (BTreeMap::new(), 0_i64);
        while !body.is_empty() {
            number = number.checked_add(take(&mut body)?).ok_or(CursorError)?;
            positions.insert(number, take(&mut body)?);
        }
        Ok(Self { until, positions })
    }

    /// The text, for this user.
    pub fn to_text(&self, user: &str) -> String {
        let mut body = Vec::with_capacity(16 + 8 * self.positions.len());
        put(&mut body, self.until);
        let mut before = 0;
        for (&number, &position) in &self.positions {
            put(&mut body, number - before);
            put(&mut body, position);
            before = number;
        }
        let mut bytes = vec![VERSION];
        bytes.extend(checksum(user, &body));
        bytes.append(&mut body);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The cursor after a page, which names `limit` conversations. Those that were silent longest have to be read first.
    pub(super) fn after(before: &Self, mut conversations: Vec<Position>, limit: usize) -> Self {
        conversations.sort_unstable_by_key(|conversation| conversation.last_sent_at);
        let is_named = |conversation: &Position| {
            let Position { number, read_up_to, first_id, .. } = *conversation;
            read_up_to != first_id || before.positions.contains_key(&number)
        };
        let unread = conversations.iter().find(|conversation| conversation.is_unread());
        let unread = unread.map_or(i64::MAX, |unread| unread.last_sent_at);
        let named = conversations.iter().filter(|conversation| is_named(conversation)).count();
        let oldest = conversations.iter().filter(|conversation| is_named(conversation));
        let silent = oldest.take(named.saturating_sub(limit)).map(|silent| silent.last_sent_at);
        let until = silent.filter(|silent| *silent < unread).last().unwrap_or(0).max(before.until);
        let named = conversations.iter().filter(|conversation| {
            conversation.last_sent_at > until && (is_named(conversation) || until > 0)
        });
        Self { until, positions: named.map(|named| (named.number, named.read_up_to)).collect() }
    }
}

impl Cursor {
    /// The time up to which conversations are read that are not named; `None` if all are.
    pub(super) fn until(&self) -> Option<Timestamp> {
        (self.until > 0).then_some(Timestamp(self.until))
    }
}

/// Tells a text that was damaged or given to another user; it protects nothing, since a cursor shows nothing.
fn checksum(user: &str, body: &[u8]) -> [u8; 4] {
    // FNV-1a, 32 bits.
    let bytes = user.bytes().chain([0xff]).chain(body.iter().copied());
    bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)).to_be_bytes()
}

/// Writes a number that is not negative, 7 bits a byte.
fn put(bytes: &mut Vec<u8>, number: i64) {
    let mut rest = u64::try_from(number).unwrap_or_default();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push((rest & 0x7f) as u8);
}

fn take(bytes: &mut &[u8]) -> Result<i64, CursorError> {
    let mut number = 0_u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(CursorError)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return i64::try_from(number).map_err(|_| CursorError);
        }
    }
    Err(CursorError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_again_by_its_own_user_alone() {
        let positions = [(0, 5), (1, 0), ((1 << 40) - 1, i64::MAX)].into_iter().collect();
        let cursor = Cursor { until: 17_000_000_000_000_000, positions };
        let text = cursor.to_text("ada");
        assert_eq!(Cursor::from_text(&text, "ada"), Ok(cursor));
        assert_eq!(Cursor::from_text(&text, "bob"), Err(CursorError));
        for wrong in ["", "AQ", "&", &text[1..], &text[..text.len() - 4], &text.repeat(3_000)] {
            assert_eq!(Cursor::from_text(wrong, "ada"), Err(CursorError), "{wrong:.20}");
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        bytes[7] ^= 1;
        assert_eq!(Cursor::from_text(&URL_SAFE_NO_PAD.encode(bytes), "ada"), Err(CursorError));
    }

    #[test]
    fn conversations_that_were_silent_longest_are_known_by_the_time() {
        let position = |number, read_up_to, last_id, last_sent_at| Position {
            number,
            read_up_to,
            first_id: 0,
            last_id,
            last_sent_at,
            is_open: true,
        };
        let all = vec![
            position(4, 1, 9, 400),
            position(1, 3, 3, 100),
            position(3, 7, 7, 300),
            position(2, 5, 5, 200),
            position(5, 0, 2, 500),
        ];
        let named = |limit| Cursor::after(&Cursor::default(), all.clone(), limit);
        assert_eq!(named(4), Cursor { until: 0, positions: [(1, 3), (2, 5), (3, 7), (4, 1)].into() });
        assert_eq!(named(2), Cursor { until: 200, positions: [(3, 7), (4, 1), (5, 0)].into() });
        // What is not read up to its end cannot be known by a time.
        assert_eq!(named(0), Cursor { until: 300, positions: [(4, 1), (5, 0)].into() });
    }

    #[test]
    fn a_cursor_of_many_conversations_fits_a_message() {
        let positions = (0..NAMED).map(|n| (n as i64 * ((1 << 40) / NAMED as i64), 1_000_000)).collect();
        let text = Cursor { until: i64::MAX, positions }.to_text("ada");
        assert!(text.len() < 24_000, "{}", text.len());
    }
}
