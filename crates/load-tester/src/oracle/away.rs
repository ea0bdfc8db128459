use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

use crate::oracle::MOST_REMEMBERED;

/// Why a connection was away, or did not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// The tester cut its socket.
    Drop,
    /// The tester cut all sockets at once.
    Storm,
    /// The tester cut its socket and resumes the same connection.
    Stateful,
    /// The tester stopped reading for a while.
    PausedReader,
    /// The tester reads slower than the server sends.
    SlowReader,
    /// The tester itself stood still: this machine has too little time for it.
    Tester,
    /// The connection was lost, and the tester has not done it.
    ConnectionLost,
}

impl Cause {
    /// Whether the tester did it on purpose.
    pub fn is_planted(self) -> bool {
        !matches!(self, Self::Tester | Self::ConnectionLost)
    }
}

impl Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "drop",
            Self::Storm => "storm",
            Self::Stateful => "stateful",
            Self::PausedReader => "paused reader",
            Self::SlowReader => "slow reader",
            Self::Tester => "the tester",
            Self::ConnectionLost => "connection lost",
        })
    }
}

/// A time in which messages may be lost or late for a known reason. Microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// Why.
    pub cause: Cause,
    /// When it began.
    pub from_micros: u64,
    /// When the connection was whole again, groups joined; `u64::MAX` if it never was.
    pub to_micros: u64,
}

/// The times in which one connection was away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Aways {
    list: Vec<Away>,
    /// Times until then have been forgotten: there were too many.
    pub(super) forgotten_until: Option<u64>,
}

impl Aways {
    pub(super) fn begin(&mut self, cause: Cause, from_micros: u64) {
        if self.list.last().is_some_and(|last| last.to_micros == u64::MAX) {
            return; // It is away already; what began first is the reason.
        }
        if self.list.len() == MOST_REMEMBERED {
            self.forgotten_until = Some(self.list.remove(0).to_micros);
        }
        self.list.push(Away { cause, from_micros, to_micros: u64::MAX });
    }

    pub(super) fn end(&mut self, at_micros: u64) {
        if let Some(last) = self.list.last_mut().filter(|last| last.to_micros == u64::MAX) {
            last.to_micros = at_micros.max(last.from_micros);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Away> {
        self.list.iter()
    }

    /// The first cause in a span of time, its bounds in it.
    pub(super) fn cause_within(&self, from_micros: u64, to_micros: u64) -> Option<Cause> {
        let overlaps = |away: &&Away| away.from_micros <= to_micros && from_micros <= away.to_micros;
        self.list.iter().find(overlaps).map(|away| away.cause)
    }
}
