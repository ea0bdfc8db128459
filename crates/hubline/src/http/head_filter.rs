//! What Kestrel does with the heads of requests and hyper does not.

mod requests;
mod rewriter;
mod switching;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::progress::Progress;
use requests::Phase;
use rewriter::Rewriter;
use switching::SwitchingAnswer;

/// A socket between its client and hyper, which changes bytes in heads where hyper cannot be told to answer as
/// Kestrel does:
///
/// - a `#` in a target becomes a byte that hyper refuses (400, then the connection ends);
/// - `<`, `>`, `"` in a query and `<`, `>`, `` ` `` in a path, which Kestrel takes as they are, are percent-encoded;
/// - the version of a GET without body that asks for a WebSocket over HTTP/1.0 becomes 1.1, without which hyper upgrades
///   nothing;
/// - the 101 that hyper writes in lower case has its names as RFC 6455 spells them, since there are clients that compare bytes.
///
/// hyper alone decides where a request begins and ends. The filter follows it for as long as there is no doubt, and
/// changes nothing but that.
#[derive(Debug)]
pub(super) struct HeadFilter<Io> {
    io: Io,
    rewriter: Rewriter,
    answer: SwitchingAnswer,
    progress: Arc<Progress>,
    /// What was read and is to be read again.
    returned: Bytes,
}

impl<Io> HeadFilter<Io> {
    /// A filter around a socket that nothing has been read from.
    pub(super) fn new(io: Io, progress: Arc<Progress>) -> Self {
        let (rewriter, answer) = (Rewriter::default(), SwitchingAnswer::default());
        Self { io, rewriter, answer, progress, returned: Bytes::new() }
    }

    /// Takes back what was read of it last; it comes first again.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        self.returned = bytes;
    }

    /// The socket alone, and what has been read of it and not been given to hyper.
    pub(super) fn into_parts(self) -> (Io, Vec<u8>) {
        (self.io, [&self.returned[..], &self.rewriter.into_rest()].concat())
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for HeadFilter<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.returned.is_empty() {
            let length = this.returned.len().min(buffer.remaining());
            buffer.put_slice(&this.returned.split_to(length));
            this.note_progress();
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.rewriter.give(buffer) || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
            let read = &mut buffer.filled_mut()[before..];
            if read.is_empty() {
                this.rewriter.end();
                this.rewriter.give(buffer);
                return Poll::Ready(Ok(()));
            }
            let kept = this.rewriter.take(read);
            buffer.set_filled(before + kept);
            this.note_progress();
            if kept > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<Io> HeadFilter<Io> {
    fn note_progress(&self) {
        match self.rewriter.phase() {
            Phase::Between => self.progress.is_between_requests(),
            Phase::Within => self.progress.is_within_request(),
            Phase::Unknown => self.progress.has_read(),
        }
        if self.rewriter.has_lifted() {
            self.progress.lift();
        }
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for HeadFilter<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.progress.is_switching() {
            return this.answer.poll_write(Pin::new(&mut this.io), cx, bytes);
        }
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.progress.has_written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.progress.is_switching() {
            let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
            return this.answer.poll_write(Pin::new(&mut this.io), cx, first);
        }
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.progress.has_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
