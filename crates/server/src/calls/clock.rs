//! One time for all instances: that of Redis, as far as it is known here.

use std::time::Duration;

use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::time::Instant;

/// Milliseconds since 1970.
pub(super) type Millis = i64;

/// How far two clocks drift apart at most, as a part of the time that passes: quartz is 5 times better.
const DRIFT: u32 = 2_000;

/// Tells the time of Redis, or of this machine until Redis has been asked. Deadlines are set by one instance and met by another,
/// and ids begin with the time, so clocks that differ must not count.
///
/// An answer of Redis is as good as it was fast: the time that it tells is that of some moment since it was asked. So an answer counts
/// unless the one before, worse by now than it was because clocks drift, is still better.
#[derive(Debug)]
pub(super) struct Clock(Mutex<Sample>);

/// What Redis has said.
#[derive(Debug, Clone, Copy)]
struct Sample {
    now: Millis,
    /// When that was, give or take `error`.
    at: Instant,
    error: Duration,
}

impl Sample {
    fn error_at(&self, now: Instant) -> Duration {
        self.error.saturating_add(now.saturating_duration_since(self.at) / DRIFT)
    }
}

impl Clock {
    pub(super) fn new() -> Self {
        let now = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000);
        Self(Mutex::new(Sample { now: now.unwrap_or_default(), at: Instant::now(), error: Duration::MAX }))
    }

    /// The time it is.
    pub(super) fn now(&self) -> Millis {
        let Sample { now, at, .. } = *self.0.lock();
        now + i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX / 2)
    }

    /// Redis, asked at `asked`, has just said that it is `now`.
    pub(super) fn learn(&self, now: Millis, asked: Instant) {
        let answered = Instant::now();
        let error = answered.saturating_duration_since(asked) / 2;
        let mut known = self.0.lock();
        if error <= known.error_at(answered) {
            *known = Sample { now, at: asked + error, error };
        }
    }
}

/// A time as the hub and the entry in Redis tell it.
pub(super) fn date(millis: Millis) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_does_not_count_until_the_fast_one_before_is_old() {
        let (clock, second) = (Clock::new(), Duration::from_secs(1));
        let begun = Instant::now();
        clock.learn(1_000_000, begun);
        assert_eq!(clock.now(), 1_000_000);
        // Redis stood still for 2 s and said what time it was when it went on.
        advance(2 * second).await;
        clock.learn(1_002_000, begun);
        assert_eq!(clock.now(), 1_002_000, "not 1 s ahead");
        let asked = Instant::now();
        advance(second / 100).await;
        clock.learn(2_000_000, asked);
        assert_eq!(clock.now(), 1_002_010);
        advance(20 * second).await;
        let asked = Instant::now();
        advance(second / 100).await;
        clock.learn(2_000_000, asked);
        assert_eq!(clock.now(), 2_000_005, "Redis has another clock by now: that of a replica, perhaps");
    }
}
