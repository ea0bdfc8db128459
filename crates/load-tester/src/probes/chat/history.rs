//! What happened, as JSON lines that can be judged again.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// A conversation: of two users, or a room.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Conversation {
    /// Of these two, in the order of their names.
    Pair(String, String),
    /// A room.
    Room(String),
}

impl Conversation {
    pub(crate) fn of(one: &str, other: &str) -> Self {
        let (first, second) = if one <= other { (one, other) } else { (other, one) };
        Self::Pair(first.to_owned(), second.to_owned())
    }
}

/// How a message came to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// As the event `MessageReceived`.
    Event,
    /// In an answer of `GetSince`.
    Since,
}

/// One thing that happened to a user. A message is known by its sender and its key, which is its `clientMessageId` and its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// The user is a member of a room from now on.
    Joined {
        /// Who.
        user: String,
        /// Of which room.
        room: String,
    },
    /// The user sends a message, for the first time or again.
    Sends {
        /// Who.
        user: String,
        /// Where.
        conversation: Conversation,
        /// The message.
        key: String,
    },
    /// The server confirmed a message.
    Confirmed {
        /// To whom.
        user: String,
        /// Which message.
        key: String,
        /// Its place in its conversation.
        id: String,
    },
    /// The user got a message.
    Saw {
        /// Who.
        user: String,
        /// Where.
        conversation: Conversation,
        /// Its place there.
        id: String,
        /// Who sent it.
        sender: String,
        /// The message.
        key: String,
        /// How it came.
        way: Way,
    },
    /// A message was sent and confirmed.
    Sent {
        /// By whom.
        user: String,
        /// The message.
        key: String,
        /// When it was sent for the first time, in microseconds since 1970.
        from: u64,
        /// When it was confirmed, likewise.
        until: u64,
    },
    /// The user was between two connections.
    Away {
        /// Who.
        user: String,
        /// When the connection before was over, in microseconds since 1970.
        from: u64,
        /// When the user was in all rooms again, likewise.
        until: u64,
        /// Why the connection ended, and why attempts to come back failed.
        reasons: Vec<String>,
    },
}

/// In microseconds since 1970, by the clock that all programs of this machine share.
pub(crate) fn now_micros() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A message as the database has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Where it belongs.
    pub conversation: Conversation,
    /// Its place there.
    pub id: String,
    /// Who sent it.
    pub sender: String,
    /// Its `clientMessageId`.
    pub key: String,
}

/// All that happened in one run, of each user in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Events of each user are in the order in which they happened.
    pub events: Vec<Event>,
}

impl History {
    /// Users that are named anywhere in it.
    pub(crate) fn users(&self) -> BTreeSet<&str> {
        self.events.iter().map(Event::user).collect()
    }

    /// Writes one line for each event.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        write_lines(path, &self.events)
    }

    /// Reads what [`write`](Self::write) wrote, into one history of several files.
    ///
    /// # Errors
    /// A file cannot be read, or has a line that is no event.
    pub fn read(paths: &[impl AsRef<Path>]) -> anyhow::Result<Self> {
        let mut events = Vec::new();
        for path in paths {
            events.append(&mut read_lines(path.as_ref())?);
        }
        Ok(Self { events })
    }
}

impl Event {
    pub(crate) fn user(&self) -> &str {
        match self {
            Self::Joined { user, .. }
            | Self::Sends { user, .. }
            | Self::Confirmed { user, .. }
            | Self::Saw { user, .. }
            | Self::Sent { user, .. }
            | Self::Away { user, .. } => user,
        }
    }
}

/// Messages as the database has them, one JSON object a line.
///
/// # Errors
/// The file cannot be read, or has a line that is no message.
pub fn read_stored(path: &Path) -> anyhow::Result<Vec<Stored>> {
    read_lines(path)
}

fn write_lines<T: Serialize>(path: &Path, values: &[T]) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path).with_context(|| path.display().to_string())?);
    for value in values {
        serde_json::to_writer(&mut file, value)?;
        file.write_all(b"\n")?;
    }
    Ok(file.flush()?)
}

fn read_lines<T: for<'de> Deserialize<'de>>(path: &Path) -> anyhow::Result<Vec<T>> {
    let file = BufReader::new(File::open(path).with_context(|| path.display().to_string())?);
    let mut values = Vec::new();
    for (number, line) in (1..).zip(file.lines()) {
        let place = || format!("{}, line {number}", path.display());
        values.push(serde_json::from_str(&line?).with_context(place)?);
    }
    Ok(values)
}
