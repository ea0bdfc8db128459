//! What the chat has done since it was started.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hubline::HubError;
use hubline_store::StoreError;
use parking_lot::Mutex;
use tokio::time::Instant;

/// So long nothing may have failed before the database counts as usable again: what asks it for nothing succeeds while it is
/// away, and reads do while its disk is full.
const QUIET: Duration = Duration::from_secs(5);

/// What the chat counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) stored: AtomicU64,
    pub(super) repeated: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) published_from_outbox: AtomicU64,
    pub(super) database_failures: AtomicU64,
    /// Whether it was logged that the database fails, and not yet that it works again.
    is_failing: AtomicBool,
    last_failure: Mutex<Option<Instant>>,
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

    /// What the client is told of an operation that the database did not carry out. The first failure is logged, and when there
    /// have been none for [`QUIET`].
    pub(super) fn told<T>(&self, result: Result<T, StoreError>, what: &str) -> Result<T, HubError> {
        match result {
            Ok(value) => {
                self.worked();
                Ok(value)
            }
            Err(error) => {
                self.failed(&error);
                Err(told_of(error, what))
            }
        }
    }

    fn worked(&self) {
        if !self.is_failing.load(Ordering::Relaxed) {
            return;
        }
        let mut last_failure = self.last_failure.lock();
        if last_failure.is_some_and(|at| at.elapsed() >= QUIET) {
            *last_failure = None;
            self.is_failing.store(false, Ordering::Relaxed);
            tracing::info!("The chat can use the database again");
        }
    }

    fn failed(&self, error: &StoreError) {
        Self::count(&self.database_failures);
        let mut last_failure = self.last_failure.lock();
        *last_failure = Some(Instant::now());
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "The chat cannot use the database (ConnectionStrings:Database): messages are refused until it can. Further failures \
                 are counted in hubline_chat_database_failures_total"
            );
        }
    }
}

/// The cause is logged once for all, by [`Counters::failed`]; so it is not in the error, or each call would log it.
fn told_of(error: StoreError, what: &str) -> HubError {
    let why = match &error {
        StoreError::Unavailable(_) => "the database cannot be used now, try again",
        StoreError::Full(_) => "the disk of the database is full",
        StoreError::Locked(_) => "another program keeps the database locked, try again",
        StoreError::Slow(_) => "the database was too slow, try again",
        StoreError::Schema(_) => "the database has not the tables of this version",
        _ => return HubError::internal(error),
    };
    HubError::new(format!("{what}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_over_when_nothing_has_failed_for_a_while() {
        let counters = Counters::default();
        let failing = || counters.is_failing.load(Ordering::Relaxed);
        let fails =
            || counters.told::<()>(Err(StoreError::Full("no room".to_owned())), "not stored").unwrap_err();
        assert!(!failing());
        for _ in 0..3 {
            let told = fails();
            assert_eq!(told.to_string(), "HubException: not stored: the disk of the database is full");
            assert!(told.source().is_none(), "each call would be logged");
            // A read, between writes that fail.
            counters.told(Ok(()), "not read").unwrap();
            assert!(failing());
            tokio::time::advance(QUIET / 2).await;
        }
        tokio::time::advance(QUIET / 2).await;
        counters.told(Ok(()), "not read").unwrap();
        assert!(!failing());
        assert_eq!(counters.statistics().database_failures, 3);
        fails();
        assert!(failing());
    }
}
