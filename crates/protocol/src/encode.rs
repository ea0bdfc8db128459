//! Hub messages to bytes, framed, in either protocol.

use serde::Serialize;

use crate::framing::{VAR_INT_MAX, var_int};
use crate::{Dialect, HubProtocol, json, message_pack};

/// Room in front of a payload: a WebSocket header takes at most 10 bytes, a VarInt 5.
const HEADROOM: usize = 16;

/// One framed hub message, with room in front of it for a transport's header, so that the header never
/// costs a second buffer.
#[derive(Debug, Clone)]
pub struct Encoded {
    buffer: Vec<u8>,
    start: usize,
}

impl Encoded {
    /// Most bytes that [`Encoded::prepend`] takes.
    pub const MAX_PREFIX: usize = HEADROOM - VAR_INT_MAX;

    /// A copy of bytes that are framed already, as they come from a backplane.
    pub fn copy_from(payload: &[u8]) -> Self {
        let mut buffer = Vec::with_capacity(HEADROOM + payload.len());
        buffer.resize(HEADROOM, 0);
        buffer.extend_from_slice(payload);
        Self { buffer, start: HEADROOM }
    }

    /// The message as it stands on the wire: its VarInt or its separator included.
    pub fn payload(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Puts `prefix` in front of the payload and gives up the buffer and the offset where the prefix begins.
    ///
    /// # Panics
    /// If `prefix` is longer than [`Encoded::MAX_PREFIX`].
    pub fn prepend(mut self, prefix: &[u8]) -> (Vec<u8>, usize) {
        let start = self.start - prefix.len();
        self.buffer[start..self.start].copy_from_slice(prefix);
        (self.buffer, start)
    }

    fn build<E>(protocol: HubProtocol, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Self, E> {
        let mut buffer = Vec::with_capacity(HEADROOM + 112);
        buffer.resize(HEADROOM, 0);
        write(&mut buffer)?;
        let mut start = HEADROOM;
        if protocol == HubProtocol::MessagePack {
            let length = u32::try_from(buffer.len() - HEADROOM).unwrap_or(u32::MAX);
            let mut prefix = [0; VAR_INT_MAX];
            let used = var_int(length, &mut prefix);
            start -= used;
            buffer[start..HEADROOM].copy_from_slice(&prefix[..used]);
        }
        Ok(Self { buffer, start })
    }
}

/// A value that its type's `Serialize` refused to write, or that the protocol cannot express.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot be written as {format}: {cause}")]
pub struct EncodeError {
    format: &'static str,
    cause: String,
}

impl EncodeError {
    pub(crate) fn new(format: &'static str, cause: &impl ToString) -> Self {
        Self { format, cause: cause.to_string() }
    }
}

/// How a call ended, its value encoded already.
#[derive(Debug, Clone, Copy)]
pub enum CompletionOutcome<'a> {
    /// The text for the caller.
    Error(&'a str),
    /// A stream has ended.
    Void,
    /// What [`value`] made.
    Value(&'a [u8]),
}

/// An Invocation (type 1) or a StreamInvocation (type 4) but for its arguments.
#[derive(Debug, Clone, Copy, Default)]
pub struct Call<'a> {
    /// Absent for a call that expects no completion.
    pub invocation_id: Option<&'a str>,
    /// The method's name.
    pub target: &'a str,
    /// Ids of the streams that a client uploads with the call.
    pub stream_ids: &'a [&'a str],
    /// Whether a stream of results is expected (type 4) or one result (type 1).
    pub streaming: bool,
}

/// A call of a client's method; `arguments` must serialize as a sequence.
///
/// # Errors
/// An argument cannot be written.
pub fn invocation(
    dialect: Dialect,
    invocation_id: Option<&str>,
    target: &str,
    arguments: &impl Serialize,
) -> Result<Encoded, EncodeError> {
    call(dialect, Call { invocation_id, target, ..Call::default() }, arguments)
}

/// A call in either direction; `arguments` must serialize as a sequence.
///
/// # Errors
/// An argument cannot be written.
pub fn call(dialect: Dialect, call: Call<'_>, arguments: &impl Serialize) -> Result<Encoded, EncodeError> {
    let Dialect { protocol, naming } = dialect;
    Encoded::build(protocol, |out| match protocol {
        HubProtocol::Json => json::invocation(out, call, arguments, naming),
        HubProtocol::MessagePack => message_pack::invocation(out, call, arguments, naming),
    })
}

/// A client no longer wants the stream, or the result of the call, of this id.
pub fn cancel_invocation(protocol: HubProtocol, invocation_id: &str) -> Encoded {
    written(protocol, |out| match protocol {
        HubProtocol::Json => json::cancel_invocation(out, invocation_id),
        HubProtocol::MessagePack => message_pack::cancel_invocation(out, invocation_id),
    })
}

/// One value, unframed: the result of a call or the item of a stream.
///
/// # Errors
/// It cannot be written.
pub fn value(dialect: Dialect, value: &impl Serialize) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    match dialect.protocol {
        HubProtocol::Json => json::value(&mut out, value, dialect.naming)?,
        HubProtocol::MessagePack => message_pack::value(&mut out, value, dialect.naming)?,
    }
    Ok(out)
}

/// The end of a client's call.
pub fn completion(protocol: HubProtocol, invocation_id: &str, outcome: CompletionOutcome<'_>) -> Encoded {
    written(protocol, |out| match protocol {
        HubProtocol::Json => json::completion(out, invocation_id, &outcome),
        HubProtocol::MessagePack => message_pack::completion(out, invocation_id, &outcome),
    })
}

/// One item of a stream; `encoded` is what [`value`] made.
pub fn stream_item(protocol: HubProtocol, invocation_id: &str, encoded: &[u8]) -> Encoded {
    written(protocol, |out| match protocol {
        HubProtocol::Json => json::stream_item(out, invocation_id, encoded),
        HubProtocol::MessagePack => message_pack::stream_item(out, invocation_id, encoded),
    })
}

/// Stateful reconnect: everything up to this counted message has arrived.
pub fn ack(protocol: HubProtocol, sequence_id: u64) -> Encoded {
    numbered(protocol, 8, sequence_id)
}

/// Stateful reconnect: the number of the counted message that comes next.
pub fn sequence(protocol: HubProtocol, sequence_id: u64) -> Encoded {
    numbered(protocol, 9, sequence_id)
}

fn numbered(protocol: HubProtocol, message_type: u8, sequence_id: u64) -> Encoded {
    written(protocol, |out| match protocol {
        HubProtocol::Json => json::numbered(out, message_type, sequence_id),
        HubProtocol::MessagePack => message_pack::numbered(out, message_type, sequence_id),
    })
}

/// A sign of life.
pub fn ping(protocol: HubProtocol) -> Encoded {
    written(protocol, |out| match protocol {
        HubProtocol::Json => out.extend(json::PING),
        HubProtocol::MessagePack => message_pack::ping(out),
    })
}

/// The last message of a connection.
pub fn close(protocol: HubProtocol, error: Option<&str>, allow_reconnect: bool) -> Encoded {
    written(protocol, |out| match protocol {
        HubProtocol::Json => json::close(out, error, allow_reconnect),
        HubProtocol::MessagePack => message_pack::close(out, error, allow_reconnect),
    })
}

fn written(protocol: HubProtocol, write: impl FnOnce(&mut Vec<u8>)) -> Encoded {
    let built = Encoded::build(protocol, |out| {
        write(out);
        Ok::<_, std::convert::Infallible>(())
    });
    match built {
        Ok(encoded) => encoded,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Naming;

    fn json(encoded: &Encoded) -> String {
        String::from_utf8(encoded.payload().to_vec()).unwrap().replace('\u{1e}', "␞")
    }

    fn hex(encoded: &Encoded) -> String {
        encoded.payload().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn vectors_of_the_specification() {
        use HubProtocol::{Json, MessagePack};
        let dialect = |protocol| Dialect { protocol, naming: Naming::Serde };
        let send = |protocol| invocation(dialect(protocol), None, "Send", &("hi",)).unwrap();
        assert_eq!(json(&send(Json)), r#"{"type":1,"target":"Send","arguments":["hi"]}␞"#);
        assert_eq!(hex(&send(MessagePack)), "0e960180c0a453656e6491a2686990");
        assert_eq!(json(&ping(Json)), r#"{"type":6}␞"#);
        assert_eq!(hex(&ping(MessagePack)), "029106");
        assert_eq!(json(&close(Json, None, false)), r#"{"type":7}␞"#);
        assert_eq!(json(&close(Json, Some("e"), true)), r#"{"type":7,"error":"e","allowReconnect":true}␞"#);
        assert_eq!(hex(&close(MessagePack, None, true)), "049307c0c3");

        let four = value(dialect(Json), &4).unwrap();
        let outcome = CompletionOutcome::Value(&four);
        assert_eq!(json(&completion(Json, "1", outcome)), r#"{"type":3,"invocationId":"1","result":4}␞"#);
        let four = value(dialect(MessagePack), &4).unwrap();
        let outcome = CompletionOutcome::Value(&four);
        assert_eq!(hex(&completion(MessagePack, "1", outcome)), "07950380a1310304");
        assert_eq!(hex(&completion(MessagePack, "1", CompletionOutcome::Void)), "06940380a13102");
    }

    #[test]
    fn long_messages_get_a_longer_length() {
        let text = "x".repeat(300);
        let dialect = Dialect { protocol: HubProtocol::MessagePack, naming: Naming::Serde };
        let encoded = invocation(dialect, None, "Send", &(&text,)).unwrap();
        let payload = encoded.payload();
        assert_eq!(usize::from(payload[0] & 0x7f) | usize::from(payload[1]) << 7, payload.len() - 2);
    }

    #[test]
    fn a_prefix_goes_in_front_without_a_copy() {
        let encoded = ping(HubProtocol::Json);
        let payload = encoded.payload().to_vec();
        let (buffer, start) = encoded.prepend(b"header");
        assert_eq!(&buffer[start..], [b"header".as_slice(), &payload].concat());
    }
}
