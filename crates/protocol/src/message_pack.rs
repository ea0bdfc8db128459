//! The MessagePack hub protocol.
//!
//! Source: HubProtocol.md, "MessagePack (MsgPack) encoding". What the real reader tolerates and the real writer
//! writes is recorded in `conformance/cases/messagepack-protocol.json` and `messagepack-values.json`.
//! Values are read and written as MessagePack-CSharp does under SignalR's settings: structures are maps keyed
//! by field name, enums their variant's name.

mod deserializer;
mod error;
mod format_name;
mod hub_message;
pub(crate) mod raw;
mod reader;
mod serializer;
mod writer;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use deserializer::Deserializer;
pub(crate) use error::ValueError;
pub(crate) use format_name::format_name;
pub use hub_message::read;
pub(crate) use hub_message::read_cancellation;
pub(crate) use reader::{Reader, Token};
pub(crate) use writer::{cancel_invocation, close, completion, invocation, numbered, ping, stream_item};

use crate::dot_net::{DotNet, FromDotNet, Repeats};
use crate::encode::EncodeError;
use crate::{BindError, Naming};

/// Decodes one value.
pub(crate) fn decode<T: DeserializeOwned>(value: &[u8], naming: Naming) -> Result<T, BindError> {
    let mut deserializer = Deserializer::new(value);
    let decoded = match naming {
        Naming::Serde => T::deserialize(&mut deserializer),
        Naming::DotNet => T::deserialize(FromDotNet(&mut deserializer, Repeats::NONE)),
    };
    decoded
        .and_then(|decoded| deserializer.end().map(|()| decoded))
        .map_err(|error| BindError::new(error.to_string()))
}

/// Encodes one value.
pub(crate) fn value(
    out: &mut Vec<u8>,
    value: &(impl Serialize + ?Sized),
    naming: Naming,
) -> Result<(), EncodeError> {
    let serializer = serializer::Serializer::new(out);
    match naming {
        Naming::Serde => value.serialize(serializer),
        Naming::DotNet => value.serialize(DotNet(serializer)),
    }
    .map_err(|error| EncodeError::new("MessagePack", &error))
}
