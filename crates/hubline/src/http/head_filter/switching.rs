//! The answer that makes a connection a WebSocket, as RFC 6455 spells it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use memchr::memmem;
use tokio::io::AsyncWrite;

/// How hyper begins the answer. It is the last thing that hyper writes on a connection, so the last of these in what
/// is written is it, whatever an answer before has in its body.
const BEGINNING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n";

/// Names as in RFC 6455, section 4.2.2.
const NAMES: [&[u8]; 5] = [
    b"Connection:",
    b"Upgrade:",
    b"Sec-WebSocket-Accept:",
    b"Sec-WebSocket-Protocol:",
    b"Sec-WebSocket-Extensions:",
];

/// An answer on its way out, once hyper begins to write it.
#[derive(Debug, Default)]
pub(super) struct SwitchingAnswer(Option<Box<Spelled>>);

#[derive(Debug)]
struct Spelled {
    bytes: Vec<u8>,
    written: usize,
}

impl SwitchingAnswer {
    /// Writes what hyper has to write, with other letters of the same number: so hyper may count what has been written.
    pub(super) fn poll_write(
        &mut self,
        io: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.0.is_none() {
            match memmem::rfind(bytes, BEGINNING) {
                Some(0) => self.0 = Some(Box::new(Spelled { bytes: spelled(bytes), written: 0 })),
                Some(before) => return io.poll_write(cx, &bytes[..before]),
                None => return io.poll_write(cx, bytes),
            }
        }
        match &mut self.0 {
            Some(answer) if answer.written < answer.bytes.len() => {
                let written = ready!(io.poll_write(cx, &answer.bytes[answer.written..]))?;
                answer.written += written;
                Poll::Ready(Ok(written))
            }
            _ => io.poll_write(cx, bytes),
        }
    }
}

fn spelled(answer: &[u8]) -> Vec<u8> {
    let mut answer = answer.to_vec();
    for line in answer.split_mut(|&byte| byte == b'\n') {
        for name in NAMES {
            if let Some(start) = line.get_mut(..name.len())
                && start.eq_ignore_ascii_case(name)
            {
                start.copy_from_slice(name);
            }
        }
    }
    answer
}
