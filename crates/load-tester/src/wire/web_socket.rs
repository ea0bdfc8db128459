use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::wire::connection::{CLOSE, Receive, opened};
use crate::wire::framing::{FrameReader, Incoming, push_close, push_data, push_pong};
use crate::wire::http::HttpConnection;
use crate::wire::messages::{Protocol, message_type};
use crate::wire::socket::{self, Socket};
use crate::wire::target::Target;

const HEAD_LIMIT_BYTES: usize = 8192;

// The sample key of RFC 6455, section 1.3, and its answer: this client needs no nonce.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// One SignalR connection over a WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocket {
    stream: Socket,
    protocol: Protocol,
    inbound: Inbound,
}

#[derive(Debug)]
struct Inbound {
    reader: FrameReader,
    close_message: Option<String>,
}

impl WebSocket {
    /// Connects, upgrades and shakes hands, without a negotiation.
    pub(crate) async fn open(target: &Target, protocol: Protocol) -> anyhow::Result<Self> {
        opened(Self::connect(target, protocol)).await
    }

    /// As [`WebSocket::open`], after a negotiation on a socket of its own.
    pub(crate) async fn open_negotiated(target: &Target, protocol: Protocol) -> anyhow::Result<Self> {
        opened(async {
            let path = HttpConnection::connect(target).await?.negotiate(target).await?;
            Self::connect(&Target { path, ..target.clone() }, protocol).await
        })
        .await
    }

    async fn connect(target: &Target, protocol: Protocol) -> anyhow::Result<Self> {
        let stream = socket::connect(target).await?;
        let mut connection = Self {
            stream,
            protocol,
            inbound: Inbound { reader: FrameReader::new(protocol), close_message: None },
        };
        connection.upgrade(target).await.context("upgrading to a WebSocket")?;
        let mut handshake = Vec::new();
        push_data(&mut handshake, protocol, protocol.handshake().as_bytes());
        connection.send(&handshake).await?;
        Ok(connection)
    }

    async fn upgrade(&mut self, target: &Target) -> anyhow::Result<()> {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n",
            target.path, target.address
        );
        self.send(request.as_bytes()).await?;
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
        socket::send(&mut self.stream, frames).await
    }

    pub(crate) async fn ping(&mut self) -> anyhow::Result<()> {
        let mut frame = Vec::with_capacity(32);
        push_data(&mut frame, self.protocol, self.protocol.ping());
        self.send(&frame).await
    }

    /// Receives as [`Receive::receive`] does, and meanwhile sends of `unsent` what the socket takes.
    ///
    /// # Cancel safety
    /// Safe: `unsent` keeps what was not sent.
    pub(crate) async fn exchange(
        &mut self,
        unsent: &mut Vec<u8>,
        mut on_message: impl FnMut(u8, &[u8]),
    ) -> anyhow::Result<()> {
        poll_fn(|context| {
            while !unsent.is_empty() {
                match Pin::new(&mut self.stream).poll_write(context, unsent) {
                    Poll::Ready(sent) => drop(unsent.drain(..sent.context("sending")?)),
                    Poll::Pending => break,
                }
            }
            // A TLS stream may hold what its socket has not taken.
            let _ = Pin::new(&mut self.stream).poll_flush(context).map_err(anyhow::Error::from)?;
            self.poll_receive(context, &mut on_message)
        })
        .await
    }

    /// Says goodbye; does not wait for the answer.
    pub(crate) fn close(mut self) {
        let mut frame = Vec::new();
        push_close(&mut frame);
        // A server that is gone needs no goodbye.
        let _ = socket::send_now(&mut self.stream, &frame);
    }
}

impl Receive for WebSocket {
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        on_message: &mut dyn FnMut(u8, &[u8]),
    ) -> Poll<anyhow::Result<()>> {
        let Self { stream, inbound, .. } = self;
        let mut pongs = Vec::new();
        ready!(socket::poll_read(stream, context, |bytes| inbound.take(bytes, &mut pongs, on_message)))?;
        if !pongs.is_empty() {
            socket::send_now(stream, &pongs)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Inbound {
    fn take(
        &mut self,
        bytes: &[u8],
        pongs: &mut Vec<u8>,
        on_message: &mut dyn FnMut(u8, &[u8]),
    ) -> anyhow::Result<()> {
        let mut closed = bytes.is_empty().then(|| "the socket closed".to_owned());
        self.reader.feed(bytes, |incoming| match incoming {
            Incoming::Message(message) => {
                let kind = message_type(message).unwrap_or(0);
                if kind == CLOSE {
                    self.close_message = Some(String::from_utf8_lossy(message).into_owned());
                }
                on_message(kind, message);
            }
            Incoming::Ping(payload) => push_pong(pongs, payload),
            Incoming::Close(code) => closed = Some(format!("the server closed with {code:?}")),
        })?;
        match (closed, &self.close_message) {
            (None, _) => Ok(()),
            (Some(how), None) => bail!(how),
            (Some(how), Some(message)) => bail!("{how}, saying {message}"),
        }
    }
}
