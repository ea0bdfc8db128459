//! One connection's bytes in both directions.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::time::Instant;

use hubline_identity::Principal;

use crate::Frame;

/// One connection's bytes in both directions.
///
/// Incoming bytes are a stream: a read may end anywhere in a message. An outgoing frame holds one whole hub message. A pipe
/// keeps no buffer while nothing is under way, so that idle connections stay small.
pub trait Pipe: Send + 'static {
    /// When the connection has to end because its authentication does; `None` if it does not end for that. Called again
    /// when that time has come, because a newer long poll may have brought a newer token. Default: `None`.
    fn expires(&self) -> Option<Instant> {
        None
    }

    /// Whether the client's messages may be stuck at another instance, so that its silence does not count as a timeout.
    /// Default: no.
    fn may_be_cut_off(&self) -> bool {
        false
    }

    /// Ready once for each refresh of the connection's authentication (.NET 11), with the newest principal, `None` for an
    /// anonymous user. It is ready before the client is told that its refresh was accepted. Never ready where
    /// authentication refresh is off.
    ///
    /// The hub calls it first after the handshake. All refreshes before that count as one; from then on a principal of
    /// another issuer is accepted if the hub's user id is the same.
    fn poll_principal(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Arc<Principal>>> {
        Poll::Pending
    }

    /// Appends received bytes to `input`; ready when there are any.
    ///
    /// # Errors
    /// No more bytes will come; it must not be called again.
    fn poll_receive(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<(), PipeEnd>>;

    /// Sends frames from the front and removes each that is sent whole; ready when none is left.
    ///
    /// # Errors
    /// Nothing more can be sent.
    fn poll_send(&mut self, cx: &mut Context<'_>, frames: &mut VecDeque<Frame>) -> Poll<Result<(), PipeEnd>>;

    /// Number of bytes that are sent of the frame which [`Pipe::poll_send`] has left in front; 0 if the pipe does not know.
    fn partly_sent(&self) -> usize {
        0
    }

    /// Closes the connection in the transport's way, and waits a bounded time for the other side.
    fn close(self: Box<Self>, code: CloseCode) -> Pin<Box<dyn Future<Output = CloseOutcome> + Send>>;
}

/// How the other side took the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseOutcome {
    /// It answered.
    Answered,
    /// The transport was lost, or has no answer to give.
    Lost,
    /// It was silent until the time was up.
    Silent,
}

/// How a direction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PipeEnd {
    /// The other side closed the connection.
    #[error("the client closed the transport")]
    Closed,
    /// The other side will send nothing more, but still reads: a long-polling client has asked to end.
    #[error("the client ended the connection")]
    InputEnded,
    /// The connection broke or stopped without a word.
    #[error("the transport was lost")]
    Lost,
    /// The other side broke the rules of the transport.
    #[error("the client broke the rules of the transport (close code {})", .0.number())]
    Violation(CloseCode),
}

/// What a WebSocket close frame says (RFC 6455, section 7.4.1); other transports just end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// 1000
    Normal,
    /// 1002
    ProtocolError,
    /// 1007: a text frame that is not UTF-8.
    InvalidPayload,
}

impl CloseCode {
    /// As it stands in the close frame.
    pub fn number(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::ProtocolError => 1002,
            Self::InvalidPayload => 1007,
        }
    }
}
