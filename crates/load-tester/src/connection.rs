use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::framing::{FrameReader, Incoming, push_close, push_pong, push_text};
use crate::messages::{HANDSHAKE, PING, message_type};
use crate::target::Target;

pub(crate) const INVOCATION: u8 = 1;
pub(crate) const COMPLETION: u8 = 3;
pub(crate) const KEEP_ALIVE: u8 = 6;
const CLOSE: u8 = 7;

/// How often official clients ping.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(15);

const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
const HEAD_LIMIT_BYTES: usize = 8192;

// The sample key of RFC 6455, section 1.3, and its answer: this client needs no nonce.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

thread_local! {
    // One buffer a thread, so that an idle connection costs this program nothing.
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; 64 * 1024].into());
}

/// One SignalR connection over a WebSocket without negotiation.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    reader: FrameReader,
    close_message: Option<String>,
}

impl Connection {
    /// Connects, upgrades and shakes hands.
    pub(crate) async fn open(target: &Target) -> anyhow::Result<Self> {
        timeout(OPEN_TIMEOUT, Self::shake_hands(target))
            .await
            .with_context(|| format!("no connection within {OPEN_TIMEOUT:?}"))?
    }

    async fn shake_hands(target: &Target) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(target.address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let mut connection = Self { stream, reader: FrameReader::default(), close_message: None };
        connection.upgrade(target).await.context("upgrading to a WebSocket")?;
        let mut handshake = Vec::new();
        push_text(&mut handshake, HANDSHAKE);
        connection.send(&handshake).await?;
        let mut answer = None;
        while answer.is_none() {
            connection.receive(|_, message| answer = Some(message.to_vec())).await?;
        }
        let answer = answer.unwrap_or_default();
        ensure!(answer == b"{}", "handshake refused: {}", String::from_utf8_lossy(&answer));
        Ok(connection)
    }

    async fn upgrade(&mut self, target: &Target) -> anyhow::Result<()> {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n",
            target.path, target.address
        );
        self.stream.write_all(request.as_bytes()).await?;
        // The server has nothing to say before the handshake, so no frame follows the head.
        let mut head = Vec::with_capacity(512);
        while !head.ends_with(b"\r\n\r\n") {
            ensure!(head.len() < HEAD_LIMIT_BYTES, "answer without end");
            ensure!(self.stream.read_buf(&mut head).await? > 0, "closed instead of an answer");
            if !head.starts_with(b"HTTP/1.1 101 ") && head.contains(&b'\n') {
                break;
            }
        }
        let head = String::from_utf8_lossy(&head);
        let status = head.lines().next().unwrap_or_default();
        ensure!(status.starts_with("HTTP/1.1 101 "), "answered {status:?}");
        ensure!(head.contains(ACCEPT), "wrong Sec-WebSocket-Accept");
        Ok(())
    }

    /// Sends finished frames.
    pub(crate) async fn send(&mut self, frames: &[u8]) -> anyhow::Result<()> {
        let sent = match self.stream.try_write(frames) {
            Ok(sent) => sent,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error).context("sending"),
        };
        if sent < frames.len() {
            timeout(SEND_TIMEOUT, self.stream.write_all(&frames[sent..]))
                .await
                .context("the server does not read")??;
        }
        Ok(())
    }

    pub(crate) async fn ping(&mut self) -> anyhow::Result<()> {
        let mut frame = Vec::with_capacity(PING.len() + 6);
        push_text(&mut frame, PING);
        self.send(&frame).await
    }

    /// Waits for the next bytes and hands over the type (0: none) and text of each hub message.
    ///
    /// # Errors
    /// The connection is over.
    ///
    /// # Cancel safety
    /// Safe: what was read has been handed over.
    pub(crate) async fn receive(&mut self, mut on_message: impl FnMut(u8, &[u8])) -> anyhow::Result<()> {
        poll_fn(|context| self.poll_receive(context, &mut on_message)).await
    }

    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        on_message: &mut impl FnMut(u8, &[u8]),
    ) -> Poll<anyhow::Result<()>> {
        READ_BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            Poll::Ready(self.take(buffer.filled(), on_message))
        })
    }

    fn take(&mut self, bytes: &[u8], on_message: &mut impl FnMut(u8, &[u8])) -> anyhow::Result<()> {
        let mut closed = bytes.is_empty().then(|| "the socket closed".to_owned());
        let mut pongs = Vec::new();
        self.reader.feed(bytes, |incoming| match incoming {
            Incoming::Message(message) => {
                let kind = message_type(message).unwrap_or(0);
                if kind == CLOSE {
                    self.close_message = Some(String::from_utf8_lossy(message).into_owned());
                }
                on_message(kind, message);
            }
            Incoming::Ping(payload) => push_pong(&mut pongs, payload),
            Incoming::Close(code) => closed = Some(format!("the server closed with {code:?}")),
        })?;
        if !pongs.is_empty() {
            let sent = self.stream.try_write(&pongs)?;
            ensure!(sent == pongs.len(), "no room for a pong");
        }
        match (closed, &self.close_message) {
            (None, _) => Ok(()),
            (Some(how), None) => bail!(how),
            (Some(how), Some(message)) => bail!("{how}, saying {message}"),
        }
    }

    /// Says goodbye; does not wait for the answer.
    pub(crate) fn close(self) {
        let mut frame = Vec::new();
        push_close(&mut frame);
        // A server that is gone needs no goodbye.
        let _ = self.stream.try_write(&frame);
    }
}
