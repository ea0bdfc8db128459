//! Limits how often other instances are asked for connections that may not exist: 1,000 requests a second.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Between two requests, once those that may come at once have come: 1,000 a second.
const BETWEEN: Duration = Duration::from_millis(1);
/// How many may come at once, by the time that they take.
const AT_ONCE: Duration = Duration::from_millis(200);
/// How long a request waits for its turn at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lets requests through in the order in which they came.
#[derive(Debug)]
pub(super) struct RateLimit {
    next: Mutex<Instant>,
}

/// The request would have to wait for more than 5 s.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RateLimited;

impl RateLimit {
    pub(super) fn new() -> Self {
        Self { next: Mutex::new(Instant::now()) }
    }

    /// Waits until a request may be made.
    ///
    /// # Errors
    /// That would take more than 5 s.
    pub(super) async fn acquire(&self) -> Result<(), RateLimited> {
        let turn = {
            let mut next = self.next.lock();
            let now = Instant::now();
            let turn = next.max(now.checked_sub(AT_ONCE).unwrap_or(now));
            if turn > now + PATIENCE {
                return Err(RateLimited);
            }
            *next = turn + BETWEEN;
            turn
        };
        sleep_until(turn).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn some_come_at_once_others_in_turn_and_more_are_refused() {
        let rate_limit = RateLimit::new();
        tokio::time::advance(Duration::from_secs(60)).await;
        let begin = Instant::now();
        let turns =
            join_all((0..10_000).map(|_| async { rate_limit.acquire().await.map(|()| begin.elapsed()) }))
                .await;
        let waited: Vec<Duration> = turns.iter().flatten().copied().collect();
        let at_once = waited.iter().filter(|waited| **waited == Duration::ZERO).count();
        assert_eq!((at_once, waited.len()), (201, 5201));
        assert_eq!(waited.last(), Some(&PATIENCE));
        assert_eq!(turns.last(), Some(&Err(RateLimited)));
        assert_eq!(rate_limit.acquire().await, Ok(()), "who has waited has made room");
    }
}
