//! How fast a client may send.

use std::time::Duration;

use tokio::time::Instant;

use crate::HubLimits;
use crate::statistics::Limit;

/// What may come at once: as much as in this time.
const BURST: Duration = Duration::from_secs(1);

/// Two token buckets, for messages and for bytes. Each is kept as the time at which it will be full again, in nanoseconds
/// since the hub was started.
#[derive(Debug, Default)]
pub(super) struct Inflow {
    messages_full: u64,
    bytes_full: u64,
    /// Bytes that have come and are not charged yet.
    received: u32,
    is_held: bool,
}

impl Inflow {
    pub(super) fn received(&mut self, bytes: usize) {
        self.received = self.received.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Takes what came from the buckets, `now` since the start. The limit that is exceeded with it, which holds the client
    /// back until [`Inflow::held_until`].
    pub(super) fn charge(&mut self, now: Duration, limits: &HubLimits, messages: usize) -> Option<Limit> {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let bytes = std::mem::take(&mut self.received) as usize;
        let excess = [
            (&mut self.messages_full, messages, limits.messages_per_second, Limit::MessagesPerSecond),
            (&mut self.bytes_full, bytes, limits.bytes_per_second, Limit::BytesPerSecond),
        ]
        .into_iter()
        .filter(|(_, _, per_second, _)| *per_second > 0)
        .map(|(full, count, per_second, limit)| {
            *full = (*full).max(now).saturating_add(nanoseconds(count, per_second));
            ((*full).saturating_sub(now), limit)
        })
        .max_by_key(|(until_full, _)| *until_full)
        .filter(|(until_full, _)| u128::from(*until_full) > BURST.as_nanos());
        let was_held = std::mem::replace(&mut self.is_held, excess.is_some());
        excess.map(|(_, limit)| limit).filter(|_| !was_held)
    }

    pub(super) fn is_held(&self) -> bool {
        self.is_held
    }

    /// Until when nothing is to be read, if so.
    pub(super) fn held_until(&self, start: Instant) -> Option<Instant> {
        let full = Duration::from_nanos(self.messages_full.max(self.bytes_full));
        self.is_held.then(|| start + full.saturating_sub(BURST))
    }

    /// Reading may go on.
    pub(super) fn release(&mut self) {
        self.is_held = false;
    }
}

/// How long it takes until so many may come again.
fn nanoseconds(count: usize, per_second: usize) -> u64 {
    let nanoseconds = count as u128 * 1_000_000_000 / per_second as u128;
    u64::try_from(nanoseconds).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(messages_per_second: usize, bytes_per_second: usize) -> HubLimits {
        HubLimits { messages_per_second, bytes_per_second, ..HubLimits::default() }
    }

    #[test]
    fn a_second_may_come_at_once_and_what_is_over_it_takes_its_time() {
        let (start, mut inflow, limits) = (Instant::now(), Inflow::default(), limits(100, 0));
        let now = Duration::from_secs(7);
        assert_eq!(inflow.charge(now, &limits, 100), None);
        assert_eq!(inflow.held_until(start), None);
        assert_eq!(inflow.charge(now, &limits, 50), Some(Limit::MessagesPerSecond));
        assert_eq!(inflow.held_until(start), Some(start + now + Duration::from_millis(500)));
        assert_eq!(inflow.charge(now, &limits, 1), None, "it was told before");
        inflow.release();
        assert_eq!(
            inflow.charge(now + Duration::from_secs(9), &limits, 100),
            None,
            "the bucket is full again"
        );
    }

    #[test]
    fn bytes_have_a_bucket_of_their_own() {
        let (start, mut inflow) = (Instant::now(), Inflow::default());
        inflow.received(3000);
        assert_eq!(inflow.charge(Duration::ZERO, &limits(1000, 1000), 1), Some(Limit::BytesPerSecond));
        assert_eq!(inflow.held_until(start), Some(start + Duration::from_secs(2)));
    }

    #[test]
    fn without_limits_nothing_is_held() {
        let mut inflow = Inflow::default();
        inflow.received(usize::MAX / 2);
        assert_eq!(inflow.charge(Duration::ZERO, &limits(0, 0), usize::MAX / 2), None);
    }
}
