//! How many messages are on their way whose publishers have gone on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(super) struct Posted {
    begun: AtomicU64,
    ended: AtomicU64,
    one_ended: Notify,
}

/// One of them, until this is dropped.
#[derive(Debug)]
pub(super) struct Ticket(Arc<Posted>);

impl Posted {
    pub(super) fn begin(self: &Arc<Self>) -> Ticket {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Ticket(Arc::clone(self))
    }

    /// Ready when as many have ended as had begun. They end in the order in which they began, but for those of
    /// several Redis nodes and those that Redis does not take.
    pub(super) async fn flushed(&self) {
        let begun = self.begun.load(Ordering::Relaxed);
        loop {
            let one_ended = self.one_ended.notified();
            if self.ended.load(Ordering::Acquire) >= begun {
                return;
            }
            one_ended.await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Release);
        self.0.one_ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn what_begins_later_is_not_waited_for() {
        let posted = Arc::<Posted>::default();
        assert!(posted.flushed().now_or_never().is_some());
        let (first, second) = (posted.begin(), posted.begin());
        let mut flushed = Box::pin(posted.flushed());
        assert!((&mut flushed).now_or_never().is_none());
        let _third = posted.begin();
        drop(first);
        assert!((&mut flushed).now_or_never().is_none());
        drop(second);
        assert!(flushed.now_or_never().is_some());
    }
}
