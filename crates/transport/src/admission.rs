//! Lets clients in one after the other when many come at once, as after an instance has gone: each costs more while it comes than
//! later, and those that are there are served meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Those of this time may come together.
const BURST: Duration = Duration::from_millis(100);

/// Keeps [`Connections::limit_rate`](crate::Connections::limit_rate).
#[derive(Debug)]
pub(crate) struct Admission {
    per_second: u32,
    interval: Duration,
    /// When everybody who has come is let in, at the rate.
    caught_up: Mutex<Option<Instant>>,
    delayed: AtomicU64,
}

impl Admission {
    /// `None` if there is no limit.
    pub(crate) fn new(per_second: u32) -> Option<Self> {
        let interval = Duration::from_secs(1).checked_div(per_second)?;
        Some(Self { per_second, interval, caught_up: Mutex::default(), delayed: AtomicU64::new(0) })
    }

    /// Ready when it is the client's turn: in the order in which they ask, and never not at all.
    ///
    /// # Cancel safety
    /// Dropped, the turn is lost, and those behind it wait as if it had been taken.
    pub(crate) async fn turn(&self) {
        let Some(turn) = self.take() else { return };
        if self.delayed.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::info!(
                per_second = self.per_second,
                "More clients come at once than Limits:ConnectionsPerSecond: they wait for their turn, and none is refused. Raise it if \
                 the processors have room. Further ones are counted, not logged"
            );
        }
        sleep_until(turn).await;
    }

    /// When it is the client's turn, if that is not now.
    fn take(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut caught_up = self.caught_up.lock();
        let before = caught_up.map_or(now, |caught_up| caught_up.max(now));
        *caught_up = Some(before + self.interval);
        let wait = before.duration_since(now).saturating_sub(BURST);
        (!wait.is_zero()).then(|| now + wait)
    }

    /// How many have waited.
    pub(crate) fn delayed(&self) -> u64 {
        self.delayed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_let_in_at_the_rate_and_in_order() {
        let admission = Admission::new(1_000).unwrap();
        let begun = Instant::now();
        let come = |count: usize| {
            join_all((0..count).map(|_| async {
                admission.turn().await;
                begun.elapsed()
            }))
        };
        let times = come(1_000).await;
        assert!(times.is_sorted());
        assert_eq!(times.iter().filter(|time| time.is_zero()).count(), 101, "a burst");
        let last = times.last().unwrap().as_millis();
        assert!((895..=905).contains(&last), "{last} ms");
        assert_eq!(admission.delayed(), 899);
        tokio::time::advance(Duration::from_secs(60)).await;
        let before = begun.elapsed();
        assert!(come(100).await.iter().all(|time| *time == before), "a crowd of long ago delays nobody");
    }

    #[test]
    fn none_is_no_limit() {
        assert!(Admission::new(0).is_none());
    }
}
