//! A WebSocket as a pipe.

mod frame_reader;
mod utf8;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use hubline_pipe::{CloseCode, CloseOutcome, Frame, Pipe, PipeEnd};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout};

use crate::EndpointOptions;
use frame_reader::{FrameReader, Received};

/// Most frames in one system call; more than fits a socket buffer gains nothing.
const FRAMES_PER_WRITE: usize = 64;

const SCRATCH_SIZE: usize = 16 * 1024;

thread_local! {
    /// Sockets are read into this and copied out: a copy of what little clients send is cheaper than a
    /// buffer in every idle connection.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_SIZE].into());
}

/// What a WebSocket has from its request.
pub(crate) struct Settings {
    pub(crate) options: Arc<EndpointOptions>,
    /// When its authentication ends, if it ends with that.
    pub(crate) expires: Option<Instant>,
}

pub(crate) struct WebSocket<Io> {
    io: Io,
    settings: Settings,
    reader: FrameReader,
    /// Bytes that came in one piece with the upgrade request.
    early: Bytes,
    /// Pongs that nothing has been sent of.
    pong: Vec<u8>,
    /// What is left of a control frame under way; it goes before the next data frame.
    control: Vec<u8>,
    /// How much of the front data frame is sent already.
    sent: usize,
    /// Set once nothing more is to be read; what came before is given out first.
    ended: Option<PipeEnd>,
}

impl<Io: AsyncRead + AsyncWrite + Unpin + Send + 'static> WebSocket<Io> {
    pub(crate) fn new(io: Io, early: Bytes, settings: Settings) -> Self {
        let (pong, control) = (Vec::new(), Vec::new());
        Self { io, settings, reader: FrameReader::default(), early, pong, control, sent: 0, ended: None }
    }

    /// Reads once and gives what came to the frame reader.
    fn poll_read(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<()> {
        if !self.early.is_empty() {
            let mut early = BytesMut::from(std::mem::take(&mut self.early));
            self.take(&mut early, input);
            return Poll::Ready(());
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.take(buffer.filled_mut(), input),
                Ok(()) | Err(_) => self.ended = Some(PipeEnd::Lost),
            }
            Poll::Ready(())
        })
    }

    fn take(&mut self, bytes: &mut [u8], input: &mut BytesMut) {
        self.ended = match self.reader.take(bytes, input, &mut self.pong) {
            Ok(Received::Frames) => None,
            Ok(Received::Close) => Some(PipeEnd::Closed),
            Err(code) => Some(PipeEnd::Violation(code)),
        };
    }

    /// Sends control frames, unless a data frame is half sent.
    fn poll_send_control(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PipeEnd>> {
        while self.sent == 0 {
            if self.control.is_empty() {
                self.control = std::mem::take(&mut self.pong);
            }
            if self.control.is_empty() {
                break;
            }
            let sent = written(ready!(Pin::new(&mut self.io).poll_write(cx, &self.control)))?;
            if sent == self.control.len() {
                self.control = Vec::new();
            } else {
                self.control.drain(..sent);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_frames(
        &mut self,
        cx: &mut Context<'_>,
        frames: &VecDeque<Frame>,
    ) -> Poll<Result<usize, PipeEnd>> {
        if let ([only], []) = frames.as_slices() {
            let unsent = &only.web_socket()[self.sent..];
            return Poll::Ready(written(ready!(Pin::new(&mut self.io).poll_write(cx, unsent))));
        }
        let mut slices = [IoSlice::new(&[]); FRAMES_PER_WRITE];
        let mut used = 0;
        for (slice, frame) in slices.iter_mut().zip(frames) {
            let skipped = if used == 0 { self.sent } else { 0 };
            *slice = IoSlice::new(&frame.web_socket()[skipped..]);
            used += 1;
        }
        Poll::Ready(written(ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &slices[..used]))))
    }

    /// Sends a close frame and waits for the answer, or for the end of the socket.
    async fn say_goodbye(&mut self, code: CloseCode) {
        frame_reader::write_close(&mut self.control, code);
        let mut control = Bytes::from(std::mem::take(&mut self.control));
        while control.has_remaining() {
            match self.io.write_buf(&mut control).await {
                Ok(written) if written > 0 => {}
                _ => return,
            }
        }
        if self.io.flush().await.is_err() {
            return;
        }
        if matches!(code, CloseCode::ProtocolError | CloseCode::InvalidPayload) {
            _ = self.io.shutdown().await;
            self.wait_for_end().await;
        } else {
            self.wait_for_close().await;
            // Over TLS its own good-bye, without which the end looks like an attack.
            _ = self.io.shutdown().await;
        }
    }

    /// Reads on until the peer's close frame or the end; what else comes is of no interest any more.
    async fn wait_for_close(&mut self) {
        let mut ignored = BytesMut::new();
        while self.ended.is_none() {
            ignored.clear();
            poll_fn(|cx| self.poll_read(cx, &mut ignored)).await;
        }
    }

    /// After a violation frames cannot be told apart any more; reading to the end keeps the close frame
    /// from being lost in a reset.
    async fn wait_for_end(&mut self) {
        poll_fn(|cx| {
            SCRATCH.with_borrow_mut(|scratch| {
                loop {
                    let mut buffer = ReadBuf::new(scratch);
                    match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
                        Ok(()) if !buffer.filled().is_empty() => {}
                        _ => return Poll::Ready(()),
                    }
                }
            })
        })
        .await;
    }
}

/// A write that takes nothing will never take anything.
fn written(outcome: std::io::Result<usize>) -> Result<usize, PipeEnd> {
    match outcome {
        Ok(0) | Err(_) => Err(PipeEnd::Lost),
        Ok(written) => Ok(written),
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin + Send + 'static> Pipe for WebSocket<Io> {
    fn expires(&self) -> Option<Instant> {
        self.settings.expires
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<(), PipeEnd>> {
        let before = input.len();
        loop {
            // Errors of a pong are seen by the next read.
            let _ = self.poll_send_control(cx);
            if input.len() > before {
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = self.ended {
                return Poll::Ready(Err(end));
            }
            ready!(self.poll_read(cx, input));
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, frames: &mut VecDeque<Frame>) -> Poll<Result<(), PipeEnd>> {
        while !frames.is_empty() {
            ready!(self.poll_send_control(cx))?;
            let mut written = ready!(self.poll_write_frames(cx, frames))?;
            while let Some(front) = frames.front() {
                let left = front.size() - self.sent;
                if written < left {
                    self.sent += written;
                    break;
                }
                written -= left;
                self.sent = 0;
                frames.pop_front();
            }
        }
        // A TLS stream may hold what its socket has not taken.
        Pin::new(&mut self.io).poll_flush(cx).map_err(|_| PipeEnd::Lost)
    }

    fn partly_sent(&self) -> usize {
        self.sent
    }

    fn close(mut self: Box<Self>, code: CloseCode) -> Pin<Box<dyn Future<Output = CloseOutcome> + Send>> {
        Box::pin(async move {
            // Behind half a frame nothing can be said, and whoever left it there does not read.
            if self.sent > 0 {
                return CloseOutcome::Silent;
            }
            match timeout(self.settings.options.web_sockets_close_timeout, self.say_goodbye(code)).await {
                Ok(()) if self.ended == Some(PipeEnd::Closed) => CloseOutcome::Answered,
                Ok(()) => CloseOutcome::Lost,
                Err(_) => CloseOutcome::Silent,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, BufStream, duplex};

    use super::*;

    #[tokio::test]
    async fn what_a_stream_holds_back_is_sent_too() {
        let (ours, mut theirs) = duplex(1024);
        let settings = Settings { options: Arc::default(), expires: None };
        let mut pipe = Box::new(WebSocket::new(BufStream::new(ours), Bytes::new(), settings));
        let message = hubline_protocol::Encoded::copy_from(b"{}\x1e");
        let mut frames = VecDeque::from([Frame::uncounted(message, hubline_protocol::TransferFormat::Text)]);
        poll_fn(|cx| pipe.poll_send(cx, &mut frames)).await.unwrap();
        let mut read = [0; 5];
        theirs.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"\x81\x03{}\x1e");

        let closing = tokio::spawn(pipe.close(CloseCode::Normal));
        let mut close = [0; 4];
        theirs.read_exact(&mut close).await.unwrap();
        assert_eq!(close, [0x88, 2, 3, 232]);
        theirs.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
        assert_eq!(closing.await.unwrap(), CloseOutcome::Answered);
    }
}
