//! What the chat has done since it was started.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hubline::HubError;
use hubline_store::StoreError;

/// What the chat counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) stored: AtomicU64,
    pub(super) repeated: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) published_from_outbox: AtomicU64,
    pub(super) database_failures: AtomicU64,
    /// Whether the database has failed last.
    is_failing: AtomicBool,
}

/// What the chat has done since it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChatStatistics {
    /// Messages that were stored.
    pub stored: u64,
    /// Messages that were sent again and had been stored before.
    pub repeated: u64,
    /// Calls that were refused: something not allowed, or too much.
    pub refused: u64,
    /// Messages of the outbox that this instance has published in the place of another, or because it could not before.
    pub published_from_outbox: u64,
    /// Calls that failed because the database could not be used.
    pub database_failures: u64,
}

impl Counters {
    pub(super) fn statistics(&self) -> ChatStatistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ChatStatistics {
            stored: read(&self.stored),
            repeated: read(&self.repeated),
            refused: read(&self.refused),
            published_from_outbox: read(&self.published_from_outbox),
            database_failures: read(&self.database_failures),
        }
    }

    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// What the client is told of an operation that the database did not carry out. Of failures in a row the first is logged.
    pub(super) fn told<T>(&self, result: Result<T, StoreError>, what: &str) -> Result<T, HubError> {
        let error = match result {
            Ok(value) => {
                if self.is_failing.load(Ordering::Relaxed) && self.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("The chat can use the database again");
                }
                return Ok(value);
            }
            Err(error) => error,
        };
        Self::count(&self.database_failures);
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "The chat cannot use the database (ConnectionStrings:Database): messages are refused until it can. Further failures are counted"
            );
        }
        let why = match &error {
            StoreError::Unavailable(_) => "the database cannot be used now, try again",
            StoreError::Full(_) => "the disk of the database is full",
            StoreError::Locked(_) => "another program keeps the database locked, try again",
            StoreError::Schema(_) => "the database has not the tables of this version",
            _ => return Err(HubError::internal(error)),
        };
        Err(HubError::new(format!("{what}: {why}")).with_source(error))
    }
}
