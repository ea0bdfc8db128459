//! Takes WebSocket frames apart as their bytes come (RFC 6455, section 5).
//!
//! Headers are decoded by soketto; payloads are not collected but passed on at once, so a frame of any
//! announced length needs no memory, and a hub message in the first fragment counts at once.

use bytes::BytesMut;
use hubline_pipe::CloseCode;
use soketto::Parsing;
use soketto::base::{Codec, Header, OpCode};

use super::utf8::Utf8;

/// Most bytes of pongs that wait for the socket.
const ANSWERS_LIMIT: usize = 4 * 1024;

/// Longest header of a client's frame: 2 bytes, 8 of length, 4 of mask.
const MAX_HEADER: usize = 14;

const MAX_PAYLOAD: usize = usize::MAX >> 1;

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

/// Where messages go. Hubs take a stream of bytes, whose messages have ends of their own.
pub(super) trait Sink {
    /// Part of a message, unmasked.
    fn payload(&mut self, bytes: &[u8]);

    /// The message is complete.
    fn end(&mut self, _kind: Kind) {}
}

impl Sink for BytesMut {
    fn payload(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// What a complete message was sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
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
    /// Takes bytes from the socket, unmasks them in place, gives payloads to `sink` and appends frames
    /// that answer pings to `answers`.
    pub(super) fn take(
        &mut self,
        mut bytes: &mut [u8],
        sink: &mut impl Sink,
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
                sink.payload(mine);
            }
            if !whole {
                break;
            }
            if self.end_of_frame(sink, answers)? == OpCode::Close {
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
        // The highest bit of a length is 0 (section 5.2); soketto leaves it in.
        if !header.is_masked() || header.payload_len() > MAX_PAYLOAD {
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
    fn end_of_frame(&mut self, sink: &mut impl Sink, answers: &mut Vec<u8>) -> Result<OpCode, CloseCode> {
        let Some(frame) = self.payload.take() else { return Ok(OpCode::Continue) };
        match frame.opcode {
            OpCode::Ping => {
                // Only the newest ping needs an answer (section 5.5.3), so a flood of them cannot pile up.
                if answers.len() >= ANSWERS_LIMIT {
                    answers.clear();
                }
                write_control(answers, PONG, &self.control);
            }
            OpCode::Close => check_close(&self.control)?,
            _ if frame.last && !frame.opcode.is_control() => match self.message.take() {
                Some(Message::Text(utf8)) => {
                    utf8.end().map_err(|_| CloseCode::InvalidPayload)?;
                    sink.end(Kind::Text);
                }
                _ => sink.end(Kind::Binary),
            },
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
        // Eight at a time, which compilers make wider still.
        let [a, b, c, d] = self.mask;
        let wide = [a, b, c, d, a, b, c, d];
        let mut words = bytes.chunks_exact_mut(8);
        for word in &mut words {
            for (byte, key) in word.iter_mut().zip(wide) {
                *byte ^= key;
            }
        }
        for (byte, key) in words.into_remainder().iter_mut().zip(wide) {
            *byte ^= key;
        }
        self.at = bytes.len();
        self.left -= bytes.len();
    }
}

/// What a close frame may say (RFC 6455, sections 5.5.1 and 7.4): nothing, or a code that may travel and a
/// reason in UTF-8.
fn check_close(payload: &[u8]) -> Result<(), CloseCode> {
    match payload {
        [] => Ok(()),
        [_] => Err(CloseCode::ProtocolError),
        [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
            1000..=1003 | 1007..=1014 | 3000..=4999 => {
                std::str::from_utf8(reason).map(|_| ()).map_err(|_| CloseCode::InvalidPayload)
            }
            _ => Err(CloseCode::ProtocolError),
        },
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
        let length_of_64_bits = [&[0x82, 0xff, 0x80][..], &[0; 11]].concat();
        for bytes in [
            unmasked,
            stray_continuation,
            text_within_text,
            reserved_bit,
            reserved_opcode,
            fragmented_ping,
            long_ping,
            length_of_64_bits,
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
    fn close_frames_are_judged_by_their_code_and_reason() {
        let close = |code: u16, reason: &[u8]| frame(0x88, &[&code.to_be_bytes(), reason].concat());
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1014, 3000, 3999, 4000, 4999]
        {
            assert_eq!(read(&close(code, "bye €".as_bytes())), Ok((vec![], vec![], true)), "{code}");
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert_eq!(read(&close(code, b"")), Err(CloseCode::ProtocolError), "{code}");
        }
        assert_eq!(read(&frame(0x88, &[])), Ok((vec![], vec![], true)));
        assert_eq!(read(&frame(0x88, &[3])), Err(CloseCode::ProtocolError));
        assert_eq!(read(&close(1000, &[0xce, 0xba, 0xed, 0xa0, 0x80])), Err(CloseCode::InvalidPayload));
        let fragmented = frame(0x08, &[3, 232]);
        assert_eq!(read(&fragmented), Err(CloseCode::ProtocolError));
    }

    #[test]
    fn bad_text_is_noticed_in_its_fragment() {
        let mut bytes = frame(0x01, "κόσμε\u{0}".as_bytes());
        let mut reader = FrameReader::default();
        let (mut input, mut answers) = (BytesMut::new(), Vec::new());
        assert_eq!(reader.take(&mut bytes, &mut input, &mut answers), Ok(Received::Frames));
        let mut bytes = frame(0x00, &[0xf4, 0x90]);
        assert_eq!(reader.take(&mut bytes, &mut input, &mut answers), Err(CloseCode::InvalidPayload));
    }

    #[test]
    fn every_ping_is_answered_and_a_flood_of_them_bounded() {
        let mut reader = FrameReader::default();
        let (mut input, mut answers) = (BytesMut::new(), Vec::new());
        let mut pings = [frame(0x89, b"1"), frame(0x89, b"2")].concat();
        reader.take(&mut pings, &mut input, &mut answers).unwrap();
        assert_eq!(answers, [0x8a, 1, b'1', 0x8a, 1, b'2']);
        let mut flood = frame(0x89, &[b'x'; 125]).repeat(1000);
        reader.take(&mut flood, &mut input, &mut answers).unwrap();
        assert!(answers.len() < ANSWERS_LIMIT + 127);
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
