//! Since when the other instances can be reached.

use hubline_backplane::Status;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::token::DISCONNECT_TIMEOUT;

/// For clocks that must not run while a client's requests may be stuck at another instance.
#[derive(Debug)]
pub(crate) struct Reachability {
    status: watch::Receiver<Status>,
    /// When the link last came up.
    up_since: Mutex<Option<Instant>>,
}

impl Reachability {
    pub(crate) fn new(status: watch::Receiver<Status>) -> Self {
        Self { status, up_since: Mutex::default() }
    }

    /// The link is up, after it was down.
    pub(crate) fn came_up(&self) {
        *self.up_since.lock() = Some(Instant::now());
    }

    /// Whether they can be reached now.
    pub(crate) fn is_up(&self) -> bool {
        *self.status.borrow() == Status::Connected
    }

    /// Whether a client may not have had the time yet to be heard again.
    pub(crate) fn was_down_lately(&self) -> bool {
        let up_since = self.up_since();
        !self.is_up() || up_since.is_some_and(|up_since| Instant::now() < up_since + DISCONNECT_TIMEOUT)
    }

    /// From when on a silence counts that began at `since`; `None` while it does not.
    pub(crate) fn counted_from(&self, since: Instant) -> Option<Instant> {
        let up_since = self.up_since();
        self.is_up().then(|| up_since.map_or(since, |up_since| since.max(up_since)))
    }

    fn up_since(&self) -> Option<Instant> {
        *self.up_since.lock()
    }
}
