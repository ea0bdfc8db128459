//! The JSON hub protocol.
//!
//! Source: HubProtocol.md, "JSON Encoding"; what the real reader tolerates and the real writer writes is
//! recorded in `conformance/cases/json-protocol.json` and `json-values.json`.

mod formatter;
mod reader;
mod scanner;
mod value;
mod writer;

pub use reader::read;
pub(crate) use reader::{integer32, properties, read_cancellation, string};
pub(crate) use value::decode;
pub(crate) use writer::{
    cancel_invocation, close, completion, invocation, numbered, stream_item, value, write_string,
};

/// A ping, separator included.
pub(crate) const PING: &[u8] = b"{\"type\":6}\x1e";
