use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::self_test::frames::{ClientReader, push_frame};
use crate::self_test::hub::Hub;
use crate::wire::messages::Protocol;

pub(super) const PATH: &str = "/self-test";
/// Which connection it is; a client that does not say gets a number of its own.
pub(super) const NUMBER: &str = "connection";

const HEAD_LIMIT_BYTES: usize = 8192;

/// A SignalR server of one hub: negotiation and WebSockets.
#[derive(Debug)]
pub(super) struct Server {
    listener: TcpListener,
    hub: Arc<Hub>,
    next: Arc<AtomicU32>,
}

impl Server {
    /// On a loopback port of its own.
    pub(super) async fn bind(hub: Arc<Hub>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("opening a port")?;
        // Above what clients give themselves.
        Ok(Self { listener, hub, next: Arc::new(AtomicU32::new(1 << 16)) })
    }

    pub(super) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until it is dropped.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (stream, _) = accepted.context("accepting a connection")?;
                    stream.set_nodelay(true)?;
                    connections.spawn(serve(stream, Arc::clone(&self.hub), Arc::clone(&self.next)));
                }
                Some(ended) = connections.join_next() => ended.context("a connection of the self-test's server")??,
            }
        }
    }
}

/// One socket, from its first request to its end.
async fn serve(mut stream: TcpStream, hub: Arc<Hub>, next: Arc<AtomicU32>) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    while let Some(request) = Request::read(&mut stream, &mut bytes).await? {
        if request.is_post && request.path == format!("{PATH}/negotiate") {
            let number = request.number().unwrap_or_else(|| next.fetch_add(1, Ordering::Relaxed));
            answer(&mut stream, "200 OK", &negotiation(number).to_string()).await?;
        } else if let Some(key) = request.key.as_deref().filter(|_| request.path == PATH) {
            let number = request.number().unwrap_or_else(|| next.fetch_add(1, Ordering::Relaxed));
            let accept = accept(key);
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            return connection(stream, bytes, &hub, number).await;
        } else {
            answer(&mut stream, "404 Not Found", "the self-test's server has one hub, over WebSockets")
                .await?;
        }
    }
    Ok(())
}

fn negotiation(number: u32) -> serde_json::Value {
    json!({
        "negotiateVersion": 1,
        "connectionId": number.to_string(),
        "connectionToken": number.to_string(),
        "availableTransports": [{"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}],
    })
}

fn accept(key: &str) -> String {
    const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let text = format!("{key}{GUID}");
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    STANDARD.encode(digest)
}

async fn answer(stream: &mut TcpStream, status: &str, body: &str) -> anyhow::Result<()> {
    let length = body.len();
    let response = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
    Ok(stream.write_all(response.as_bytes()).await?)
}

/// A request that has no body, as far as it is looked at.
struct Request {
    is_post: bool,
    path: String,
    query: String,
    /// Of a WebSocket.
    key: Option<String>,
}

impl Request {
    /// Takes one out of what was read; `None` if the client has closed.
    async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> anyhow::Result<Option<Self>> {
        loop {
            if let Some((request, size)) = Self::parse(bytes)? {
                bytes.drain(..size);
                return Ok(Some(request));
            }
            ensure!(bytes.len() < HEAD_LIMIT_BYTES, "a request without end");
            if stream.read_buf(bytes).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn parse(bytes: &[u8]) -> anyhow::Result<Option<(Self, usize)>> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(size) = request.parse(bytes).context("no HTTP request")? else {
            return Ok(None);
        };
        let target = request.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let key = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-key"));
        let request = Self {
            is_post: request.method == Some("POST"),
            path: path.to_owned(),
            query: query.to_owned(),
            key: key.map(|header| String::from_utf8_lossy(header.value).into_owned()),
        };
        Ok(Some((request, size)))
    }

    fn number(&self) -> Option<u32> {
        let parameter = |part: &str| part.strip_prefix(NUMBER)?.strip_prefix('=')?.parse().ok();
        self.query.split('&').find_map(parameter)
    }
}

/// A WebSocket, from its handshake to its end.
async fn connection(stream: TcpStream, early: Vec<u8>, hub: &Hub, number: u32) -> anyhow::Result<()> {
    let (mut reading, mut writing) = stream.into_split();
    let mut reader = ClientReader::new();
    reader.buffer().extend(early);
    let Some(protocol) = shake_hands(&mut reading, &mut writing, &mut reader).await? else { return Ok(()) };
    let has_some = hub.enter(number, protocol)?;
    let (read, written) = tokio::join!(
        async {
            let read = read(&mut reading, &mut reader, hub, number, protocol).await;
            hub.leave(number);
            read
        },
        write(&mut writing, hub, number, &has_some),
    );
    read.and(written)
}

/// `None` if the client has closed instead.
async fn shake_hands(
    reading: &mut OwnedReadHalf,
    writing: &mut OwnedWriteHalf,
    reader: &mut ClientReader,
) -> anyhow::Result<Option<Protocol>> {
    let mut asked: Option<Vec<u8>> = None;
    loop {
        reader.take(|message| asked = Some(message.to_vec()))?;
        if let Some(asked) = asked.take() {
            let asked: serde_json::Value = serde_json::from_slice(&asked).context("no handshake")?;
            let protocol = match asked["protocol"].as_str() {
                Some("json") => Protocol::Json,
                Some("messagepack") => Protocol::MessagePack,
                other => bail!("a handshake for the protocol {other:?}"),
            };
            reader.shaken_hands(protocol);
            let mut answer = Vec::new();
            push_frame(&mut answer, protocol, b"{}\x1e");
            writing.write_all(&answer).await?;
            return Ok(Some(protocol));
        }
        if reading.read_buf(reader.buffer()).await? == 0 {
            return Ok(None);
        }
    }
}

async fn read(
    reading: &mut OwnedReadHalf,
    reader: &mut ClientReader,
    hub: &Hub,
    number: u32,
    protocol: Protocol,
) -> anyhow::Result<()> {
    while reading.read_buf(reader.buffer()).await? > 0 {
        if !reader.take(|message| hub.receive(number, protocol, message))? {
            break;
        }
    }
    Ok(())
}

async fn write(
    writing: &mut OwnedWriteHalf,
    hub: &Hub,
    number: u32,
    has_some: &Notify,
) -> anyhow::Result<()> {
    while let Some(bytes) = hub.unsent(number) {
        if bytes.is_empty() {
            has_some.notified().await;
        } else {
            writing.write_all(&bytes).await?;
        }
    }
    // 1000, as to a client that has said goodbye.
    writing.write_all(b"\x88\x02\x03\xe8").await?;
    Ok(writing.shutdown().await?)
}
