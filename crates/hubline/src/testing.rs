#![doc = include_str!("../../../docs/testing-a-hub.md")]

mod arguments;
mod client;
mod connect;
mod handler;
mod inbox;
mod stream;

pub use arguments::{Received, ReceivedArguments};
pub use client::TestClient;
pub use connect::{Connect, Refused};
pub use handler::{Answering, ClientHandler};
pub use hubline_backplane::{MemoryBackplane, memory_backplanes};
pub use stream::TestStream;

/// How a server closed the connection of a [`TestClient`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// The error of the Close message, if there was one.
    pub error: Option<String>,
    /// Whether a client with automatic reconnect comes back.
    pub allow_reconnect: bool,
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.error.as_deref().unwrap_or("without an error"))?;
        f.write_str(if self.allow_reconnect { "; it may reconnect" } else { "; it may not reconnect" })
    }
}
