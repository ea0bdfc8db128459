//! How long calls take.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hubline_backplane::{Latencies, LatencyCounters};
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
    /// How long its calls took that have ended, since the start: from their begin, when their turn had come, to the return of the method, filters
    /// included. A method that streams is measured until its stream begins.
    pub durations: Latencies,
}

/// Counts durations.
#[derive(Debug, Default)]
pub(crate) struct DurationCounters(Striped<LatencyCounters>);

impl DurationCounters {
    pub(crate) fn record(&self, took: Duration) {
        self.0.mine().record(took);
    }

    pub(crate) fn sum(&self) -> Latencies {
        LatencyCounters::sum(self.0.iter())
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
        assert_eq!((durations.buckets[0], durations.buckets[7]), (1, 1), "{durations:?}");
        let other_thread = std::thread::scope(|scope| {
            scope.spawn(|| counters.record(Duration::from_secs(61))).join().unwrap();
            counters.sum()
        });
        assert_eq!((other_thread.count, other_thread.buckets[16]), (3, 1));
    }
}
