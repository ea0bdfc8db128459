//! When this instance has to look at a call.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::call::CallId;
use super::clock::{Clock, Millis};

/// What is due, by time. One entry for each call and each reason.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: Mutex<BTreeMap<(Millis, CallId), Reason>>,
    earlier: Notify,
}

/// Why a call is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// A deadline may have passed.
    Deadline,
    /// Its clients are to be told of its status, by this instance, which has set it.
    Announcement,
}

impl Timers {
    pub(super) fn set(&self, id: &CallId, at: Millis, reason: Reason) {
        self.due.lock().insert((at, id.clone()), reason);
        self.earlier.notify_one();
    }

    /// Takes what is due, at most `limit`.
    pub(super) fn take(&self, now: Millis, limit: usize) -> Vec<(CallId, Reason)> {
        let mut due = self.due.lock();
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(first) = due.first_entry().filter(|first| first.key().0 <= now)
        {
            let ((_, id), reason) = first.remove_entry();
            taken.push((id, reason));
        }
        taken
    }

    /// Waits until something is due.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn wait(&self, clock: &Clock) {
        loop {
            let next = self.due.lock().first_key_value().map(|((at, _), _)| *at);
            let left = next.map(|at| u64::try_from(at - clock.now()).unwrap_or_default());
            match left {
                Some(0) => return,
                Some(left) => tokio::select! {
                    () = sleep(Duration::from_millis(left)) => {}
                    () = self.earlier.notified() => {}
                },
                None => self.earlier.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_due_first_is_taken_first_and_nothing_before_its_time() {
        let (timers, clock) = (Timers::default(), Clock::new());
        let now = clock.now();
        timers.set(&"b".into(), now + 2_000, Reason::Deadline);
        let waited = tokio::join!(timers.wait(&clock), async {
            timers.set(&"a".into(), now + 1_000, Reason::Announcement);
        });
        assert_eq!(waited, ((), ()));
        assert_eq!(timers.take(clock.now(), 9), [("a".into(), Reason::Announcement)]);
        timers.wait(&clock).await;
        assert!(clock.now() >= now + 2_000);
        assert_eq!(timers.take(clock.now(), 9), [("b".into(), Reason::Deadline)]);
        assert!(timers.take(i64::MAX, 9).is_empty());
    }
}
