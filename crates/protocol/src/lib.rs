//! SignalR hub protocols: bytes to hub messages and back.
//!
//! No I/O and no async: a reader is given bytes and says what they mean, a writer is given values and
//! makes bytes. The server side of both protocols lives here, so that a wire bug has one address.
//!
//! ```
//! use hubline_protocol::{HubProtocol, encode, framing, json};
//!
//! let sent = encode::invocation(HubProtocol::Json, None, "Receive", &("ada", 1.0)).unwrap();
//! assert_eq!(sent.payload(), "{\"type\":1,\"target\":\"Receive\",\"arguments\":[\"ada\",1]}\u{1e}".as_bytes());
//!
//! let mut received = &sent.payload()[..];
//! let text = framing::split_text(received, usize::MAX).unwrap().unwrap();
//! assert!(matches!(json::read(text).unwrap(), hubline_protocol::HubMessage::Invocation(_)));
//! received = &received[text.len() + 1..];
//! assert!(received.is_empty());
//! ```
//!
//! It does not read MessagePack yet; it writes it, because a Redis backplane always carries both protocols.

mod id;
mod message;

pub mod framing;

pub mod handshake;
pub mod negotiate;

pub mod json;
mod message_pack;

pub mod encode;

pub use encode::{EncodeError, Encoded};
pub use id::{ConnectionId, GroupName, InvocationId, UserId};
pub use message::{
    Arguments, BindError, Completion, CompletionResult, DecodeError, HubMessage, HubProtocol, Invocation,
    StreamItem, TransferFormat,
};
