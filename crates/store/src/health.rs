//! Whether the database can be used, and what it was used for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

use crate::StoreError;

/// Whether the database can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreStatus {
    /// It has never been used since the start: not reached yet, or its tables are not what they have to be. Says why.
    Starting(String),
    /// It was reached, and its tables are being made those of this version, by this program or by another one that it waits for.
    Migrating,
    /// It works.
    Connected,
    /// It has worked and does not now; says why.
    Disconnected(String),
}

/// What the store has done since the start, and does now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreFigures {
    /// Connections that are open.
    pub connections: u64,
    /// Those of them that nothing uses now.
    pub idle: u64,
    /// Operations that wait for a connection or run.
    pub waiting: u64,
    /// Operations that only read, those that failed too.
    pub reads: u64,
    /// Operations in a transaction, those that failed too.
    pub writes: u64,
    /// Transactions that were committed; on SQLite one carries many writes.
    pub commits: u64,
    /// Operations that the database was in the way of.
    pub failures: u64,
}

/// The state behind both.
#[derive(Debug)]
pub(crate) struct Health {
    status: watch::Sender<StoreStatus>,
    /// Nothing is asked of the database while it is closed.
    is_closed: AtomicBool,
    /// Something has failed, or works again.
    pub(crate) doubt: Notify,
    pub(crate) reads: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) waiting: AtomicU64,
    failures: AtomicU64,
}

impl Health {
    pub(crate) fn new(status: StoreStatus) -> Self {
        Self {
            is_closed: AtomicBool::new(status != StoreStatus::Connected),
            status: watch::Sender::new(status),
            doubt: Notify::new(),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    pub(crate) fn status(&self) -> watch::Receiver<StoreStatus> {
        self.status.subscribe()
    }

    /// Lets work through.
    ///
    /// # Errors
    /// Why not, at once.
    pub(crate) fn pass(&self) -> Result<(), StoreError> {
        if !self.is_closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.failures.fetch_add(1, Ordering::Relaxed);
        match &*self.status.borrow() {
            StoreStatus::Connected => Ok(()),
            StoreStatus::Migrating => Err(StoreError::Unavailable("its tables are being made".to_owned())),
            StoreStatus::Starting(why) | StoreStatus::Disconnected(why) => {
                Err(StoreError::Unavailable(why.clone()))
            }
        }
    }

    /// An operation has failed for a reason that is the database's. Whoever watches over it finds out more.
    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.doubt.notify_one();
    }

    /// It works. Logged if it is news.
    pub(crate) fn works(&self, place: &str) {
        self.is_closed.store(false, Ordering::Relaxed);
        let before = self.status.send_replace(StoreStatus::Connected);
        match before {
            StoreStatus::Connected => {}
            StoreStatus::Starting(_) | StoreStatus::Migrating => {
                tracing::info!(database = place, "The database is connected")
            }
            StoreStatus::Disconnected(_) => tracing::info!(database = place, "The database works again"),
        }
    }

    /// Its tables are being made.
    pub(crate) fn migrates(&self) {
        self.status.send_replace(StoreStatus::Migrating);
    }

    /// It does not, and nothing is asked of it until it [`works`](Self::works).
    pub(crate) fn close(&self, place: &str, why: &StoreError) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.broken(place, why);
    }

    /// It does not; what is asked of it is tried all the same. Logged if the reason is news.
    pub(crate) fn broken(&self, place: &str, why: &StoreError) {
        // Whoever is refused for it is told that the database cannot be used, and then this.
        let said = match why {
            StoreError::Unavailable(cause) => cause.clone(),
            other => other.to_string(),
        };
        let is_news = self.status.send_if_modified(|status| match status {
            StoreStatus::Starting(known) if *known == said => false,
            StoreStatus::Disconnected(known) if *known == said => false,
            starting @ (StoreStatus::Starting(_) | StoreStatus::Migrating) => {
                *starting = StoreStatus::Starting(said.clone());
                true
            }
            other => {
                *other = StoreStatus::Disconnected(said.clone());
                true
            }
        });
        if is_news {
            tracing::error!(
                database = place,
                reason = said,
                "The database cannot be used. What needs it fails, everything else goes on; it is tried again by itself"
            );
        }
    }

    /// Whether it has failed, and what is asked of it is tried all the same.
    pub(crate) fn is_in_doubt(&self) -> bool {
        !self.is_closed.load(Ordering::Relaxed) && *self.status.borrow() != StoreStatus::Connected
    }

    pub(crate) fn is_connected(&self) -> bool {
        *self.status.borrow() == StoreStatus::Connected
    }

    pub(crate) fn figures(&self, connections: u64, idle: u64) -> StoreFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreFigures {
            connections,
            idle,
            waiting: read(&self.waiting),
            reads: read(&self.reads),
            writes: read(&self.writes),
            commits: read(&self.commits),
            failures: read(&self.failures),
        }
    }
}

/// Counts an operation as long as it is there.
pub(crate) struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    pub(crate) fn new(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
