//! Clients that break the rules, over real sockets: each gets its answer, and a witness notices nothing.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

use std::net::SocketAddr;
use std::time::Duration;

use hubline::{Hub, HubHandle, HubOptions, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
const TEXT: u8 = 0x81;

struct Running {
    address: SocketAddr,
    hub: HubHandle,
}

async fn start() -> Running {
    let mut options = HubOptions::default();
    options.outbound_limit_bytes = 64 * 1024;
    let server = Server::builder().hub_options(options).build();
    let hub = server.add_hub(Hub::new("Test").method("Echo", async |text: String| text));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(hubline::serve(listener, hub.map("/hub"), CancellationToken::new()));
    Running { address, hub }
}

/// A WebSocket client that can do everything wrong.
struct RawClient {
    socket: TcpStream,
}

impl RawClient {
    async fn open(address: SocketAddr) -> Self {
        let mut client = Self { socket: TcpStream::connect(address).await.unwrap() };
        let request = format!(
            "GET /hub HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        client.socket.write_all(request.as_bytes()).await.unwrap();
        let head = client.read_head().await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        client
    }

    async fn connect(address: SocketAddr) -> Self {
        let mut client = Self::open(address).await;
        client.send(TEXT, HANDSHAKE.as_bytes()).await;
        assert_eq!(client.receive().await, Some((TEXT, b"{}\x1e".to_vec())));
        client
    }

    async fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.socket.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    /// Sends one frame, masked with zeros.
    async fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match u8::try_from(payload.len()) {
            Ok(short @ 0..126) => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 | 127);
                frame.extend((payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.socket.write_all(&frame).await.unwrap();
    }

    /// The next frame; `None` at the end.
    async fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.socket.read_u8().await.ok()?;
        let length = match self.socket.read_u8().await.ok()? {
            126 => u64::from(self.socket.read_u16().await.ok()?),
            127 => self.socket.read_u64().await.ok()?,
            short => short.into(),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.socket.read_exact(&mut payload).await.ok()?;
        Some((first, payload))
    }

    async fn echoes(&mut self) {
        let call =
            "{\"type\":1,\"invocationId\":\"1\",\"target\":\"Echo\",\"arguments\":[\"still here\"]}\u{1e}";
        self.send(TEXT, call.as_bytes()).await;
        let answer = "{\"type\":3,\"invocationId\":\"1\",\"result\":\"still here\"}\u{1e}";
        loop {
            match self.receive().await.expect("the connection goes on") {
                (TEXT, payload) if payload == answer.as_bytes() => return,
                (TEXT, _) => {}
                other => panic!("unexpected frame {other:?}"),
            }
        }
    }

    async fn closed_with(&mut self, code: u16) {
        assert_eq!(self.receive().await, Some((0x88, code.to_be_bytes().to_vec())));
    }
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn broken_frames_get_their_close_code() {
    let running = start().await;
    let mut witness = RawClient::connect(running.address).await;
    for (first, payload, code) in
        [(0xc1, &b"a"[..], 1002), (0x83, b"a", 1002), (0x80, b"a", 1002), (TEXT, b"\xff", 1007)]
    {
        let mut client = RawClient::connect(running.address).await;
        client.send(first, payload).await;
        client.closed_with(code).await;
    }
    witness.echoes().await;
}

#[tokio::test]
async fn a_close_frame_is_answered_and_a_ping_too() {
    let running = start().await;
    let mut client = RawClient::connect(running.address).await;
    client.send(0x89, b"ping").await;
    assert_eq!(client.receive().await, Some((0x8a, b"ping".to_vec())));
    client.send(0x88, &[]).await;
    client.closed_with(1000).await;
    assert_eq!(client.receive().await, None);
}

#[tokio::test]
async fn what_comes_in_one_packet_with_a_close_frame_still_counts() {
    let running = start().await;
    let mut client = RawClient::connect(running.address).await;
    let call = "{\"type\":1,\"invocationId\":\"1\",\"target\":\"Echo\",\"arguments\":[\"last\"]}\u{1e}";
    let mut packet = vec![TEXT, 0x80 | u8::try_from(call.len()).unwrap(), 0, 0, 0, 0];
    packet.extend(call.as_bytes());
    packet.extend([0x88, 0x80, 0, 0, 0, 0]);
    client.socket.write_all(&packet).await.unwrap();
    let answer = "{\"type\":3,\"invocationId\":\"1\",\"result\":\"last\"}\u{1e}";
    assert_eq!(client.receive().await, Some((TEXT, answer.as_bytes().to_vec())));
    client.closed_with(1000).await;
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_with_whole_pongs() {
    let running = start().await;
    let mut client = RawClient::connect(running.address).await;
    let ping = [0x89, 0x80 | 125, 0, 0, 0, 0].into_iter().chain([b'p'; 125]).collect::<Vec<_>>();
    // Nothing is read meanwhile, so pongs get stuck half-way in full buffers.
    client.socket.write_all(&ping.repeat(100_000)).await.unwrap();
    client.socket.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    let mut pongs = 0;
    while let (0x8a, payload) = client.receive().await.unwrap() {
        assert_eq!(payload, [b'p'; 125], "after {pongs} pongs");
        pongs += 1;
    }
    assert!(pongs > 0);
}

#[tokio::test]
async fn half_a_frame_and_then_nothing_is_forgotten() {
    let running = start().await;
    let mut client = RawClient::connect(running.address).await;
    client.socket.write_all(&[TEXT, 0x80 | 100, 0, 0, 0, 0, b'{']).await.unwrap();
    drop(client);
    while running.hub.context().connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    RawClient::connect(running.address).await.echoes().await;
}

#[tokio::test]
async fn an_announced_gigabyte_is_closed_at_the_limit_without_growing() {
    let running = start().await;
    let mut witness = RawClient::connect(running.address).await;
    let before = resident_bytes();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = RawClient::connect(running.address).await;
        let mut header = vec![0x82, 0xff];
        header.extend((1u64 << 30).to_be_bytes());
        header.extend([0; 4]);
        client.socket.write_all(&header).await.unwrap();
        clients.push(client);
    }
    witness.echoes().await;
    for client in &mut clients {
        // What comes after the limit may meet a closed socket.
        _ = client.socket.write_all(&[b'x'; 33_000]).await;
        let close =
            b"{\"type\":7,\"error\":\"Connection closed with an error.\",\"allowReconnect\":true}\x1e";
        assert_eq!(client.receive().await, Some((TEXT, close.to_vec())));
        client.closed_with(1000).await;
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 8 * 1024 * 1024, "grew by {grown} bytes");
    witness.echoes().await;
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let running = start().await;
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    socket.write_all(b"\x16\x03\x01 not http at all\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_slow_reader_is_told_why_and_the_others_get_everything() {
    let running = start().await;
    let mut witness = RawClient::connect(running.address).await;
    let mut slow = RawClient::connect(running.address).await;
    let text = "x".repeat(10_000);
    let hub = running.hub.context();
    let mut sent = 0;
    while hub.connection_count() > 1 {
        // The witness takes each message before the next is sent; the slow one takes none.
        hub.clients().all().send("Receive", (&text, sent)).await.unwrap();
        let (_, payload) = witness.receive().await.unwrap();
        assert!(payload.ends_with(format!(",{sent}]}}\u{1e}").as_bytes()));
        sent += 1;
        assert!(sent < 10_000, "a reader that never reads is closed long before");
    }
    let mut last = Vec::new();
    while let Some((TEXT, payload)) = slow.receive().await {
        last = payload;
    }
    let last = String::from_utf8_lossy(&last).into_owned();
    assert!(last.starts_with("{\"type\":7,\"error\":"), "{last}");
    witness.echoes().await;
}

#[tokio::test]
async fn shutdown_waits_for_the_close_handshake() {
    let server = Server::new();
    let hub = server.add_hub(Hub::new("Test"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(hubline::serve(listener, hub.map("/hub"), CancellationToken::new()));
    let mut client = RawClient::connect(address).await;
    while hub.context().connection_count() == 0 {
        tokio::task::yield_now().await;
    }
    let stopping = tokio::spawn(async move { server.shutdown(Duration::from_secs(5)).await });
    assert_eq!(client.receive().await, Some((TEXT, b"{\"type\":7,\"allowReconnect\":true}\x1e".to_vec())));
    client.closed_with(1000).await;
    client.send(0x88, &1000u16.to_be_bytes()).await;
    assert!(stopping.await.unwrap(), "all connections ended in time");
}
