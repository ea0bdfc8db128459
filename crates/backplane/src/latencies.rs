//! How long things took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long things took, counted by bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latencies {
    /// How many things.
    pub count: u64,
    /// Sum of their times.
    pub sum: Duration,
    /// How many took no longer than the bound at the same place of [`Latencies::BOUNDS`], and longer than the one before. The last is for
    /// those that took longer than all bounds.
    pub buckets: [u64; Self::BOUNDS.len() + 1],
}

impl Latencies {
    /// The bounds of all buckets but the last, which has none.
    pub const BOUNDS: [Duration; 16] = [
        Duration::from_micros(100),
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_micros(2_500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(250),
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_millis(2_500),
        Duration::from_secs(5),
        Duration::from_secs(10),
        Duration::from_secs(60),
    ];
}

/// Counts how long things take; several threads may.
#[derive(Debug, Default)]
pub struct LatencyCounters {
    nanoseconds: AtomicU64,
    buckets: [AtomicU64; Latencies::BOUNDS.len() + 1],
}

impl LatencyCounters {
    /// Counts one.
    pub fn record(&self, took: Duration) {
        // Most are in the first buckets.
        let bucket = Latencies::BOUNDS.iter().position(|bound| took <= *bound);
        self.buckets[bucket.unwrap_or(Latencies::BOUNDS.len())].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// What all of these have counted, together.
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Latencies {
        let (mut latencies, mut nanoseconds) = (Latencies::default(), 0_u64);
        for counters in all {
            nanoseconds = nanoseconds.wrapping_add(counters.nanoseconds.load(Ordering::Relaxed));
            for (sum, count) in latencies.buckets.iter_mut().zip(&counters.buckets) {
                *sum += count.load(Ordering::Relaxed);
            }
        }
        latencies.count = latencies.buckets.iter().sum();
        latencies.sum = Duration::from_nanos(nanoseconds);
        latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_by_their_bounds() {
        let counters = [LatencyCounters::default(), LatencyCounters::default()];
        let times = [
            Duration::from_micros(100),
            Duration::from_micros(101),
            Duration::from_secs(60),
            Duration::from_millis(60_001),
        ];
        for (time, counters) in times.into_iter().zip(counters.iter().cycle()) {
            counters.record(time);
        }
        let latencies = LatencyCounters::sum(&counters);
        let last = Latencies::BOUNDS.len();
        assert_eq!([0, 1, last - 1, last].map(|bucket| latencies.buckets[bucket]), [1; 4], "{latencies:?}");
        assert_eq!((latencies.count, latencies.sum), (4, Duration::from_micros(120_001_201)));
        assert_eq!(LatencyCounters::sum(&counters[..1]).count, 2);
        assert!(Latencies::BOUNDS.is_sorted());
    }
}
