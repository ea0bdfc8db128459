use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::target::Target;

const SEND_TIMEOUT: Duration = Duration::from_secs(10);

thread_local! {
    // One buffer a thread, so that an idle connection costs this program nothing.
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; 64 * 1024].into());
}

pub(crate) async fn connect(target: &Target) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(target.address).await.context("connecting")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Hands over the next bytes; none means that the server closed.
pub(crate) fn poll_read(
    stream: &mut TcpStream,
    context: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> anyhow::Result<()>,
) -> Poll<anyhow::Result<()>> {
    READ_BUFFER.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
        Poll::Ready(take(buffer.filled()))
    })
}

pub(crate) async fn send(stream: &mut TcpStream, bytes: &[u8]) -> anyhow::Result<()> {
    let sent = match stream.try_write(bytes) {
        Ok(sent) => sent,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error).context("sending"),
    };
    if sent < bytes.len() {
        timeout(SEND_TIMEOUT, stream.write_all(&bytes[sent..]))
            .await
            .context("the server does not read")??;
    }
    Ok(())
}

/// Sends what is so short that the socket has room for it.
pub(crate) fn send_now(stream: &TcpStream, bytes: &[u8]) -> anyhow::Result<()> {
    let sent = stream.try_write(bytes).context("sending")?;
    ensure!(sent == bytes.len(), "the server does not read");
    Ok(())
}
