//! Telling a hub method that nobody waits for it any more.

use tokio_util::sync::CancellationToken;

/// A parameter of a hub method: whether its caller still wants it (ASP.NET Core's `CancellationToken`).
///
/// It is cancelled when the client cancels the invocation, or when the connection has ended. A method that
/// takes one decides itself when to stop: its future and its stream are never dropped half-way. A *stream*
/// whose method takes none is simply dropped.
///
/// ```
/// use std::time::Duration;
/// use hubline_hub::{Cancellation, Hub};
///
/// async fn patient(cancellation: Cancellation, seconds: u64) -> bool {
///     tokio::select! {
///         () = tokio::time::sleep(Duration::from_secs(seconds)) => true,
///         () = cancellation.cancelled() => false,
///     }
/// }
/// let hub: Hub = Hub::new("Example").method("Patient", patient);
/// ```
#[derive(Debug, Clone)]
pub struct Cancellation(CancellationToken);

impl Cancellation {
    pub(crate) fn new(token: CancellationToken) -> Self {
        Self(token)
    }

    /// Whether it has happened.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits for it.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }

    /// The token itself, for code that takes one.
    pub fn token(&self) -> &CancellationToken {
        &self.0
    }
}
