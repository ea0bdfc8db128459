//! Whose turn it is: of several polls the newest has it.

use tokio::time::Instant;

use super::LongPolling;

/// The polls of a connection. At most two are under way: the one that has the turn, and one that has lost it
/// and is about to be answered.
#[derive(Debug)]
pub(super) struct Turns {
    newest: u64,
    /// Since when no poll has had the turn.
    idle_since: Option<Instant>,
    /// Whether a poll that has lost the turn is still there.
    leaving: bool,
}

/// A poll under way. Dropping it, answered or not, gives the turn back.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) connection: &'a LongPolling,
    pub(super) number: u64,
}

impl Turns {
    /// The first poll was answered at once.
    pub(super) fn new() -> Self {
        Self { newest: 0, idle_since: Some(Instant::now()), leaving: false }
    }

    /// The turn for a new poll, taken from an older one if there is one; `None` while another new poll does
    /// the same.
    pub(super) fn begin(&mut self) -> Option<u64> {
        if self.idle_since.take().is_none() {
            if self.leaving {
                return None;
            }
            self.leaving = true;
        }
        self.newest += 1;
        Some(self.newest)
    }

    pub(super) fn is_current(&self, number: u64) -> bool {
        self.newest == number
    }

    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.idle_since
    }

    fn end(&mut self, number: u64) {
        if self.is_current(number) {
            self.idle_since = Some(Instant::now());
        } else {
            self.leaving = false;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.connection.lock().turns.end(self.number);
    }
}
