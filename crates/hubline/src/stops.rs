//! How connections without a hub are told that the server stops: each when its turn comes, or all together.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The connections to be told. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stops(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    all: CancellationToken,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<u64, CancellationToken>,
    opened: u64,
    /// Who is opened from now on is told at once.
    is_stopping: bool,
}

/// An open connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    stops: Stops,
    number: u64,
    pub(crate) stopping: CancellationToken,
}

impl Stops {
    /// Adds a connection, which is told by its token.
    pub(crate) fn register(&self) -> Registered {
        let stopping = self.0.all.child_token();
        let mut open = self.0.open.lock();
        open.opened += 1;
        let number = open.opened;
        if open.is_stopping {
            stopping.cancel();
        }
        open.connections.insert(number, stopping.clone());
        Registered { stops: self.clone(), number, stopping }
    }

    /// Returns the open connections, to be told one by one. Those that are opened later are told at once.
    pub(crate) fn begin(&self) -> Vec<CancellationToken> {
        let mut open = self.0.open.lock();
        open.is_stopping = true;
        open.connections.values().cloned().collect()
    }

    /// Tells all, those that come later too.
    pub(crate) fn tell_all(&self) {
        self.0.all.cancel();
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.stops.0.open.lock().connections.remove(&self.number);
    }
}
