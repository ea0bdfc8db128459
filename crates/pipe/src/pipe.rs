//! The duplex itself.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;

use crate::Frame;

/// One connection's bytes in both directions.
///
/// Incoming bytes are a stream whose pieces mean nothing; outgoing frames hold whole hub messages and stay
/// apart. A pipe keeps no buffer while nothing is under way, so that idle connections stay small.
pub trait Pipe: Send + 'static {
    /// Whether the server should send pings. A long poll is a sign of life by itself.
    fn wants_keep_alive(&self) -> bool {
        true
    }

    /// Appends what has come to `input`; ready when something has.
    ///
    /// # Errors
    /// The direction has ended; it is not called again.
    fn poll_receive(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<(), PipeEnd>>;

    /// Sends frames from the front and removes each that is sent whole; ready when none is left.
    ///
    /// # Errors
    /// Nothing more can be sent.
    fn poll_send(&mut self, cx: &mut Context<'_>, frames: &mut VecDeque<Frame>) -> Poll<Result<(), PipeEnd>>;

    /// Says good-bye as the transport does it and waits a bounded time for the other side.
    fn close(self: Box<Self>, code: CloseCode) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// How a direction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PipeEnd {
    /// The other side said good-bye.
    #[error("the client closed the transport")]
    Closed,
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
