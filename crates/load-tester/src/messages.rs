//! Hub messages as text, and the stamp that tells when a payload left and which one it is.

use std::io::Write;

use tokio::time::Instant;

use crate::framing::{RECORD_SEPARATOR, push_text};

pub(crate) const HANDSHAKE: &[u8] = b"{\"protocol\":\"json\",\"version\":1}\x1e";
pub(crate) const PING: &[u8] = b"{\"type\":6}\x1e";

/// The hub message's `type`; `None` if it has none.
pub(crate) fn message_type(message: &[u8]) -> Option<u8> {
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

    /// Appends the frame of a call without an answer.
    pub(crate) fn push_send(self, out: &mut Vec<u8>, method: &str) {
        let text = self.text();
        push_message(out, format_args!(r#"{{"type":1,"target":"{method}","arguments":["{text}"]}}"#));
    }

    /// Appends the frame of a call whose completion is awaited; its id is the sequence number.
    pub(crate) fn push_invoke(self, out: &mut Vec<u8>, method: &str) {
        let (id, text) = (self.sequence, self.text());
        push_message(
            out,
            format_args!(r#"{{"type":1,"invocationId":"{id}","target":"{method}","arguments":["{text}"]}}"#),
        );
    }
}

fn push_message(out: &mut Vec<u8>, message: std::fmt::Arguments<'_>) {
    let mut bytes = Vec::with_capacity(256);
    bytes.write_fmt(message).expect("a Vec takes every write");
    bytes.push(RECORD_SEPARATOR);
    push_text(out, &bytes);
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
}
