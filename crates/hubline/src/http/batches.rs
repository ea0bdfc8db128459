//! Accepting many connections without keeping those that are there waiting.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

/// How many are accepted in a row.
const BATCH: u32 = 8;
/// How long that takes at least. tokio's clock has whole milliseconds, so it is up to one more.
const LEAST: Duration = Duration::from_millis(1);
/// How long it takes at most, so that a thousand in a second come however busy the threads are.
const MOST: Duration = Duration::from_millis(8);

/// Lets a crowd in by batches. After each one every thread does first what it has to do, so a message waits for one batch rather than for
/// all who come, and the busier the threads are, the slower others are accepted. Who waits is in the listener's backlog.
#[derive(Debug)]
pub(super) struct Batches {
    threads: Vec<Handle>,
    begun: Instant,
    accepted: u32,
}

impl Batches {
    /// Of connections that are served by these runtimes.
    pub(super) fn new(threads: Vec<Handle>) -> Self {
        Self { threads, begun: Instant::now(), accepted: 0 }
    }

    /// After one was accepted: ready when the next one may be.
    ///
    /// # Cancel safety
    /// Safe: the batch counts as over.
    pub(super) async fn accepted(&mut self) {
        if self.begun.elapsed() > LEAST {
            (self.begun, self.accepted) = (Instant::now(), 0);
        }
        self.accepted += 1;
        if self.accepted < BATCH {
            return;
        }
        self.accepted = 0;
        let come_round = join_all(self.threads.iter().map(|thread| thread.spawn(yield_now())));
        _ = tokio::join!(timeout(MOST, come_round), sleep_until(self.begun + LEAST));
        self.begun = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn accept(batches: &mut Batches, count: u32) -> Duration {
        let begun = Instant::now();
        for _ in 0..count {
            batches.accepted().await;
        }
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_comes_in_batches_and_a_few_at_once() {
        let mut batches = Batches::new(vec![Handle::current()]);
        for _ in 0..100 {
            assert_eq!(accept(&mut batches, BATCH - 1).await, Duration::ZERO);
            tokio::time::advance(2 * LEAST).await;
        }
        let took = accept(&mut batches, 100 * BATCH).await;
        assert!((100 * LEAST..=201 * LEAST).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn threads_that_are_busy_come_first_and_a_thousand_a_second_are_accepted_all_the_same() {
        // A runtime that nobody drives never comes round.
        let busy = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut batches = Batches::new(vec![Handle::current(), busy.handle().clone()]);
        let took = accept(&mut batches, 100 * BATCH).await;
        assert!((100 * MOST..=101 * (MOST + LEAST)).contains(&took), "{took:?}");
        busy.shutdown_background();
    }
}
