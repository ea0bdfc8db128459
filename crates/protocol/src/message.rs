//! What a client says, as borrowed from the bytes it came in.

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;

use crate::{DecodeError, Naming, json, message_pack};

/// One of the two encodings of hub messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HubProtocol {
    /// Text, each message ended by the byte 0x1E.
    Json,
    /// Binary, each message behind its length as a VarInt.
    MessagePack,
}

impl HubProtocol {
    /// Every protocol, in the order in which ASP.NET Core writes them to Redis.
    pub const ALL: [Self; 2] = [Self::Json, Self::MessagePack];

    /// The name used in the handshake and on Redis.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MessagePack => "messagepack",
        }
    }

    /// The protocol of that name, in any letter case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }

    /// What a transport must be able to carry for this protocol.
    pub fn transfer_format(self) -> TransferFormat {
        match self {
            Self::Json => TransferFormat::Text,
            Self::MessagePack => TransferFormat::Binary,
        }
    }
}

/// Whether bytes are sent as text or as binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferFormat {
    /// UTF-8: a WebSocket text frame, a server-sent event.
    Text,
    /// Any bytes: a WebSocket binary frame.
    Binary,
}

/// A message from a client. Those of servers are the same, but for what [`HubMessage::Close`] says.
///
/// Source: HubProtocol.md, and recordings of ASP.NET Core 10 (types 1 to 9).
#[derive(Debug)]
pub enum HubMessage<'a> {
    /// Types 1 and 4: a call of a hub method.
    Invocation(Invocation<'a>),
    /// Type 2: one item of an upload stream.
    StreamItem(StreamItem<'a>),
    /// Type 3: ends an upload stream or answers a client result.
    Completion(Completion<'a>),
    /// Type 5: the caller no longer wants that stream, or the result of that call (.NET 11).
    CancelInvocation {
        /// Echoes the invocation; never empty.
        invocation_id: Cow<'a, str>,
    },
    /// Type 6.
    Ping,
    /// Type 7: the client is about to leave.
    Close {
        /// Why, if something went wrong on its side.
        error: Option<Cow<'a, str>>,
        /// What a server says by it: whether the client may reconnect. Of a client's it means nothing.
        allow_reconnect: bool,
    },
    /// Type 8: everything up to this counted message has arrived.
    Ack {
        /// Number of the last counted message received.
        sequence_id: i64,
    },
    /// Type 9: the number of the next counted message after a reconnect.
    Sequence {
        /// Number of the next counted message.
        sequence_id: i64,
    },
    /// A type that is not known. ASP.NET Core stops reading there; Hubline skips it, as clients do.
    Unknown {
        /// The type as sent.
        message_type: i64,
    },
}

impl<'a> HubMessage<'a> {
    /// Reads one message, given as [`crate::framing::split`] found it.
    ///
    /// # Errors
    /// The connection cannot go on; see [`DecodeError`].
    pub fn read(protocol: HubProtocol, message: &'a [u8]) -> Result<Self, DecodeError> {
        match protocol {
            HubProtocol::Json => json::read(message),
            HubProtocol::MessagePack => message_pack::read(message),
        }
    }

    /// The invocation that a message cancels; `None` if it is no cancellation (type 5), or cannot be read. Costs
    /// less than [`HubMessage::read`] where most messages are something else.
    pub fn read_cancellation(protocol: HubProtocol, message: &'a [u8]) -> Option<Cow<'a, str>> {
        match protocol {
            HubProtocol::Json => json::read_cancellation(message),
            HubProtocol::MessagePack => message_pack::read_cancellation(message),
        }
    }
}

/// A call of a hub method.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// Absent for a call that expects no completion.
    pub invocation_id: Option<Cow<'a, str>>,
    /// The method's name as the client spelled it.
    pub target: Cow<'a, str>,
    /// The arguments, not decoded yet; an error if they are not even a list.
    pub arguments: Result<Arguments<'a>, BindError>,
    /// Ids of the upload streams that come with the call.
    pub stream_ids: Vec<Cow<'a, str>>,
    /// Whether the client expects a stream of results (type 4) or one result (type 1).
    pub streaming: bool,
    /// The header `traceparent`, in which a traced client says which of its spans the call belongs to; as it came, at most
    /// [`Invocation::LONGEST_TRACE_PARENT`] bytes.
    pub trace_parent: Option<Cow<'a, str>>,
}

impl Invocation<'_> {
    /// Longer ones are not looked at. Version 00 of W3C's trace context has 55 bytes.
    pub const LONGEST_TRACE_PARENT: usize = 128;

    /// The name of the header.
    pub(crate) const TRACE_PARENT: &'static str = "traceparent";
}

/// One item of a stream.
#[derive(Debug)]
pub struct StreamItem<'a> {
    /// The stream's id; never empty.
    pub invocation_id: Cow<'a, str>,
    /// The item; `null` is a value.
    pub item: ClientValue<'a>,
}

/// The end of a stream or the answer to a client result.
#[derive(Debug)]
pub struct Completion<'a> {
    /// Echoes what is completed; never empty.
    pub invocation_id: Cow<'a, str>,
    /// How it ended.
    pub result: CompletionResult<'a>,
}

/// How an invocation or a stream ended.
#[derive(Debug)]
pub enum CompletionResult<'a> {
    /// It failed, with the text for the caller.
    Error(Cow<'a, str>),
    /// It ended without a value.
    Void,
    /// It ended with this value, `null` included.
    Value(ClientValue<'a>),
}

/// A value as a client sent it, not decoded yet.
#[derive(Debug, Clone, Copy)]
pub enum ClientValue<'a> {
    /// One JSON value without white space around it. Its strings may turn out not to be UTF-8.
    Json(&'a [u8]),
    /// One MessagePack value; nothing at all where the message ended too soon.
    MessagePack(&'a [u8]),
}

impl<'a> ClientValue<'a> {
    /// The value as it came.
    pub fn encoded(self) -> &'a [u8] {
        match self {
            Self::Json(value) | Self::MessagePack(value) => value,
        }
    }

    /// Whether it is `null` or nil.
    pub fn is_null(self) -> bool {
        match self {
            Self::Json(value) => value == b"null",
            Self::MessagePack(value) => value == [rmp::Marker::Null.to_u8()],
        }
    }

    /// Decodes it.
    ///
    /// # Errors
    /// It is not a `T`.
    pub fn decode<T: DeserializeOwned>(self, naming: Naming) -> Result<T, BindError> {
        match self {
            Self::Json(value) => json::decode(value, naming),
            Self::MessagePack(value) => message_pack::decode(value, naming),
        }
    }
}

/// The arguments of an invocation, taken one at a time and decoded as they are taken.
#[derive(Debug, Default)]
pub struct Arguments<'a> {
    values: ArgumentList<'a>,
    taken: usize,
}

/// Most calls have no more arguments than this; more of them cost an allocation.
const INLINE_ARGUMENTS: usize = 4;

/// Values as they are found, one after the other. (A `SmallVec` would not let lifetimes shrink.)
#[derive(Debug)]
pub(crate) struct ArgumentList<'a> {
    inline: [ClientValue<'a>; INLINE_ARGUMENTS],
    more: Vec<ClientValue<'a>>,
    len: usize,
}

impl Default for ArgumentList<'_> {
    fn default() -> Self {
        Self { inline: [ClientValue::Json(&[]); INLINE_ARGUMENTS], more: Vec::new(), len: 0 }
    }
}

impl<'a> ArgumentList<'a> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn push(&mut self, value: ClientValue<'a>) {
        match self.inline.get_mut(self.len) {
            Some(place) => *place = value,
            None => self.more.push(value),
        }
        self.len += 1;
    }

    fn get(&self, index: usize) -> Option<ClientValue<'a>> {
        let inline = self.inline.get(index).filter(|_| index < self.len);
        inline.or_else(|| self.more.get(index.checked_sub(INLINE_ARGUMENTS)?)).copied()
    }
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(values: ArgumentList<'a>) -> Self {
        Self { values, taken: 0 }
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.values.len - self.taken
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those that are left, which stay.
    pub fn iter(&self) -> impl Iterator<Item = ClientValue<'a>> {
        (self.taken..self.values.len).filter_map(|index| self.values.get(index))
    }

    /// Takes the next argument.
    ///
    /// # Errors
    /// There is none left, or it is not a `T`.
    pub fn take<T: DeserializeOwned>(&mut self, naming: Naming) -> Result<T, BindError> {
        self.take_value().ok_or_else(|| BindError::new("too few arguments"))?.decode(naming)
    }

    /// Takes the next argument without decoding it; `None` if there is none left.
    pub fn take_value(&mut self) -> Option<ClientValue<'a>> {
        let value = self.values.get(self.taken)?;
        self.taken += 1;
        Some(value)
    }
}

/// A value that does not fit the type it is meant for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{cause}")]
pub struct BindError {
    cause: String,
}

impl BindError {
    /// What ASP.NET Core says of a value that does not fit, whatever the reason.
    pub const MISMATCH: &str = "Error binding arguments. Make sure that the types of the provided values match \
                                the types of the hub method being invoked.";

    /// With the reason, for logs and detailed errors.
    pub fn new(cause: impl Into<String>) -> Self {
        Self { cause: cause.into() }
    }
}

impl fmt::Display for HubProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
