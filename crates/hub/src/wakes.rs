//! Waking connections of another thread, many at once.
//!
//! Waking a task of another single-threaded runtime costs a system call each time, a tenth of a delivery.
//! So a thread that serves connections has a list: whoever delivers from elsewhere leaves the wakers there,
//! and wakes the thread only for the first of them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

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

/// Makes this thread wake its connections in batches. Run it on the thread's own single-threaded runtime, for
/// as long as that serves connections; it never ends by itself.
///
/// Only connections that start afterwards, on the same thread, take part. A runtime of several threads needs
/// no such thing and must not have it: its connections move between threads.
pub async fn collect_wakes() {
    let list = Arc::new(WakeList::default());
    let _leaving = Leaving;
    HERE.set(Some(Arc::clone(&list)));
    loop {
        for waker in list.all().await {
            waker.wake();
        }
    }
}

struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        HERE.set(None);
    }
}

impl WakeList {
    /// This thread's list, if it has one.
    pub(crate) fn of_this_thread() -> Option<Arc<Self>> {
        HERE.with_borrow(Clone::clone)
    }

    /// Wakes a task of the list's thread.
    pub(crate) fn wake(self: &Arc<Self>, waker: Waker) {
        if HERE.with_borrow(|here| here.as_ref().is_some_and(|here| Arc::ptr_eq(here, self))) {
            return waker.wake();
        }
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_task_is_woken_from_its_own_thread_and_from_another() {
        tokio::spawn(collect_wakes());
        while WakeList::of_this_thread().is_none() {
            tokio::task::yield_now().await;
        }
        let list = WakeList::of_this_thread().unwrap();
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
}
