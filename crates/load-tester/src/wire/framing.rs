//! The few lines of RFC 6455 and of the hub protocols' framing that a load client needs.

use anyhow::{bail, ensure};

use crate::wire::messages::Protocol;

/// Ends every JSON hub message and every handshake.
pub(crate) const RECORD_SEPARATOR: u8 = 0x1e;

const FRAME_LIMIT_BYTES: usize = 1 << 20;
/// Not zero, so that no server gets away without unmasking.
const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Appends one masked data frame; `payload` brings its record separator or length.
pub(crate) fn push_data(out: &mut Vec<u8>, protocol: Protocol, payload: &[u8]) {
    let opcode = match protocol {
        Protocol::Json => TEXT,
        Protocol::MessagePack => BINARY,
    };
    push_frame(out, opcode, payload);
}

pub(crate) fn push_pong(out: &mut Vec<u8>, payload: &[u8]) {
    push_frame(out, PONG, payload);
}

/// Appends a close frame with code 1000.
pub(crate) fn push_close(out: &mut Vec<u8>) {
    push_frame(out, CLOSE, &1000_u16.to_be_bytes());
}

fn push_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    const FINAL: u8 = 0x80;
    const MASKED: u8 = 0x80;
    out.push(FINAL | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => out.push(MASKED | length),
        (_, Ok(length)) => {
            out.push(MASKED | 126);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(MASKED | 127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// What the server sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// One hub message without its record separator.
    Message(&'a [u8]),
    Ping(&'a [u8]),
    /// The close frame's code, if it had one.
    Close(Option<u16>),
}

/// Finds hub messages in the bytes of any transport. Copies only what a read cut in two, so an idle
/// connection holds no buffer.
#[derive(Debug)]
pub(crate) struct MessageReader {
    protocol: Protocol,
    message_start: Vec<u8>,
    /// Until then even MessagePack has record separators.
    shaken_hands: bool,
}

impl MessageReader {
    /// For a connection that awaits the answer to its handshake.
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self { protocol, message_start: Vec::new(), shaken_hands: false }
    }

    /// For a connection that was resumed, which has no handshake.
    pub(crate) fn resumed(protocol: Protocol) -> Self {
        Self { shaken_hands: true, ..Self::new(protocol) }
    }

    /// Hands over each message without its record separator or length.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut on: impl FnMut(&[u8])) -> anyhow::Result<()> {
        if self.message_start.is_empty() {
            let used = self.messages(bytes, &mut on)?;
            self.message_start.extend_from_slice(&bytes[used..]);
        } else {
            let mut whole = std::mem::take(&mut self.message_start);
            whole.extend_from_slice(bytes);
            let used = self.messages(&whole, &mut on)?;
            whole.drain(..used);
            if !whole.is_empty() {
                self.message_start = whole;
            }
        }
        ensure!(self.message_start.len() <= FRAME_LIMIT_BYTES, "hub message over {FRAME_LIMIT_BYTES} bytes");
        Ok(())
    }

    /// Returns how many bytes the whole messages took.
    fn messages(&mut self, bytes: &[u8], on: &mut impl FnMut(&[u8])) -> anyhow::Result<usize> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let split = match self.protocol {
                Protocol::MessagePack if self.shaken_hands => split_by_length(rest)?,
                _ => memchr::memchr(RECORD_SEPARATOR, rest).map(|end| (&rest[..end], end + 1)),
            };
            let Some((message, size)) = split else {
                return Ok(used);
            };
            self.shaken_hands = true;
            on(message);
            used += size;
        }
    }
}

/// The first message behind its length, and the size of both; `None` while it is not whole.
fn split_by_length(bytes: &[u8]) -> anyhow::Result<Option<(&[u8], usize)>> {
    let mut length = 0;
    for (index, byte) in bytes.iter().enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        ensure!(length <= FRAME_LIMIT_BYTES && index < 3, "hub message over {FRAME_LIMIT_BYTES} bytes");
        if byte & 0x80 == 0 {
            let size = index + 1 + length;
            return Ok(bytes.get(index + 1..size).map(|message| (message, size)));
        }
    }
    Ok(None)
}

/// Finds frames, and the hub messages in them.
#[derive(Debug)]
pub(crate) struct FrameReader {
    frame_start: Vec<u8>,
    messages: MessageReader,
}

impl FrameReader {
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self { frame_start: Vec::new(), messages: MessageReader::new(protocol) }
    }

    /// For a connection that was resumed, which has no handshake.
    pub(crate) fn resumed(protocol: Protocol) -> Self {
        Self { frame_start: Vec::new(), messages: MessageReader::resumed(protocol) }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8], mut on: impl FnMut(Incoming<'_>)) -> anyhow::Result<()> {
        if self.frame_start.is_empty() {
            let used = self.frames(bytes, &mut on)?;
            self.frame_start.extend_from_slice(&bytes[used..]);
        } else {
            let mut whole = std::mem::take(&mut self.frame_start);
            whole.extend_from_slice(bytes);
            let used = self.frames(&whole, &mut on)?;
            whole.drain(..used);
            if !whole.is_empty() {
                self.frame_start = whole;
            }
        }
        Ok(())
    }

    /// Returns how many bytes the whole frames took.
    fn frames(&mut self, bytes: &[u8], on: &mut impl FnMut(Incoming<'_>)) -> anyhow::Result<usize> {
        let mut used = 0;
        while let Some((opcode, payload, size)) = split_frame(&bytes[used..])? {
            match opcode {
                CONTINUATION | TEXT | BINARY => {
                    self.messages.feed(payload, |message| on(Incoming::Message(message)))?;
                }
                PING => on(Incoming::Ping(payload)),
                PONG => {}
                CLOSE => on(Incoming::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code)))),
                other => bail!("frame with opcode {other}"),
            }
            used += size;
        }
        Ok(used)
    }
}

/// Opcode, payload and size of the first frame; `None` while it is not whole.
fn split_frame(bytes: &[u8]) -> anyhow::Result<Option<(u8, &[u8], usize)>> {
    let Some(&[first, second]) = bytes.first_chunk() else {
        return Ok(None);
    };
    ensure!(second & 0x80 == 0, "masked frame from the server");
    let after = &bytes[2..];
    let (length, header) = match second {
        126 => match after.first_chunk() {
            Some(length) => (usize::from(u16::from_be_bytes(*length)), 4),
            None => return Ok(None),
        },
        127 => match after.first_chunk() {
            Some(length) => (usize::try_from(u64::from_be_bytes(*length))?, 10),
            None => return Ok(None),
        },
        length => (usize::from(length), 2),
    };
    ensure!(length <= FRAME_LIMIT_BYTES, "frame of {length} bytes");
    let size = header + length;
    Ok(bytes.get(header..size).map(|payload| (first & 0x0f, payload, size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<String> {
        let mut reader = FrameReader::new(Protocol::Json);
        let mut seen = Vec::new();
        for chunk in chunks {
            reader
                .feed(chunk, |incoming| {
                    seen.push(match incoming {
                        Incoming::Message(text) => String::from_utf8_lossy(text).into_owned(),
                        other => format!("{other:?}"),
                    });
                })
                .unwrap();
        }
        assert!(reader.frame_start.is_empty() && reader.messages.message_start.is_empty());
        seen
    }

    #[test]
    fn messages_are_found_wherever_a_read_cuts() {
        // two messages in one frame, a ping, a message in two fragments, a long one, a close
        let mut wire = b"\x81\x06{}\x1e[]\x1e\x89\x02hi\x01\x02{\"\x80\x03\"}\x1e".to_vec();
        wire.extend(b"\x81\x7e\x01\x2d");
        wire.extend([b'x'; 300]);
        wire.push(RECORD_SEPARATOR);
        wire.extend(b"\x88\x02\x03\xe8");
        let expected = ["{}", "[]", "Ping([104, 105])", "{\"\"}", &"x".repeat(300), "Close(Some(1000))"];
        assert_eq!(read(&[&wire]), expected);
        for cut in 1..wire.len() {
            let (start, end) = wire.split_at(cut);
            assert_eq!(read(&[start, end]), expected, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = wire.chunks(1).collect();
        assert_eq!(read(&bytes), expected);
    }

    #[test]
    fn client_frames_are_masked() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let mut frame = Vec::new();
            push_data(&mut frame, Protocol::Json, &vec![b'a'; length]);
            let header = frame.len() - length;
            assert_eq!(frame[0], 0x81);
            assert_eq!(frame[1] & 0x80, 0x80);
            assert_eq!(frame[header - 4..header], MASK);
            assert!(frame[header..].iter().zip(MASK.iter().cycle()).all(|(b, m)| b ^ m == b'a'));
        }
    }

    #[test]
    fn what_is_too_large_or_masked_is_refused() {
        let mut reader = FrameReader::new(Protocol::Json);
        assert!(reader.feed(b"\x81\x7f\x00\x00\x00\x00\x40\x00\x00\x00", |_| ()).is_err());
        assert!(FrameReader::new(Protocol::Json).feed(b"\x81\x81", |_| ()).is_err());
    }

    #[test]
    fn message_pack_has_lengths_after_the_handshake() {
        let mut wire = b"{}\x1e\x02\x91\x06\xac\x02".to_vec();
        wire.extend([RECORD_SEPARATOR; 300]);
        wire.extend(b"\x01\x90");
        for cut in 0..wire.len() {
            let mut reader = MessageReader::new(Protocol::MessagePack);
            let mut sizes = Vec::new();
            for part in [&wire[..cut], &wire[cut..]] {
                reader.feed(part, |message| sizes.push(message.len())).unwrap();
            }
            assert_eq!(sizes, [2, 2, 300, 1], "cut at {cut}");
        }
        assert!(MessageReader::new(Protocol::MessagePack).feed(b"{}\x1e\xff\xff\xff\xff", |_| ()).is_err());
    }
}
