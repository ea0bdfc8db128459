//! What Kestrel refuses in the head of a request and hyper does not.

mod requests;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use requests::Requests;

/// A socket between its client and hyper, which changes bytes in heads where hyper cannot be told to answer as
/// Kestrel does.
///
/// hyper alone decides where a request begins and ends. The filter follows it for as long as there is no doubt, changes
/// nothing but heads, and only so that hyper refuses the request (400, then the connection ends).
#[derive(Debug)]
pub(super) struct HeadFilter<Io> {
    io: Io,
    requests: Requests,
}

impl<Io> HeadFilter<Io> {
    /// A filter around a socket that nothing has been read from.
    pub(super) fn new(io: Io) -> Self {
        Self { io, requests: Requests::default() }
    }

    /// The socket alone.
    pub(super) fn into_inner(self) -> Io {
        self.io
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for HeadFilter<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        self.requests.filter(&mut buffer.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for HeadFilter<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
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
