//! What is counted of calls, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use hubline_store::calls::CallOutcome;

/// Counts of this instance since it was started.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) started: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) busy: AtomicU64,
    pub(super) missed: AtomicU64,
    pub(super) declined: AtomicU64,
    pub(super) completed: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) rejoined: AtomicU64,
    pub(super) unrecorded: AtomicU64,
}

/// A snapshot of what this instance has counted since it was started. Each event is counted on the instance that carried it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CallStatistics {
    /// Calls that ring, whose caller is connected to this instance; up to 15 s late.
    pub ringing: u64,
    /// Calls that were accepted and are not over, whose caller is connected to this instance; up to 15 s late.
    pub active: u64,
    /// Calls that began.
    pub started: u64,
    /// Calls that were accepted.
    pub accepted: u64,
    /// Calls whose recipient was in another call.
    pub busy: u64,
    /// Calls that nobody answered.
    pub missed: u64,
    /// Calls that the recipient has refused.
    pub declined: u64,
    /// Calls that were accepted and that a participant has ended.
    pub completed: u64,
    /// Calls that a participant has ended before they were accepted.
    pub cancelled: u64,
    /// Calls that have ended because a participant did not come back.
    pub lost: u64,
    /// How often a participant went on by another connection.
    pub rejoined: u64,
    /// Calls that were refused because their user began too many, and calls of methods because their user called too many.
    pub refused: u64,
    /// How often a call could not be written into the history at once.
    pub unrecorded: u64,
}

impl Counters {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A call is over.
    pub(super) fn over(&self, outcome: CallOutcome) {
        match outcome {
            CallOutcome::Begun => {}
            CallOutcome::Completed => Self::count(&self.completed),
            CallOutcome::Lost => Self::count(&self.lost),
            CallOutcome::Missed => Self::count(&self.missed),
            CallOutcome::Declined => Self::count(&self.declined),
            CallOutcome::Busy => Self::count(&self.busy),
            CallOutcome::Cancelled => Self::count(&self.cancelled),
        }
    }

    pub(super) fn read(&self) -> CallStatistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CallStatistics {
            ringing: 0,
            active: 0,
            refused: 0,
            started: read(&self.started),
            accepted: read(&self.accepted),
            busy: read(&self.busy),
            missed: read(&self.missed),
            declined: read(&self.declined),
            completed: read(&self.completed),
            cancelled: read(&self.cancelled),
            lost: read(&self.lost),
            rejoined: read(&self.rejoined),
            unrecorded: read(&self.unrecorded),
        }
    }
}
