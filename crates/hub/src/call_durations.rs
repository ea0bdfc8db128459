//! How long calls take.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
#[expect(
    clippy::disallowed_types,
    reason = "the duration of a call is real time, which a paused clock has none of"
)]
type Instant = std::time::Instant;

use crate::striped::Striped;

/// What is counted of one method of a hub on one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MethodStatistics {
    /// The method's name, as it was registered.
    pub name: String,
    /// How long its calls took that have ended, since the start.
    pub durations: CallDurations,
}

/// How long calls took: from their begin, when their turn had come, to the return of the method, filters included. A method that
/// streams is measured until its stream begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallDurations {
    /// Number of calls.
    pub count: u64,
    /// Sum of their durations.
    pub sum: Duration,
    /// How many took no longer than the bound at the same place of [`CallDurations::BOUNDS`], and longer than the one before.
    /// The last is for those that took longer than all bounds.
    pub buckets: [u64; Self::BOUNDS.len() + 1],
}

impl CallDurations {
    /// The bounds of all buckets but the last, which has none.
    pub const BOUNDS: [Duration; 12] = [
        Duration::from_micros(100),
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_secs(5),
        Duration::from_secs(10),
        Duration::from_secs(60),
    ];
}

/// Counts durations.
#[derive(Debug, Default)]
pub(crate) struct DurationCounters(Striped<Counts>);

#[derive(Debug, Default)]
struct Counts {
    nanoseconds: AtomicU64,
    buckets: [AtomicU64; CallDurations::BOUNDS.len() + 1],
}

impl DurationCounters {
    pub(crate) fn record(&self, took: Duration) {
        // Most calls are in the first bucket.
        let bucket = CallDurations::BOUNDS.iter().position(|bound| took <= *bound);
        let counts = self.0.mine();
        counts.buckets[bucket.unwrap_or(CallDurations::BOUNDS.len())].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        counts.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self) -> CallDurations {
        let mut durations = CallDurations::default();
        let mut nanoseconds = 0;
        for counts in self.0.iter() {
            nanoseconds += counts.nanoseconds.load(Ordering::Relaxed);
            for (sum, count) in durations.buckets.iter_mut().zip(&counts.buckets) {
                *sum += count.load(Ordering::Relaxed);
            }
        }
        durations.sum = Duration::from_nanos(nanoseconds);
        durations.count = durations.buckets.iter().sum();
        durations
    }
}

/// Measures one call over its polls.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    /// Set by the first poll that does not end the call.
    began: OnceLock<Instant>,
    is_stopped: AtomicBool,
}

impl Stopwatch {
    /// A poll that began then and took so long has ended the call, or has not. The first end counts: what is polled
    /// afterwards is the call's stream.
    pub(crate) fn polled(
        &self,
        began: Instant,
        took: Duration,
        has_ended: bool,
        counters: &DurationCounters,
    ) {
        if self.is_stopped.load(Ordering::Relaxed) {
            return;
        }
        if has_ended {
            self.is_stopped.store(true, Ordering::Relaxed);
            let before = self.began.get().map_or(Duration::ZERO, |first| began.duration_since(*first));
            counters.record(before + took);
        } else {
            self.began.get_or_init(|| began);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_measured_over_all_its_polls_and_its_stream_is_not() {
        let counters = DurationCounters::default();
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let call = Stopwatch::default();
        call.polled(at(0), Duration::from_millis(1), false, &counters);
        call.polled(at(20), Duration::from_millis(1), false, &counters);
        call.polled(at(40), Duration::from_millis(2), true, &counters);
        call.polled(at(900), Duration::from_millis(2), true, &counters);
        Stopwatch::default().polled(at(0), Duration::from_micros(3), true, &counters);
        let durations = counters.sum();
        assert_eq!((durations.count, durations.sum), (2, Duration::from_micros(42_003)));
        assert_eq!((durations.buckets[0], durations.buckets[5]), (1, 1), "{durations:?}");
        let other_thread = std::thread::scope(|scope| {
            scope.spawn(|| counters.record(Duration::from_secs(61))).join().unwrap();
            counters.sum()
        });
        assert_eq!((other_thread.count, other_thread.buckets[12]), (3, 1));
    }
}
