//! SignalR hub protocols: bytes to hub messages and back.
//!
//! No I/O and no async, but for [`random_bytes`] of the system: a reader is given bytes and says what they mean, a writer is given values and
//! makes bytes. The server side of both protocols lives here, so that a wire bug has one address.
//!
//! ```
//! use hubline_protocol::{Dialect, HubProtocol, Naming, encode, framing, json};
//!
//! let dialect = Dialect { protocol: HubProtocol::Json, naming: Naming::Serde };
//! let sent = encode::invocation(dialect, None, "Receive", &("ada", 1.0)).unwrap();
//! assert_eq!(sent.payload(), "{\"type\":1,\"target\":\"Receive\",\"arguments\":[\"ada\",1]}\u{1e}".as_bytes());
//!
//! let mut received = &sent.payload()[..];
//! let text = framing::split_text(received, usize::MAX).unwrap().unwrap();
//! assert!(matches!(json::read(text).unwrap(), hubline_protocol::HubMessage::Invocation(_)));
//! received = &received[text.len() + 1..];
//! assert!(received.is_empty());
//! ```
//!
//! Values of .NET that have no counterpart in Rust are in [`value`].

mod decode_error;
mod dot_net;
mod id;
mod message;
mod naming;
mod random;

pub mod framing;

pub mod handshake;
pub mod negotiate;

pub mod json;
pub mod message_pack;

pub mod encode;
pub mod value;

pub use decode_error::DecodeError;
pub use encode::{EncodeError, Encoded};
pub use id::{ConnectionId, GroupName, InvocationId, UserId};
pub use message::{
    Arguments, BindError, ClientValue, Completion, CompletionResult, HubMessage, HubProtocol, Invocation,
    StreamItem, TransferFormat,
};
pub use naming::{Dialect, Naming};
pub use random::random_bytes;
