//! One time for all instances: that of Redis, as far as it is known here.

use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::time::Instant;

/// Milliseconds since 1970.
pub(super) type Millis = i64;

/// Tells the time of Redis, or of this machine until Redis has been asked. Deadlines are set by one instance and met by another,
/// so clocks that differ must not count.
#[derive(Debug)]
pub(super) struct Clock(Mutex<(Millis, Instant)>);

impl Clock {
    pub(super) fn new() -> Self {
        let now = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000);
        Self(Mutex::new((now.unwrap_or_default(), Instant::now())))
    }

    /// The time it is.
    pub(super) fn now(&self) -> Millis {
        let (then, since) = *self.0.lock();
        then + i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX / 2)
    }

    /// Redis, asked at `asked`, has just said that it is `now`.
    pub(super) fn learn(&self, now: Millis, asked: Instant) {
        let half_way = asked + asked.elapsed() / 2;
        *self.0.lock() = (now, half_way);
    }
}

/// A time as the hub and the entry in Redis tell it.
pub(super) fn date(millis: Millis) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
