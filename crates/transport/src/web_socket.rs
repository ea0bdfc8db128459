//! A WebSocket as a pipe.

mod frame_reader;
mod utf8;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use hubline_pipe::{CloseCode, Frame, Pipe, PipeEnd};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use frame_reader::{FrameReader, Received};

/// How long the peer has to answer a close frame (ASP.NET Core's `CloseTimeout`).
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Most frames in one system call; more than fits a socket buffer gains nothing.
const FRAMES_PER_WRITE: usize = 64;

const SCRATCH_SIZE: usize = 16 * 1024;

thread_local! {
    /// Sockets are read into this and copied out: a copy of what little clients send is cheaper than a
    /// buffer in every idle connection.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_SIZE].into());
}

pub(crate) struct WebSocket<Io> {
    io: Io,
    reader: FrameReader,
    /// Bytes that came in one piece with the upgrade request.
    early: Bytes,
    /// The newest pong that nothing has been sent of.
    pong: Vec<u8>,
    /// What is left of a control frame under way; it goes before the next data frame.
    control: Vec<u8>,
    /// How much of the front data frame is sent already.
    sent: usize,
    /// Set once nothing more is to be read; what came before is given out first.
    ended: Option<PipeEnd>,
}

impl<Io: AsyncRead + AsyncWrite + Unpin + Send + 'static> WebSocket<Io> {
    pub(crate) fn new(io: Io, early: Bytes) -> Self {
        let (pong, control) = (Vec::new(), Vec::new());
        Self { io, reader: FrameReader::default(), early, pong, control, sent: 0, ended: None }
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
            self.control.drain(..sent);
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
        Poll::Ready(Ok(()))
    }

    fn close(mut self: Box<Self>, code: CloseCode) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let farewell = async {
                if self.sent > 0 {
                    return;
                }
                frame_reader::write_close(&mut self.control, code);
                let mut control = Bytes::from(std::mem::take(&mut self.control));
                while control.has_remaining() {
                    match self.io.write_buf(&mut control).await {
                        Ok(written) if written > 0 => {}
                        _ => return,
                    }
                }
                if matches!(code, CloseCode::ProtocolError | CloseCode::InvalidPayload) {
                    _ = self.io.shutdown().await;
                    self.wait_for_end().await;
                } else {
                    self.wait_for_close().await;
                }
            };
            _ = timeout(CLOSE_TIMEOUT, farewell).await;
        })
    }
}
