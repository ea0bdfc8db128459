//! Clients that do not read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::StallTimer;

/// A socket whose writes fail once the peer has taken no byte for a time
/// (ASP.NET Core's `TransportSendTimeout`), with an error of the kind [`io::ErrorKind::TimedOut`].
///
/// Made for serving HTTP: hyper tries a pending write again when the time is up, so the connection ends
/// then. A WebSocket gets the bare socket, because hubs have their own bounds for those who do not read.
#[derive(Debug)]
pub struct SendTimeout<Io> {
    io: Io,
    timer: StallTimer,
}

impl<Io> SendTimeout<Io> {
    /// Bounds how long a write may wait for its next byte to go.
    pub fn new(io: Io, limit: Duration) -> Self {
        Self { io, timer: StallTimer::new(limit) }
    }

    /// From now on a write may wait as long as it likes.
    pub fn lift(&mut self) {
        self.timer = StallTimer::new(Duration::MAX);
    }

    /// The socket.
    pub fn get_ref(&self) -> &Io {
        &self.io
    }

    /// The socket alone.
    pub fn into_inner(self) -> Io {
        self.io
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for SendTimeout<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for SendTimeout<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.timer.watch(cx, written)?
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.timer.watch(cx, written)?
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
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_ends_the_write_in_time() {
        let (ours, _theirs) = duplex(4);
        let mut socket = SendTimeout::new(ours, LIMIT);
        let started = Instant::now();
        let error = socket.write_all(b"more than four").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_peer_and_an_idle_socket_are_no_stall() {
        let (ours, mut theirs) = duplex(4);
        let mut socket = SendTimeout::new(ours, LIMIT);
        let reading = tokio::spawn(async move {
            let mut read = [0; 12];
            for bytes in read.chunks_mut(4) {
                sleep(LIMIT * 2 / 3).await;
                theirs.read_exact(bytes).await.unwrap();
            }
            (read, theirs)
        });
        socket.write_all(b"twelve bytes").await.unwrap();
        let (read, _theirs) = reading.await.unwrap();
        assert_eq!(&read, b"twelve bytes");
        assert!(socket.timer.running.is_none(), "nothing is pending");
        sleep(LIMIT * 2).await;
        socket.write_all(b"four").await.unwrap();
    }
}
