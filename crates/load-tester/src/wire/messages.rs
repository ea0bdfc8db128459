//! Hub messages in both protocols, and the stamp that tells when a payload left and which one it is.

use std::io::Write;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::wire::framing::{RECORD_SEPARATOR, push_data};

/// How hub messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Text, each message with a record separator.
    Json,
    /// Binary, each message behind its length.
    #[value(name = "messagepack")]
    MessagePack,
}

impl Protocol {
    pub(crate) fn handshake(self) -> &'static str {
        match self {
            Self::Json => "{\"protocol\":\"json\",\"version\":1}\x1e",
            Self::MessagePack => "{\"protocol\":\"messagepack\",\"version\":1}\x1e",
        }
    }

    pub(crate) fn ping(self) -> &'static [u8] {
        match self {
            Self::Json => PING.as_bytes(),
            Self::MessagePack => b"\x02\x91\x06",
        }
    }
}

/// In JSON.
pub(crate) const PING: &str = "{\"type\":6}\x1e";

/// The hub message's `type`; `None` if it has none.
pub(crate) fn message_type(message: &[u8]) -> Option<u8> {
    // An array of up to 15 elements, of which the type is the first.
    if let Some(&[0x90..=0x9f, kind]) = message.first_chunk() {
        return Some(kind);
    }
    const KEY: &[u8] = b"\"type\":";
    // A string's own quotes are escaped, so text can not be taken for the key.
    let start = match message.strip_prefix(b"{\"type\":") {
        Some(rest) => rest,
        None => &message[memchr::memmem::find(message, KEY)? + KEY.len()..],
    };
    start.first().filter(|digit| digit.is_ascii_digit()).map(|digit| digit - b'0')
}

/// Whether a completion has an `error` instead of a `result`.
pub(crate) fn is_error(message: &[u8]) -> bool {
    // [3, no headers, an id of up to 31 bytes, 1 for an error, ...]
    if let Some(&[0x90..=0x9f, _, _, id @ 0xa0..=0xbf]) = message.first_chunk() {
        return message.get(4 + usize::from(id & 0x1f)) == Some(&1);
    }
    memchr::memmem::find(message, b"\"error\":").is_some()
}

/// Warm-up messages are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    WarmUp,
    Measured,
}

/// The start of a payload of 100 bytes: `@m`, sequence number, `:`, microseconds, `:`, padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) purpose: Purpose,
    pub(crate) sequence: u32,
    pub(crate) sent_micros: u64,
}

impl Stamp {
    const MARK: u8 = b'@';
    const SEQUENCE_DIGITS: usize = 10;
    const TIME_DIGITS: usize = 16;
    const PADDING: usize = 100 - 4 - Self::SEQUENCE_DIGITS - Self::TIME_DIGITS;

    /// Finds the stamp in a hub message; only payloads of this program have the mark.
    pub(crate) fn find(message: &[u8]) -> Option<Self> {
        let mark = memchr::memchr(Self::MARK, message)?;
        let (purpose, rest) = message[mark + 1..].split_first()?;
        let (sequence, rest) = rest.split_at_checked(Self::SEQUENCE_DIGITS)?;
        let time = rest.get(1..=Self::TIME_DIGITS)?;
        Some(Self {
            purpose: match purpose {
                b'w' => Purpose::WarmUp,
                b'm' => Purpose::Measured,
                _ => return None,
            },
            sequence: u32::try_from(number(sequence)?).ok()?,
            sent_micros: number(time)?,
        })
    }

    fn text(self) -> String {
        let purpose = match self.purpose {
            Purpose::WarmUp => 'w',
            Purpose::Measured => 'm',
        };
        format!(
            "{mark}{purpose}{:0sequence_digits$}:{:0time_digits$}:{:x<padding$}",
            self.sequence,
            self.sent_micros,
            "",
            mark = char::from(Self::MARK),
            sequence_digits = Self::SEQUENCE_DIGITS,
            time_digits = Self::TIME_DIGITS,
            padding = Self::PADDING,
        )
    }

    /// Appends the frame of a call without an answer, whose payload is filled up to `size` bytes.
    pub(crate) fn push_send(self, out: &mut Vec<u8>, protocol: Protocol, method: &str, size: usize) {
        let mut text = self.text();
        text.extend(std::iter::repeat_n('x', size.saturating_sub(text.len())));
        push_call(out, protocol, None, method, &text);
    }

    /// Appends the frame of a call whose completion is awaited; its id is the sequence number.
    pub(crate) fn push_invoke(self, out: &mut Vec<u8>, protocol: Protocol, method: &str) {
        self.push_call(out, protocol, Some(&self.sequence.to_string()), method);
    }

    fn push_call(self, out: &mut Vec<u8>, protocol: Protocol, id: Option<&str>, method: &str) {
        push_call(out, protocol, id, method, &self.text());
    }
}

/// Appends the frame of a call with one text, which is not escaped, and an id that is a number.
pub(crate) fn push_invoke_text(out: &mut Vec<u8>, protocol: Protocol, id: u32, method: &str, text: &str) {
    push_call(out, protocol, Some(&id.to_string()), method, text);
}

/// A call with one text in JSON, as it is posted.
pub(crate) fn invocation_text(method: &str, text: &str) -> String {
    String::from_utf8_lossy(&json_call(Some("1"), method, text)).into_owned()
}

fn push_call(out: &mut Vec<u8>, protocol: Protocol, id: Option<&str>, method: &str, text: &str) {
    let message = match protocol {
        Protocol::Json => json_call(id, method, text),
        Protocol::MessagePack => message_pack_call(id, method, text),
    };
    push_data(out, protocol, &message);
}

fn json_call(id: Option<&str>, method: &str, text: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(256);
    message.extend(b"{\"type\":1,");
    if let Some(id) = id {
        write!(message, r#""invocationId":"{id}","#).expect("a Vec takes every write");
    }
    write!(message, r#""target":"{method}","arguments":["{text}"]}}"#).expect("a Vec takes every write");
    message.push(RECORD_SEPARATOR);
    message
}

/// `[1, {}, id, method, [text], []]` behind its length.
fn message_pack_call(id: Option<&str>, method: &str, text: &str) -> Vec<u8> {
    let mut body = vec![0x96, 1, 0x80];
    match id {
        Some(id) => push_string(&mut body, id),
        None => body.push(0xc0),
    }
    push_string(&mut body, method);
    body.push(0x91);
    push_string(&mut body, text);
    body.push(0x90);
    let mut message = Vec::with_capacity(body.len() + 2);
    let mut length = body.len();
    while length > 0x7f {
        message.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    message.push(length.to_le_bytes()[0]);
    message.append(&mut body);
    message
}

/// Of less than 64 KiB, as everything here is.
fn push_string(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("ids, methods and payloads are short");
    match length.to_be_bytes() {
        [0, length @ ..=31] => out.push(0xa0 | length),
        [0, length] => out.extend([0xd9, length]),
        [high, low] => out.extend([0xda, high, low]),
    }
    out.extend(text.as_bytes());
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })
}

/// Microseconds since the scenario began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn micros(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_the_way_and_is_100_bytes() {
        let stamp = Stamp { purpose: Purpose::Measured, sequence: 4_294_967_295, sent_micros: 17 };
        assert_eq!(stamp.text().len(), 100);
        let message = format!(r#"{{"type":1,"target":"OnBroadcast","arguments":["{}"]}}"#, stamp.text());
        assert_eq!(Stamp::find(message.as_bytes()), Some(stamp));
    }

    #[test]
    fn other_payloads_have_no_stamp() {
        for text in ["", "@", "@m123", "@m0000000001:00000000000000x1", "@y0000000001:0000000000000001"] {
            assert_eq!(Stamp::find(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_type_is_found_in_any_order() {
        for (text, expected) in
            [(r#"{"type":6}"#, Some(6)), (r#"{"result":"\"type\":9","type":3}"#, Some(3)), ("{}", None)]
        {
            assert_eq!(message_type(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn message_pack_is_read_and_written() {
        let stamp = Stamp { purpose: Purpose::Measured, sequence: 12, sent_micros: 17 };
        let call = message_pack_call(Some("12"), "Echo", &stamp.text());
        assert_eq!(usize::from(call[0]), call.len() - 1);
        assert_eq!(call[1..14], *b"\x96\x01\x80\xa212\xa4Echo\x91\xd9");
        assert_eq!(Stamp::find(&call[1..]), Some(stamp));
        assert_eq!(message_type(&call[1..]), Some(1));
        let longer = message_pack_call(Some("4294967295"), "Broadcast", &stamp.text());
        assert_eq!((longer.len(), &longer[..2]), (130, &b"\x80\x01"[..]));
        assert!(is_error(b"\x95\x03\x80\xa212\x01\xa4oops"));
        assert!(!is_error(b"\x95\x03\x80\xa212\x03\xa4fine"));
    }
}
