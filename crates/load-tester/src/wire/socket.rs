use std::cell::RefCell;
use std::fmt::Debug;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::wire::target::{Scheme, Target};
use crate::wire::tls;

const SEND_TIMEOUT: Duration = Duration::from_secs(10);

thread_local! {
    // One buffer a thread, so that an idle connection costs this program nothing.
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; 64 * 1024].into());
}

/// What carries a connection.
pub(crate) trait Io: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Io for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Io for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

pub(crate) type Socket = Box<dyn Io>;

pub(crate) async fn connect(target: &Target) -> anyhow::Result<Socket> {
    let stream = TcpStream::connect(target.address).await.context("connecting")?;
    stream.set_nodelay(true)?;
    Ok(match target.scheme {
        Scheme::Http => Box::new(stream),
        Scheme::Https => Box::new(tls::connect(target.address.ip(), stream).await?),
    })
}

/// Hands over the next bytes; none means that the server closed.
pub(crate) fn poll_read(
    stream: &mut Socket,
    context: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> anyhow::Result<()>,
) -> Poll<anyhow::Result<()>> {
    poll_read_at_most(stream, context, usize::MAX, take)
}

/// As [`poll_read`], `limit` bytes at most.
pub(crate) fn poll_read_at_most(
    stream: &mut Socket,
    context: &mut Context<'_>,
    limit: usize,
    take: impl FnOnce(&[u8]) -> anyhow::Result<()>,
) -> Poll<anyhow::Result<()>> {
    READ_BUFFER.with_borrow_mut(|buffer| {
        let limit = limit.clamp(1, buffer.len());
        let mut buffer = ReadBuf::new(&mut buffer[..limit]);
        ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
        Poll::Ready(take(buffer.filled()))
    })
}

pub(crate) async fn send(stream: &mut Socket, bytes: &[u8]) -> anyhow::Result<()> {
    let sending = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    timeout(SEND_TIMEOUT, sending).await.context("the server does not read")?.context("sending")
}

/// Sends what is so short that the socket has room for it.
pub(crate) fn send_now(stream: &mut Socket, bytes: &[u8]) -> anyhow::Result<()> {
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(sent) = Pin::new(&mut *stream).poll_write(&mut context, bytes) else {
        anyhow::bail!("the server does not read")
    };
    ensure!(sent.context("sending")? == bytes.len(), "the server does not read");
    let flushed = Pin::new(stream).poll_flush(&mut context).map_err(anyhow::Error::from)?;
    ensure!(flushed.is_ready(), "the server does not read");
    Ok(())
}
