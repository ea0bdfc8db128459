//! What all nodes of a backplane count together.

use std::sync::atomic::{AtomicU64, Ordering};

use hubline_backplane::LatencyCounters;

use super::numbering::Numbering;

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) published: Counter,
    pub(super) queued: Counter,
    pub(super) replayed: Counter,
    pub(super) expired: Counter,
    pub(super) overflowed: Counter,
    pub(super) unknown: Counter,
    pub(super) refused: Counter,
    pub(super) reconnects: Counter,
    /// Not a count of its own: the order of what goes into outboxes.
    pub(super) places: Counter,
    pub(super) numbering: Numbering,
    pub(super) latencies: LatencyCounters,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn increment(&self) {
        self.add(1);
    }

    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many there were before this one.
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
