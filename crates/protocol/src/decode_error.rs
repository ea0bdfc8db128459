use std::borrow::Cow;

use crate::message_pack::format_name;

/// Why bytes are not a hub message. The connection ends with it.
///
/// The texts are those of ASP.NET Core, which clients see when detailed errors are on.
///
/// Source: recorded cases in `conformance/cases/detailed-errors.json`.
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
    /// A binary message announces more than 2147483647 bytes.
    #[error("Messages over 2GB in size are not supported.")]
    Over2Gb,
    /// Not JSON, or nested deeper than 64 levels.
    #[error("Error reading JSON.")]
    Json,
    /// A JSON string with half of a surrogate pair.
    #[error("Cannot read incomplete UTF-16 JSON text as string with missing low surrogate.")]
    LoneSurrogate,
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
    #[error("Either the JSON value is not in a supported format, or is out of bounds for the Int32 type.")]
    NotInt32,
    /// A number that must be a 64-bit integer is not.
    #[error("Either the JSON value is not in a supported format, or is out of bounds for the Int64 type.")]
    NotInt64,
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
    /// A field of a MessagePack message is absent or of the wrong type.
    #[error("Reading '{field}' as {expected} failed.")]
    Field {
        /// Which field.
        field: Cow<'static, str>,
        /// The .NET type it must be.
        expected: &'static str,
    },
    /// A field of a MessagePack message is not the map or array it must be.
    #[error("Reading {kind} length for '{field}' failed.")]
    Length {
        /// `map` or `array`.
        kind: &'static str,
        /// Which field.
        field: &'static str,
    },
    /// A text of a MessagePack message that must not be nil or empty is.
    #[error("Null or empty {0}.")]
    NullOrEmpty(&'static str),
    /// A MessagePack completion is neither an error nor void nor a value.
    #[error("Invalid invocation result kind.")]
    ResultKind,
    /// A MessagePack message begins with something else than an array, or a stream id is not a string.
    #[error("Unexpected msgpack code {0} ({name}) encountered.", name = format_name(*.0))]
    UnexpectedCode(u8),
    /// A MessagePack message ends before its items do.
    #[error("Attempted to read past the end of the stream.")]
    EndOfStream,
}

impl DecodeError {
    /// The .NET type that detailed errors name in front of the text.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::NotInt32 | Self::NotInt64 | Self::Over2Gb => "FormatException",
            Self::StreamIdType(_) | Self::LoneSurrogate => "InvalidOperationException",
            Self::NamelessStream => "KeyNotFoundException",
            Self::UnexpectedCode(_) => "MessagePackSerializationException",
            Self::EndOfStream => "EndOfStreamException",
            _ => "InvalidDataException",
        }
    }
}
