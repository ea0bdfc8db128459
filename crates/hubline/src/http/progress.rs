//! How far an HTTP connection is, known to its socket, its clock and its service.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
#[expect(clippy::disallowed_types, reason = "hyper speaks of it; it is always made of tokio's")]
use std::time::Instant;

use hyper::rt::{Sleep, Timer};
use parking_lot::Mutex;
use pin_project_lite::pin_project;

use super::long_response::LongResponse;

/// What the parts of one connection tell each other. All of them run in its task, one after the other.
#[derive(Debug, Default)]
pub(super) struct Progress {
    reading: AtomicU8,
    is_lifted: AtomicBool,
    is_switching: AtomicBool,
    is_write_blocked: AtomicBool,
    long_response: Mutex<Option<LongResponse>>,
}

/// All that was read are whole requests.
const BETWEEN: u8 = 0;
/// A part of a request was read.
const WITHIN: u8 = 1;
/// Nobody knows where requests begin, and nothing was read since hyper has waited for one.
const UNKNOWN: u8 = 2;
/// The same, and something was read.
const UNKNOWN_READ: u8 = 3;

impl Progress {
    /// A client has sent whole requests and nothing else.
    pub(super) fn is_between_requests(&self) {
        self.reading.store(BETWEEN, Ordering::Relaxed);
    }

    /// A client has sent a part of a request.
    pub(super) fn is_within_request(&self) {
        self.reading.store(WITHIN, Ordering::Relaxed);
    }

    /// A client has sent something.
    pub(super) fn has_read(&self) {
        self.reading.store(UNKNOWN_READ, Ordering::Relaxed);
    }

    fn waits_for_head(&self) {
        if self.reading.load(Ordering::Relaxed) == UNKNOWN_READ {
            self.reading.store(UNKNOWN, Ordering::Relaxed);
        }
    }

    fn has_begun_head(&self) -> bool {
        matches!(self.reading.load(Ordering::Relaxed), WITHIN | UNKNOWN_READ)
    }

    /// The last request of the connection, which asks for a WebSocket, says HTTP/1.0.
    pub(super) fn lift(&self) {
        self.is_lifted.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_lifted(&self) -> bool {
        self.is_lifted.load(Ordering::Relaxed)
    }

    /// The next answer is the last, and makes the connection another protocol's.
    pub(super) fn switch(&self) {
        self.is_switching.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_switching(&self) -> bool {
        self.is_switching.load(Ordering::Relaxed)
    }

    /// Whether the socket took the bytes that it was offered last.
    pub(super) fn has_written(&self, written: &Poll<io::Result<usize>>) {
        self.is_write_blocked.store(written.is_pending(), Ordering::Relaxed);
    }

    /// The request that is being answered is no longer for hyper to answer.
    pub(super) fn hand_over(&self, response: LongResponse) {
        *self.long_response.lock() = Some(response);
    }

    /// What was handed over, once all that hyper has written before has gone.
    pub(super) fn take_long_response(&self) -> Option<LongResponse> {
        if self.is_write_blocked.load(Ordering::Relaxed) {
            return None;
        }
        self.long_response.lock().take()
    }
}

/// The clock that hyper asks how long to wait for a head: first for its beginning, then for the rest.
#[derive(Debug)]
pub(super) struct HeadTimer {
    pub(super) progress: Arc<Progress>,
    pub(super) head_timeout: Duration,
}

#[expect(clippy::disallowed_types, reason = "hyper speaks of it; it is always made of tokio's")]
impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    /// hyper calls this when it begins to wait for a head, and for nothing else.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.progress.waits_for_head();
        Box::pin(HeadSleep {
            sleep: tokio::time::sleep_until(deadline.into()),
            progress: Arc::clone(&self.progress),
            head_timeout: Some(self.head_timeout),
        })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }
}

pin_project! {
    struct HeadSleep {
        #[pin]
        sleep: tokio::time::Sleep,
        progress: Arc<Progress>,
        // `None` once it counts.
        head_timeout: Option<Duration>,
    }
}

impl Future for HeadSleep {
    type Output = ();

    /// hyper polls this whenever it has read and a head is not complete.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if this.progress.has_begun_head()
            && let Some(head_timeout) = this.head_timeout.take()
        {
            this.sleep.as_mut().reset(tokio::time::Instant::now() + head_timeout);
        }
        this.sleep.poll(cx)
    }
}

impl Sleep for HeadSleep {}
