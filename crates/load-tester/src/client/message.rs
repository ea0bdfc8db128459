//! Hub messages as values, for tools and the control of a connection; the hot path reads bytes.

use std::io::Write;

use rmpv::Value as Packed;
use serde_json::{Map, Value, json};

use crate::wire::connection::{CLOSE, COMPLETION, INVOCATION, KEEP_ALIVE};
use crate::wire::framing::RECORD_SEPARATOR;
use crate::wire::messages::Protocol;

pub(crate) const STREAM_ITEM: u8 = 2;
pub(crate) const STREAM_INVOCATION: u8 = 4;
pub(crate) const ACK: u8 = 8;
pub(crate) const SEQUENCE: u8 = 9;

/// What a server sends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HubMessage {
    Invocation {
        id: Option<String>,
        target: String,
        arguments: Vec<Value>,
    },
    StreamItem {
        id: String,
        item: Value,
    },
    Completion {
        id: String,
        outcome: Result<Value, String>,
    },
    Ping,
    Close {
        error: Option<String>,
        allow_reconnect: bool,
    },
    Ack(u64),
    Sequence(u64),
    /// Of a type that is not known, or not as the protocol says.
    Other,
}

/// Appends a call of a method (`INVOCATION`) or of a stream (`STREAM_INVOCATION`), framed as the hub protocol does; without an id it
/// has no completion.
pub(crate) fn push_invocation(
    out: &mut Vec<u8>,
    protocol: Protocol,
    kind: u8,
    id: Option<&str>,
    target: &str,
    arguments: &[Value],
) {
    match protocol {
        Protocol::Json => {
            let mut message = Map::new();
            message.insert("type".to_owned(), json!(kind));
            if let Some(id) = id {
                message.insert("invocationId".to_owned(), json!(id));
            }
            message.insert("target".to_owned(), json!(target));
            message.insert("arguments".to_owned(), json!(arguments));
            push_json(out, &Value::Object(message));
        }
        Protocol::MessagePack => {
            let arguments = arguments.iter().map(packed).collect();
            let id = id.map_or(Packed::Nil, Packed::from);
            push_packed(
                out,
                vec![
                    Packed::from(kind),
                    Packed::Map(Vec::new()),
                    id,
                    Packed::from(target),
                    Packed::Array(arguments),
                    Packed::Array(Vec::new()),
                ],
            );
        }
    }
}

/// Appends the answer to a call of the server that nothing here answers, as official clients do.
pub(crate) fn push_no_result(out: &mut Vec<u8>, protocol: Protocol, id: &str) {
    const TEXT: &str = "Client didn't provide a result.";
    match protocol {
        Protocol::Json => push_json(out, &json!({"type": COMPLETION, "invocationId": id, "error": TEXT})),
        Protocol::MessagePack => push_packed(
            out,
            vec![
                Packed::from(COMPLETION),
                Packed::Map(Vec::new()),
                Packed::from(id),
                Packed::from(1),
                Packed::from(TEXT),
            ],
        ),
    }
}

/// Appends a Close message.
pub(crate) fn push_close(out: &mut Vec<u8>, protocol: Protocol) {
    match protocol {
        Protocol::Json => push_json(out, &json!({"type": CLOSE})),
        Protocol::MessagePack => {
            push_packed(out, vec![Packed::from(CLOSE), Packed::Nil, Packed::from(false)]);
        }
    }
}

/// Appends an Ack or a Sequence.
pub(crate) fn push_sequence_id(out: &mut Vec<u8>, protocol: Protocol, kind: u8, id: u64) {
    match protocol {
        Protocol::Json => push_json(out, &json!({"type": kind, "sequenceId": id})),
        Protocol::MessagePack => push_packed(out, vec![Packed::from(kind), Packed::from(id)]),
    }
}

/// Reads a message that is without its record separator or length.
pub(crate) fn read(protocol: Protocol, message: &[u8]) -> HubMessage {
    let read = match protocol {
        Protocol::Json => serde_json::from_slice(message).ok().and_then(|value| read_json(&value)),
        Protocol::MessagePack => rmpv::decode::read_value(&mut &*message).ok().and_then(|v| read_packed(&v)),
    };
    read.unwrap_or(HubMessage::Other)
}

/// The number that a completion's id is; `None` if it is no number.
pub(crate) fn completion_number(message: &[u8]) -> Option<u64> {
    let digits = if let Some(&[0x90..=0x9f, _, 0x80, id @ 0xa0..=0xbf]) = message.first_chunk() {
        message.get(4..4 + usize::from(id & 0x1f))?
    } else {
        const KEY: &[u8] = b"\"invocationId\":\"";
        let rest = &message[memchr::memmem::find(message, KEY)? + KEY.len()..];
        &rest[..memchr::memchr(b'"', rest)?]
    };
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Appends a whole JSON message.
fn push_json(out: &mut Vec<u8>, message: &Value) {
    let _ = write!(out, "{message}");
    out.push(RECORD_SEPARATOR);
}

/// Appends a message of MessagePack behind its length.
pub(crate) fn push_packed(out: &mut Vec<u8>, message: Vec<Packed>) {
    let mut body = Vec::new();
    let _ = rmpv::encode::write_value(&mut body, &Packed::Array(message));
    let mut length = body.len();
    while length > 0x7f {
        out.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    out.push(length.to_le_bytes()[0]);
    out.append(&mut body);
}

fn packed(value: &Value) -> Packed {
    match value {
        Value::Null => Packed::Nil,
        Value::Bool(flag) => Packed::from(*flag),
        Value::Number(number) => number
            .as_u64()
            .map(Packed::from)
            .or_else(|| number.as_i64().map(Packed::from))
            .unwrap_or_else(|| Packed::from(number.as_f64().unwrap_or_default())),
        Value::String(text) => Packed::from(text.as_str()),
        Value::Array(items) => Packed::Array(items.iter().map(packed).collect()),
        Value::Object(fields) => Packed::Map(
            fields.iter().map(|(name, value)| (Packed::from(name.as_str()), packed(value))).collect(),
        ),
    }
}

/// Bytes become base64 text and times numbers or texts, as JSON has neither.
fn unpacked(value: &Packed) -> Value {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    match value {
        Packed::Nil => Value::Null,
        Packed::Boolean(flag) => json!(flag),
        Packed::Integer(number) => {
            number.as_u64().map_or_else(|| json!(number.as_i64()), |number| json!(number))
        }
        Packed::F32(number) => json!(number),
        Packed::F64(number) => json!(number),
        Packed::String(text) => json!(String::from_utf8_lossy(text.as_bytes())),
        Packed::Binary(bytes) => json!(BASE64_STANDARD.encode(bytes)),
        Packed::Array(items) => items.iter().map(unpacked).collect(),
        Packed::Map(fields) => fields
            .iter()
            .map(|(name, value)| {
                let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
                (name, unpacked(value))
            })
            .collect::<Map<_, _>>()
            .into(),
        Packed::Ext(kind, bytes) => json!({"extension": kind, "data": BASE64_STANDARD.encode(bytes)}),
    }
}

fn read_json(message: &Value) -> Option<HubMessage> {
    let text = |name: &str| message.get(name).and_then(Value::as_str).map(str::to_owned);
    let kind = u8::try_from(message.get("type")?.as_u64()?).ok()?;
    Some(match kind {
        INVOCATION => HubMessage::Invocation {
            id: text("invocationId"),
            target: text("target")?,
            arguments: message.get("arguments")?.as_array()?.clone(),
        },
        STREAM_ITEM => {
            HubMessage::StreamItem { id: text("invocationId")?, item: message.get("item")?.clone() }
        }
        COMPLETION => HubMessage::Completion {
            id: text("invocationId")?,
            outcome: text("error").map_or_else(|| Ok(message["result"].clone()), Err),
        },
        KEEP_ALIVE => HubMessage::Ping,
        CLOSE => HubMessage::Close {
            error: text("error"),
            allow_reconnect: message.get("allowReconnect").and_then(Value::as_bool).unwrap_or(false),
        },
        ACK => HubMessage::Ack(message.get("sequenceId")?.as_u64()?),
        SEQUENCE => HubMessage::Sequence(message.get("sequenceId")?.as_u64()?),
        _ => HubMessage::Other,
    })
}

fn read_packed(message: &Packed) -> Option<HubMessage> {
    let items = message.as_array()?;
    let text = |index: usize| items.get(index).and_then(Packed::as_str).map(str::to_owned);
    let kind = u8::try_from(items.first()?.as_u64()?).ok()?;
    Some(match kind {
        INVOCATION => HubMessage::Invocation {
            id: text(2),
            target: text(3)?,
            arguments: items.get(4)?.as_array()?.iter().map(unpacked).collect(),
        },
        STREAM_ITEM => HubMessage::StreamItem { id: text(2)?, item: unpacked(items.get(3)?) },
        COMPLETION => HubMessage::Completion {
            id: text(2)?,
            outcome: match items.get(3)?.as_u64()? {
                1 => Err(text(4)?),
                3 => Ok(unpacked(items.get(4)?)),
                _ => Ok(Value::Null),
            },
        },
        KEEP_ALIVE => HubMessage::Ping,
        CLOSE => HubMessage::Close {
            error: text(1),
            allow_reconnect: items.get(2).and_then(Packed::as_bool).unwrap_or(false),
        },
        ACK => HubMessage::Ack(items.get(1)?.as_u64()?),
        SEQUENCE => HubMessage::Sequence(items.get(1)?.as_u64()?),
        _ => HubMessage::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::framing::MessageReader;

    /// What comes through the framing of a connection that has shaken hands.
    fn messages(protocol: Protocol, wire: &[u8]) -> Vec<HubMessage> {
        let mut seen = Vec::new();
        MessageReader::resumed(protocol).feed(wire, |message| seen.push(read(protocol, message))).unwrap();
        seen
    }

    #[test]
    fn what_is_written_is_read_in_both_protocols() {
        let arguments = vec![json!({"a": [1, -2, 1.5, null, true, "x\u{1e}\"é"]}), json!("y".repeat(300))];
        for protocol in [Protocol::Json, Protocol::MessagePack] {
            let mut wire = Vec::new();
            push_invocation(&mut wire, protocol, INVOCATION, Some("17"), "Send", &arguments);
            push_invocation(&mut wire, protocol, INVOCATION, None, "Send", &[]);
            push_no_result(&mut wire, protocol, "s1");
            push_close(&mut wire, protocol);
            push_sequence_id(&mut wire, protocol, ACK, 7);
            push_sequence_id(&mut wire, protocol, SEQUENCE, 300);
            wire.extend_from_slice(protocol.ping());
            let target = "Send".to_owned();
            let expected = [
                HubMessage::Invocation {
                    id: Some("17".to_owned()),
                    target: target.clone(),
                    arguments: arguments.clone(),
                },
                HubMessage::Invocation { id: None, target, arguments: Vec::new() },
                HubMessage::Completion {
                    id: "s1".to_owned(),
                    outcome: Err("Client didn't provide a result.".to_owned()),
                },
                HubMessage::Close { error: None, allow_reconnect: false },
                HubMessage::Ack(7),
                HubMessage::Sequence(300),
                HubMessage::Ping,
            ];
            assert_eq!(messages(protocol, &wire), expected, "{protocol:?}");
        }
    }

    #[test]
    fn what_servers_write_is_read() {
        let json = |text: &str| read(Protocol::Json, text.as_bytes());
        let closed = HubMessage::Close { error: Some("over".to_owned()), allow_reconnect: true };
        assert_eq!(json(r#"{"type":7,"error":"over","allowReconnect":true}"#), closed);
        assert_eq!(read(Protocol::MessagePack, b"\x93\x07\xa4over\xc3"), closed);
        let void = HubMessage::Completion { id: "1".to_owned(), outcome: Ok(Value::Null) };
        assert_eq!(json(r#"{"type":3,"invocationId":"1","result":null}"#), void);
        assert_eq!(read(Protocol::MessagePack, b"\x94\x03\x80\xa11\x02"), void);
        assert_eq!(json(r#"{"type":77}"#), HubMessage::Other);
        assert_eq!(json("nonsense"), HubMessage::Other);
    }

    #[test]
    fn a_completion_s_number_is_found_without_reading_it_all() {
        for (message, number) in [
            (&br#"{"type":3,"invocationId":"42","result":{"invocationId":"1"}}"#[..], Some(42)),
            (br#"{"result":1,"invocationId":"7","type":3}"#, Some(7)),
            (b"\x95\x03\x80\xa212\x03\xa4fine", Some(12)),
            (br#"{"type":3,"invocationId":"s1"}"#, None),
            (b"\x95\x03\x80\xa2", None),
        ] {
            assert_eq!(completion_number(message), number, "{message:?}");
        }
    }
}
