//! What a client says, as borrowed from the bytes it came in.

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

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

/// A message from a client.
///
/// Source: HubProtocol.md and `shared` recordings of ASP.NET Core 10 (types 1 to 9).
#[derive(Debug)]
pub enum HubMessage<'a> {
    /// Types 1 and 4: a call of a hub method.
    Invocation(Invocation<'a>),
    /// Type 2: one item of an upload stream.
    StreamItem(StreamItem<'a>),
    /// Type 3: ends an upload stream or answers a client result.
    Completion(Completion<'a>),
    /// Type 5: the caller no longer wants the results of that invocation.
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

/// A call of a hub method.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// Absent for a call that expects no completion.
    pub invocation_id: Option<Cow<'a, str>>,
    /// The method's name as the client spelled it.
    pub target: Cow<'a, str>,
    /// The arguments, not decoded yet.
    pub arguments: Arguments<'a>,
    /// Ids of the upload streams that come with the call.
    pub stream_ids: Vec<Cow<'a, str>>,
    /// Whether the client expects a stream of results (type 4) or one result (type 1).
    pub streaming: bool,
}

/// One item of a stream.
#[derive(Debug)]
pub struct StreamItem<'a> {
    /// The stream's id; never empty.
    pub invocation_id: Cow<'a, str>,
    /// One JSON value; `null` is a value.
    pub item: &'a RawValue,
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
    Value(&'a RawValue),
}

/// The arguments of an invocation, taken one at a time and decoded as they are taken.
#[derive(Debug, Default)]
pub struct Arguments<'a> {
    values: std::vec::IntoIter<&'a RawValue>,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(values: Vec<&'a RawValue>) -> Self {
        Self { values: values.into_iter() }
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.values.len() == 0
    }

    /// Takes the next argument.
    ///
    /// # Errors
    /// There is none left, or it is not a `T`.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<T, BindError> {
        let value = self.values.next().ok_or_else(|| BindError::new("too few arguments"))?;
        serde_json::from_str(value.get()).map_err(|error| BindError::new(error.to_string()))
    }
}

/// A value that does not fit the type it is meant for.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct BindError {
    cause: String,
}

impl BindError {
    /// With the reason, for logs and detailed errors.
    pub fn new(cause: impl Into<String>) -> Self {
        Self { cause: cause.into() }
    }
}

/// Why bytes are not a hub message. The connection ends with it.
///
/// The texts are those of ASP.NET Core, which clients see when detailed errors are on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A message, framing included, is over the limit.
    #[error(
        "The maximum message size of {limit}B was exceeded. The message size can be configured in AddHubOptions."
    )]
    TooLarge {
        /// `MaximumReceiveMessageSize` in bytes.
        limit: usize,
    },
    /// Not JSON, or nested deeper than 64 levels.
    #[error("Error reading JSON.")]
    Json,
    /// JSON, but not an object.
    #[error("Unexpected JSON Token Type '{0}'. Expected a JSON Object.")]
    NotAnObject(&'static str),
    /// A property that this type of message must have is absent.
    #[error("Missing required property '{0}'.")]
    MissingProperty(&'static str),
    /// A property has a value of the wrong kind.
    #[error("Expected '{property}' to be {expected}.")]
    WrongType {
        /// Which property.
        property: &'static str,
        /// What it must be, as ASP.NET Core words it.
        expected: &'static str,
    },
    /// A number that must be a 32-bit integer is not.
    #[error("Either the JSON value is not in a supported format, or is out of bounds for an Int32.")]
    NotInt32,
    /// A header's value is not a string.
    #[error("Expected header '{0}' to be of type String.")]
    HeaderType(String),
    /// A stream id is `null`.
    #[error("Null value for 'streamIds' is not valid.")]
    NullStreamId,
    /// A stream id is not a string.
    #[error("Cannot get the value of a token type '{0}' as a string.")]
    StreamIdType(&'static str),
    /// A stream item without an id.
    #[error("No stream with id '' could be found.")]
    NamelessStream,
    /// A completion cannot both fail and succeed.
    #[error("The 'error' and 'result' properties are mutually exclusive.")]
    ErrorAndResult,
}

impl DecodeError {
    /// The .NET type that detailed errors name in front of the text.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::NotInt32 => "FormatException",
            Self::StreamIdType(_) => "InvalidOperationException",
            Self::NamelessStream => "KeyNotFoundException",
            _ => "InvalidDataException",
        }
    }
}

impl fmt::Display for HubProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
