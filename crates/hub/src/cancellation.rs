//! Cancellation of invocations by their client.

use tokio_util::sync::CancellationToken;

/// A parameter of a hub method: whether its caller still wants it (ASP.NET Core's `CancellationToken`).
///
/// It is cancelled when the client cancels the invocation, a call as well as a stream, or when the connection has
/// ended. A method that takes one decides itself when to stop: its future and its stream are never dropped half-way.
/// A *stream* whose method takes none is simply dropped. A call that is cancelled while it waits for its turn does
/// not run.
///
/// A cancelled call still gets an answer: what the method returns, or its error. [`Cancelled`] is the error to return
/// where there is nothing else to say, and [`Cancellation::run_until_cancelled`] the short way to it.
///
/// ```
/// use std::time::Duration;
/// use hubline_hub::{Cancellation, Cancelled, Hub};
///
/// async fn patient(cancellation: Cancellation, seconds: u64) -> Result<u64, Cancelled> {
///     cancellation.run_until_cancelled(tokio::time::sleep(Duration::from_secs(seconds))).await?;
///     Ok(seconds)
/// }
///
/// async fn as_far_as_it_gets(cancellation: Cancellation) -> u64 {
///     let mut done = 0;
///     while done < 1000 && !cancellation.is_cancelled() {
///         tokio::task::yield_now().await;
///         done += 1;
///     }
///     done
/// }
/// let hub: Hub = Hub::new("Example").method("Patient", patient).method("AsFarAsItGets", as_far_as_it_gets);
/// ```
#[derive(Debug, Clone)]
pub struct Cancellation(CancellationToken);

/// The error of a method that stopped because it was cancelled.
///
/// It is no failure and not logged as one. The client is told what ASP.NET Core tells it of a
/// `TaskCanceledException`: that an unexpected error occurred, and the exception only with detailed errors on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A task was canceled.")]
pub struct Cancelled;

impl Cancellation {
    pub(crate) fn new(token: CancellationToken) -> Self {
        Self(token)
    }

    /// Whether the invocation is cancelled or its connection has ended.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until the invocation is cancelled or its connection ends.
    ///
    /// # Cancel safety
    /// Safe: it may be called again.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }

    /// Runs a future until it ends or this is cancelled, which drops the future.
    ///
    /// # Errors
    /// [`Cancelled`], if that came first.
    ///
    /// # Cancel safety
    /// As the future that it runs: it is dropped with this one.
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Result<F::Output, Cancelled> {
        tokio::select! {
            biased;
            () = self.cancelled() => Err(Cancelled),
            output = future => Ok(output),
        }
    }

    /// The token itself, for code that takes one.
    pub fn token(&self) -> &CancellationToken {
        &self.0
    }
}
