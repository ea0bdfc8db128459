//! What a directory answers.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use hubline_protocol::{ConnectionId, UserId};

/// An answer, and whom it takes into account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// The answer.
    pub value: T,
    /// How much of the fleet it covers.
    pub scope: Scope,
}

/// How much of the fleet an answer covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Fleet,
    /// This instance only: the others cannot be asked for now.
    ThisInstance,
}

impl<T> Answer<T> {
    /// One for the whole fleet.
    pub fn of_fleet(value: T) -> Self {
        Self { value, scope: Scope::Fleet }
    }

    /// One of this instance, made when the others could not be asked.
    pub fn of_this_instance(value: T) -> Self {
        Self { value, scope: Scope::ThisInstance }
    }
}

/// A connection of some instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// Its id.
    pub connection: ConnectionId,
    /// Whom it belongs to, if anyone.
    pub user: Option<UserId>,
    /// When it began, by the clock of its instance, in milliseconds.
    pub since: SystemTime,
    /// The name of its instance, another one for each process and each time that it is lost and found.
    pub instance: Arc<str>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    /// The connection.
    pub connection: ConnectionId,
    /// Whom it belongs to, if anyone.
    pub user: Option<UserId>,
}

/// Which part of a listing is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Where the page before ended; `None` is the beginning.
    pub after: Option<Cursor>,
    limit: u16,
}

impl Page {
    /// The most items of a page.
    pub const LIMIT: u16 = 1000;

    /// The first page with this many items, 1 to [`Page::LIMIT`]; what is outside is taken for the nearest.
    pub fn first(limit: u16) -> Self {
        Self::new(None, limit)
    }

    /// The page behind a cursor.
    pub fn after(cursor: Cursor, limit: u16) -> Self {
        Self::new(Some(cursor), limit)
    }

    fn new(after: Option<Cursor>, limit: u16) -> Self {
        Self { after, limit: limit.clamp(1, Self::LIMIT) }
    }

    /// How many items at most.
    pub fn limit(&self) -> usize {
        usize::from(self.limit.max(1))
    }
}

/// Where a page ended: the id of its last item. It stays good when that item goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Arc<str>);

impl Cursor {
    /// The text, to be given out and taken back as [`Cursor::from`].
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for Cursor {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// For the next page; `None` if there is none.
    pub next: Option<Cursor>,
}

impl<T> Listing<T> {
    /// Makes a page of the items behind its cursor, of which one more than the page takes tells whether there is
    /// another.
    pub fn new(page: &Page, items: impl IntoIterator<Item = T>, id: impl Fn(&T) -> &str) -> Self {
        let mut items: Vec<T> = items.into_iter().take(page.limit() + 1).collect();
        let is_last = items.len() <= page.limit();
        items.truncate(page.limit());
        let next = items.last().filter(|_| !is_last).map(|item| Cursor::from(id(item)));
        Self { items, next }
    }
}
