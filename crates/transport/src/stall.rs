//! Time limits for clients that keep their HTTP connection and stop sending or reading.
//!
//! tower-http bounds a request's body in the same way (`TimeoutBody`), with a timer for every poll and errors that are boxes; it has
//! nothing for a socket that takes no byte, and its other timeouts are for whole responses, which event streams outlast.

mod body;
mod socket;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

pub use body::{BodyError, BodyTimeout};
pub use socket::SendTimeout;

/// Nothing has moved for as long as is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client made no progress in time")]
pub struct Stalled;

impl From<Stalled> for io::Error {
    fn from(stalled: Stalled) -> Self {
        Self::new(io::ErrorKind::TimedOut, stalled)
    }
}

/// Measures how long something has been pending without a break. While nothing is, or with [`Duration::MAX`], there is no
/// timer.
#[derive(Debug)]
struct StallTimer {
    limit: Duration,
    running: Option<Pin<Box<Sleep>>>,
}

impl StallTimer {
    fn new(limit: Duration) -> Self {
        Self { limit, running: None }
    }

    /// Hands through what was polled; an error instead of pending once that has lasted too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<T>) -> Poll<Result<T, Stalled>> {
        match polled {
            Poll::Ready(progress) => {
                self.running = None;
                Poll::Ready(Ok(progress))
            }
            Poll::Pending if self.limit == Duration::MAX => Poll::Pending,
            Poll::Pending => {
                let running = self.running.get_or_insert_with(|| Box::pin(sleep(self.limit)));
                running.as_mut().poll(cx).map(|()| Err(Stalled))
            }
        }
    }
}
