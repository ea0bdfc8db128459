//! Counts of what a layer refused, the first of which are logged.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// How many different causes are logged. Clients can make up causes, so there is a bound.
const TOLD: usize = 10;

/// Longest part of a cause that is logged, in bytes.
const TOLD_BYTES: usize = 200;

/// Counts refusals, and remembers the first causes to log each once.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    count: AtomicU64,
    told: Mutex<Vec<String>>,
}

impl Refusals {
    /// Counts a refusal; returns its cause, shortened, if it is to be logged.
    pub(crate) fn count(&self, cause: &str) -> Option<String> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let cause: String = cause.chars().take(TOLD_BYTES).filter(|c| !c.is_control()).collect();
        let mut told = self.told.lock();
        if told.len() == TOLD || told.contains(&cause) {
            return None;
        }
        told.push(cause.clone());
        Some(cause)
    }

    /// The number of refusals.
    pub(crate) fn total(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_told_once_and_no_more_than_ten() {
        let refusals = Refusals::default();
        assert_eq!(refusals.count("a\u{1b}[2J").as_deref(), Some("a[2J"));
        assert_eq!(refusals.count("a\u{1b}[2J"), None);
        assert_eq!(refusals.count(&"long".repeat(1000)).map(|cause| cause.len()), Some(TOLD_BYTES));
        let told = (0..100).filter(|n| refusals.count(&n.to_string()).is_some()).count();
        assert_eq!((told, refusals.total()), (8, 103));
    }
}
