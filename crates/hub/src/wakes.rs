//! Waking a thread's connections, many at once.
//!
//! Waking a task of another single-threaded runtime costs a system call each time, a tenth of a delivery.
//! So a thread that serves connections has a list: whoever delivers leaves the wakers there, and wakes the
//! thread only for the first of them.
//!
//! A write costs ten times what a message in it costs. So after many connections were woken at once, the list
//! rests for a moment, and what is delivered meanwhile goes out together. Whoever sends now and then does not
//! notice; whoever sends thousands of messages a second saves half of the writes.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::sleep;

/// How many connections woken at once are followed by a rest.
const MANY: usize = 16;

/// tokio's clock has whole milliseconds, so this is up to two.
const REST: Duration = Duration::from_millis(1);

thread_local! {
    static HERE: RefCell<Option<Arc<WakeList>>> = const { RefCell::new(None) };
}

/// The wakers of one thread's connections that are to be woken.
#[derive(Debug, Default)]
pub(crate) struct WakeList(Mutex<Wakes>);

#[derive(Debug, Default)]
struct Wakes {
    pending: Vec<Waker>,
    /// The task that empties the list, if it waits.
    collector: Option<Waker>,
}

/// Wakes the connections of this thread in batches. It runs on the thread's own single-threaded runtime, for as long as that
/// serves connections, and never returns.
///
/// Only connections that start afterwards, on the same thread, take part. It must not run on a runtime of several threads,
/// whose connections move between threads.
///
/// # Cancel safety
/// Dropped early, wakers that are in the list are not woken; do so only when the runtime ends.
pub async fn collect_wakes() {
    // After a panic its connections still have the list from before.
    let list = WakeList::of_this_thread().unwrap_or_default();
    let _leaving = Leaving;
    HERE.set(Some(Arc::clone(&list)));
    loop {
        let wakers = list.all().await;
        let many = wakers.len() >= MANY;
        for waker in wakers {
            waker.wake();
        }
        if many {
            sleep(REST).await;
        }
    }
}

struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            HERE.set(None);
        }
    }
}

impl WakeList {
    /// This thread's list, if it has one.
    pub(crate) fn of_this_thread() -> Option<Arc<Self>> {
        HERE.with_borrow(Clone::clone)
    }

    /// Wakes a task of the list's thread.
    pub(crate) fn wake(&self, waker: Waker) {
        let mut wakes = self.lock();
        wakes.pending.push(waker);
        let collector = wakes.collector.take();
        drop(wakes);
        if let Some(collector) = collector {
            collector.wake();
        }
    }

    /// Waits until there are some, and takes them.
    async fn all(&self) -> Vec<Waker> {
        poll_fn(|cx| {
            let mut wakes = self.lock();
            if wakes.pending.is_empty() {
                wakes.collector = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(std::mem::take(&mut wakes.pending))
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Wakes> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use tokio::sync::{Semaphore, oneshot};
    use tokio::time::Instant;

    use super::*;

    async fn collecting() -> Arc<WakeList> {
        tokio::spawn(collect_wakes());
        loop {
            if let Some(list) = WakeList::of_this_thread() {
                return list;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_task_is_woken_from_its_own_thread_and_from_another() {
        let list = collecting().await;
        for from_another_thread in [false, true] {
            let (send, mut receive) = oneshot::channel();
            let mut sender = Some(send);
            let list = Arc::clone(&list);
            poll_fn(|cx| {
                let Some(sender) = sender.take() else { return Poll::Ready(()) };
                let (list, waker) = (Arc::clone(&list), cx.waker().clone());
                let wake = move || {
                    _ = sender.send(());
                    list.wake(waker);
                };
                if from_another_thread {
                    std::thread::spawn(wake);
                } else {
                    wake();
                }
                Poll::Pending
            })
            .await;
            assert_eq!(receive.try_recv(), Ok(()));
        }
    }

    struct Woken(Semaphore);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.add_permits(1);
        }
    }

    /// Leaves so many wakers and returns how long it takes until all were woken.
    async fn time_to_wake(list: &WakeList, wakers: u32) -> Duration {
        let (woken, begun) = (Arc::new(Woken(Semaphore::new(0))), Instant::now());
        for _ in 0..wakers {
            list.wake(Arc::clone(&woken).into());
        }
        _ = woken.0.acquire_many(wakers).await.unwrap();
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn only_many_at_once_are_followed_by_a_rest() {
        let list = collecting().await;
        for _ in 0..3 {
            assert_eq!(time_to_wake(&list, 15).await, Duration::ZERO);
        }
        assert_eq!(time_to_wake(&list, 16).await, Duration::ZERO);
        assert_eq!(time_to_wake(&list, 1).await, REST);
    }
}
