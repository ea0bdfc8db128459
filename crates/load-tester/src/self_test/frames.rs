//! WebSocket frames as a server reads and writes them.

use anyhow::{bail, ensure};

use crate::wire::framing::MessageReader;
use crate::wire::messages::Protocol;

const FRAME_LIMIT_BYTES: usize = 1 << 20;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

/// Appends one data frame that is not masked.
pub(super) fn push_frame(out: &mut Vec<u8>, protocol: Protocol, payload: &[u8]) {
    out.push(match protocol {
        Protocol::Json => FINAL | 1,
        Protocol::MessagePack => FINAL | 2,
    });
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => out.push(length),
        (_, Ok(length)) => {
            out.push(126);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Finds the hub messages in what a client sends.
#[derive(Debug)]
pub(super) struct ClientReader {
    bytes: Vec<u8>,
    messages: MessageReader,
}

impl ClientReader {
    /// For the handshake, which ends with a record separator in both protocols.
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), messages: MessageReader::new(Protocol::Json) }
    }

    /// For what comes behind the handshake.
    pub(super) fn shaken_hands(&mut self, protocol: Protocol) {
        self.messages = MessageReader::resumed(protocol);
    }

    /// Room for what is read next.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Hands over the messages of whole frames; false if the client has closed.
    pub(super) fn take(&mut self, mut on_message: impl FnMut(&[u8])) -> anyhow::Result<bool> {
        let mut used = 0;
        let mut is_open = true;
        while let Some((opcode, start, end)) = unmask(&mut self.bytes[used..])? {
            match opcode {
                0..=2 => self.messages.feed(&self.bytes[used + start..used + end], &mut on_message)?,
                8 => is_open = false,
                // No client of the tester's sends pings.
                9 | 10 => {}
                other => bail!("frame with opcode {other}"),
            }
            used += end;
        }
        self.bytes.drain(..used);
        Ok(is_open)
    }
}

/// Opcode, and where the payload begins and ends; `None` while the frame is not whole.
fn unmask(bytes: &mut [u8]) -> anyhow::Result<Option<(u8, usize, usize)>> {
    let Some(&[first, second]) = bytes.first_chunk() else { return Ok(None) };
    ensure!(second & MASKED != 0, "a client's frame is not masked");
    let (length, head) = match (second & !MASKED, bytes.get(2..).unwrap_or_default()) {
        (126, rest) => match rest.first_chunk() {
            Some(length) => (usize::from(u16::from_be_bytes(*length)), 4),
            None => return Ok(None),
        },
        (127, rest) => match rest.first_chunk() {
            Some(length) => (usize::try_from(u64::from_be_bytes(*length))?, 10),
            None => return Ok(None),
        },
        (length, _) => (usize::from(length), 2),
    };
    ensure!(length <= FRAME_LIMIT_BYTES, "frame of {length} bytes");
    let (start, end) = (head + 4, head + 4 + length);
    if bytes.len() < end {
        return Ok(None);
    }
    let (mask, payload) = bytes[head..end].split_at_mut(4);
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Ok(Some((first & 0x0f, start, end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::framing::{FrameReader, Incoming, push_close, push_data};

    #[test]
    fn what_a_client_writes_is_read_wherever_a_read_cuts() {
        let long = vec![b'y'; 70_000];
        let mut wire = Vec::new();
        for payload in [&b"{}\x1e"[..], b"a\x1eb\x1e", &long, b"\x1e"] {
            push_data(&mut wire, Protocol::Json, payload);
        }
        push_close(&mut wire);
        for cut in (0..wire.len()).step_by(97).chain(0..60) {
            let mut reader = ClientReader::new();
            let mut sizes = Vec::new();
            let mut is_open = true;
            for part in [&wire[..cut], &wire[cut..]] {
                reader.buffer().extend_from_slice(part);
                is_open &= reader.take(|message| sizes.push(message.len())).unwrap();
            }
            assert_eq!((sizes, is_open), (vec![2, 1, 1, 70_000], false), "cut at {cut}");
        }
        let mut reader = ClientReader::new();
        reader.buffer().extend_from_slice(b"\x81\x00");
        assert!(reader.take(|_| ()).is_err(), "clients mask");
    }

    #[test]
    fn what_the_server_writes_clients_read() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let mut wire = Vec::new();
            push_frame(&mut wire, Protocol::Json, &[&vec![b'a'; length][..], b"\x1e"].concat());
            let mut sizes = Vec::new();
            let mut reader = FrameReader::new(Protocol::Json);
            reader
                .feed(&wire, |incoming| {
                    if let Incoming::Message(message) = incoming {
                        sizes.push(message.len());
                    }
                })
                .unwrap();
            assert_eq!(sizes, [length]);
        }
    }
}
