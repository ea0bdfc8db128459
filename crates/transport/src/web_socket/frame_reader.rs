//! Takes WebSocket frames apart as their bytes come (RFC 6455, section 5).
//!
//! Headers are decoded by soketto; payloads are not collected but passed on at once, so a frame of any
//! announced length needs no memory, and a hub message in the first fragment counts at once.

use bytes::BytesMut;
use hubline_pipe::CloseCode;
use soketto::Parsing;
use soketto::base::{Codec, Header, OpCode};

use super::utf8::Utf8;

/// Longest header of a client's frame: 2 bytes, 8 of length, 4 of mask.
const MAX_HEADER: usize = 14;

#[derive(Debug, Default)]
pub(super) struct FrameReader {
    /// The beginning of a header that has not come whole.
    partial: PartialHeader,
    payload: Option<Payload>,
    /// The message that fragments belong to.
    message: Option<Message>,
    /// Payload of a ping or close frame so far.
    control: Vec<u8>,
}

#[derive(Debug, Default)]
struct PartialHeader {
    bytes: [u8; MAX_HEADER],
    length: usize,
}

/// A frame whose header has been read.
#[derive(Debug)]
struct Payload {
    opcode: OpCode,
    last: bool,
    left: usize,
    mask: [u8; 4],
    at: usize,
}

#[derive(Debug)]
enum Message {
    Text(Utf8),
    Binary,
}

/// What some bytes brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// Frames or parts of them.
    Frames,
    /// The peer's close frame; what follows it is ignored.
    Close,
}

impl FrameReader {
    /// Takes bytes from the socket, unmasks them in place and appends payloads to `input` and frames that
    /// answer pings to `answers`.
    pub(super) fn take(
        &mut self,
        mut bytes: &mut [u8],
        input: &mut BytesMut,
        answers: &mut Vec<u8>,
    ) -> Result<Received, CloseCode> {
        loop {
            if self.payload.is_none() {
                let used = self.header(bytes)?;
                bytes = &mut bytes[used..];
            }
            let Some(payload) = &mut self.payload else { break };
            let here = payload.left.min(bytes.len());
            let (mine, rest) = bytes.split_at_mut(here);
            payload.unmask(mine);
            bytes = rest;
            let whole = payload.left == 0;
            if payload.opcode.is_control() {
                self.control.extend_from_slice(mine);
            } else {
                if let Some(Message::Text(utf8)) = &mut self.message {
                    utf8.check(mine).map_err(|_| CloseCode::InvalidPayload)?;
                }
                input.extend_from_slice(mine);
            }
            if !whole {
                break;
            }
            if self.end_of_frame(answers)? == OpCode::Close {
                return Ok(Received::Close);
            }
        }
        Ok(Received::Frames)
    }

    /// Completes a header from `bytes`; returns how many belong to it.
    fn header(&mut self, bytes: &[u8]) -> Result<usize, CloseCode> {
        let partial = &mut self.partial;
        let known = partial.length;
        let used = bytes.len().min(MAX_HEADER - known);
        partial.bytes[known..known + used].copy_from_slice(&bytes[..used]);
        let mut codec = Codec::new();
        codec.set_max_data_size(usize::MAX);
        match codec.decode_header(&partial.bytes[..known + used]) {
            Ok(Parsing::Done { value, offset }) => {
                partial.length = 0;
                self.begin(&value)?;
                Ok(offset - known)
            }
            Ok(Parsing::NeedMore(_)) => {
                partial.length += used;
                Ok(used)
            }
            Err(_) => Err(CloseCode::ProtocolError),
        }
    }

    fn begin(&mut self, header: &Header) -> Result<(), CloseCode> {
        let opcode = header.opcode();
        match (opcode, &self.message) {
            (OpCode::Continue, None) | (OpCode::Text | OpCode::Binary, Some(_)) => {
                return Err(CloseCode::ProtocolError);
            }
            (OpCode::Text, None) => self.message = Some(Message::Text(Utf8::default())),
            (OpCode::Binary, None) => self.message = Some(Message::Binary),
            _ => {}
        }
        if !header.is_masked() {
            return Err(CloseCode::ProtocolError);
        }
        self.payload = Some(Payload {
            opcode,
            last: header.is_fin(),
            left: header.payload_len(),
            mask: header.mask().to_be_bytes(),
            at: 0,
        });
        Ok(())
    }

    /// Finishes a frame and returns what it was.
    fn end_of_frame(&mut self, answers: &mut Vec<u8>) -> Result<OpCode, CloseCode> {
        let Some(frame) = self.payload.take() else { return Ok(OpCode::Continue) };
        match frame.opcode {
            OpCode::Ping => {
                // Only the newest ping needs an answer (section 5.5.3), so a flood of them cannot pile up.
                answers.clear();
                write_control(answers, PONG, &self.control);
            }
            _ if frame.last && !frame.opcode.is_control() => {
                if let Some(Message::Text(utf8)) = self.message.take() {
                    utf8.end().map_err(|_| CloseCode::InvalidPayload)?;
                }
            }
            _ => {}
        }
        if frame.opcode.is_control() {
            self.control = Vec::new();
        }
        Ok(frame.opcode)
    }
}

impl Payload {
    fn unmask(&mut self, bytes: &mut [u8]) {
        self.mask.rotate_left(self.at % 4);
        for (byte, key) in bytes.iter_mut().zip(self.mask.into_iter().cycle()) {
            *byte ^= key;
        }
        self.at = bytes.len();
        self.left -= bytes.len();
    }
}

const FINAL_CLOSE: u8 = 0x88;
const PONG: u8 = 0x8a;

/// Appends a close frame without a reason text.
pub(super) fn write_close(out: &mut Vec<u8>, code: CloseCode) {
    write_control(out, FINAL_CLOSE, &code.number().to_be_bytes());
}

/// The payload of a control frame has 125 bytes at most; the decoder has seen to that.
fn write_control(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    out.extend([first, u8::try_from(payload.len()).unwrap_or(0)]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 250];

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match u8::try_from(payload.len()) {
            Ok(short @ 0..126) => bytes.push(0x80 | short),
            _ => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
        }
        bytes.extend(MASK);
        bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    /// Feeds `bytes` in pieces of every size and checks that the outcome is the same.
    fn read(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>, bool), CloseCode> {
        let outcome = |size: usize| {
            let mut reader = FrameReader::default();
            let (mut input, mut answers, mut closed) = (BytesMut::new(), Vec::new(), false);
            for piece in bytes.chunks(size) {
                closed |= reader.take(&mut piece.to_vec(), &mut input, &mut answers)? == Received::Close;
            }
            Ok((input.to_vec(), answers, closed))
        };
        let whole = outcome(bytes.len().max(1));
        for size in 1..bytes.len().min(40) {
            assert_eq!(outcome(size), whole, "in pieces of {size}");
        }
        whole
    }

    #[test]
    fn payloads_are_joined_and_pings_between_fragments_answered() {
        let bytes = [
            frame(0x01, "né".as_bytes()),
            frame(0x89, b"hi"),
            frame(0x80, &[b'x'; 200]),
            frame(0x82, &[0xff]),
        ]
        .concat();
        let expected = ["né".as_bytes(), &[b'x'; 200], &[0xff]].concat();
        assert_eq!(read(&bytes), Ok((expected, vec![0x8a, 2, b'h', b'i'], false)));
    }

    #[test]
    fn text_is_checked_across_fragments() {
        let euro = "€".as_bytes();
        let split = [frame(0x01, &euro[..1]), frame(0x80, &euro[1..])].concat();
        assert_eq!(read(&split), Ok((euro.to_vec(), vec![], false)));
        assert_eq!(read(&frame(0x81, &[0xff])), Err(CloseCode::InvalidPayload));
        assert_eq!(read(&frame(0x81, &euro[..2])), Err(CloseCode::InvalidPayload));
    }

    #[test]
    fn broken_rules_end_it() {
        let unmasked = vec![0x81, 1, b'a'];
        let stray_continuation = frame(0x80, b"a");
        let text_within_text = [frame(0x01, b"a"), frame(0x81, b"b")].concat();
        let reserved_bit = frame(0xc1, b"a");
        let reserved_opcode = frame(0x83, b"a");
        let fragmented_ping = frame(0x09, b"a");
        let long_ping = frame(0x89, &[0; 126]);
        for bytes in [
            unmasked,
            stray_continuation,
            text_within_text,
            reserved_bit,
            reserved_opcode,
            fragmented_ping,
            long_ping,
        ] {
            assert_eq!(read(&bytes), Err(CloseCode::ProtocolError), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_close_frame_ends_it_and_the_rest_is_ignored() {
        let bytes = [frame(0x81, b"a"), frame(0x88, &[3, 232]), frame(0x81, b"b")].concat();
        let mut reader = FrameReader::default();
        let (mut input, mut answers) = (BytesMut::new(), Vec::new());
        assert_eq!(reader.take(&mut bytes.clone(), &mut input, &mut answers), Ok(Received::Close));
        assert_eq!(&input[..], b"a");
    }

    #[test]
    fn an_announced_gigabyte_takes_no_memory() {
        let mut header = vec![0x82, 0xff];
        header.extend((1u64 << 30).to_be_bytes());
        header.extend(MASK);
        let mut reader = FrameReader::default();
        let (mut input, mut answers) = (BytesMut::new(), Vec::new());
        assert_eq!(reader.take(&mut header, &mut input, &mut answers), Ok(Received::Frames));
        assert_eq!(input.capacity(), 0);
    }
}
