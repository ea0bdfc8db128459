//! Requests for WebSockets that real clients and proxies send, over real sockets.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

use std::net::SocketAddr;

use hubline::{Caller, EndpointOptions, Hub, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const ASKING: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

async fn start(options: EndpointOptions) -> SocketAddr {
    let hub = Hub::new("Test")
        .method("Echo", async |text: String| text)
        .method("Query", async |caller: Caller| caller.info().query.to_string());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Server::new().add_hub(hub).map_with("/hub", options);
    tokio::spawn(hubline::serve(listener, app, CancellationToken::new()));
    address
}

async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn text_frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    frame.extend(text.as_bytes());
    frame
}

async fn read_message(socket: &mut TcpStream) -> String {
    assert_eq!(socket.read_u8().await.unwrap(), 0x81);
    let mut payload = vec![0; socket.read_u8().await.unwrap().into()];
    socket.read_exact(&mut payload).await.unwrap();
    String::from_utf8(payload).unwrap()
}

/// Opens a WebSocket with everything in these pieces, and calls a method; returns the head of the answer and the result.
async fn call(address: SocketAddr, pieces: &[&[u8]], method: &str, arguments: &str) -> (String, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    for piece in pieces {
        socket.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let head = read_head(&mut socket).await;
    assert_eq!(read_message(&mut socket).await, "{}\u{1e}");
    let call = format!(
        "{{\"type\":1,\"invocationId\":\"1\",\"target\":\"{method}\",\"arguments\":[{arguments}]}}\u{1e}"
    );
    socket.write_all(&text_frame(&call)).await.unwrap();
    (head, read_message(&mut socket).await)
}

const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\u{1e}";

/// A request with what a client sends that does not wait for its answer.
fn opening(target: &str, version: &str, headers: &str) -> Vec<u8> {
    let mut sent = format!("GET {target} HTTP/{version}\r\n{headers}{ASKING}\r\n").into_bytes();
    sent.extend(text_frame(HANDSHAKE));
    sent
}

#[tokio::test]
async fn the_answer_is_spelled_as_the_specification_spells_it() {
    let address = start(EndpointOptions::default()).await;
    for (version, headers) in [("1.1", "Host: hub\r\n"), ("1.0", "Host: hub\r\n"), ("1.0", "")] {
        let sent = opening("/hub", version, headers);
        let (head, result) = call(address, &[&sent], "Echo", "\"here\"").await;
        assert_eq!(result, "{\"type\":3,\"invocationId\":\"1\",\"result\":\"here\"}\u{1e}");
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        for line in [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        ] {
            assert!(head.lines().any(|own| own == line), "{version} {line}: {head}");
        }
        assert!(!head.contains("Sec-WebSocket-Protocol"), "{head}");
    }
}

#[tokio::test]
async fn strange_queries_reach_the_hub_with_whatever_follows() {
    let address = start(EndpointOptions::default()).await;
    for version in ["1.1", "1.0"] {
        let sent = opening("/hub?name=<b>&x=%3Cy\"{z}|`", version, "Host: hub\r\n");
        let expected = "\"name=%3Cb%3E&x=%3Cy%22%7Bz%7D%7C%60\"";
        for at in [sent.len(), sent.len() - 3, 20, 40, 60, 100] {
            let (one, two) = sent.split_at(at);
            let (_, result) = call(address, &[one, two], "Query", "").await;
            let expected = format!("{{\"type\":3,\"invocationId\":\"1\",\"result\":{expected}}}\u{1e}");
            assert_eq!(result, expected, "{version} {at}");
        }
    }
}

/// What a server answers to a negotiation with this target: its status.
async fn negotiate(address: SocketAddr, target: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let rest = b" HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n";
    socket.write_all(&[b"POST ", target, rest].concat()).await.unwrap();
    read_head(&mut socket).await[9..12].to_owned()
}

#[tokio::test]
async fn every_printable_byte_may_stand_in_a_target() {
    let address = start(EndpointOptions::default()).await;
    for byte in (b'!'..=b'~').filter(|&byte| byte != b'#') {
        let query = [b"/hub/negotiate?negotiateVersion=1&a=x", &[byte][..], b"y"].concat();
        assert_eq!(negotiate(address, &query).await, "200", "{:?} in a query", char::from(byte));
        let path = [b"/hub", &[byte][..], b"y/negotiate"].concat();
        // What is behind a question mark is no path.
        let status = if byte == b'?' { "400" } else { "404" };
        assert_eq!(negotiate(address, &path).await, status, "{:?} in a path", char::from(byte));
    }
    for byte in [0, b'\t', b'\r', 0x1f, 0x7f, 0x80, 0xff] {
        let query = [b"/hub/negotiate?negotiateVersion=1&a=x", &[byte][..], b"y"].concat();
        assert_eq!(negotiate(address, &query).await, "400", "{byte:x} in a query");
    }
}

#[tokio::test]
async fn an_upgrade_over_http_10_that_is_none_ends_its_connection() {
    let address = start(EndpointOptions::default()).await;
    for (target, status) in [("/hub?id=unknown", "404"), ("/nowhere", "404"), ("/hub/negotiate", "405")] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n{ASKING}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.0 {status} ")), "{target}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{target}: {answer}");
    }
}

#[tokio::test]
async fn a_sub_protocol_is_named_where_one_is_chosen() {
    let options = EndpointOptions::default()
        .sub_protocol_selector(|offered: &[&str]| offered.contains(&"signalr").then_some("signalr"));
    let address = start(options).await;
    for (offered, chosen) in [
        ("Sec-WebSocket-Protocol: other, signalr\r\n", true),
        ("Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Protocol: signalr\r\n", true),
        ("Sec-WebSocket-Protocol: other\r\n", false),
        ("", false),
    ] {
        let sent = opening("/hub", "1.1", &format!("Host: hub\r\n{offered}"));
        let (head, _) = call(address, &[&sent], "Echo", "\"here\"").await;
        let named = head.lines().any(|line| line == "Sec-WebSocket-Protocol: signalr");
        assert_eq!(
            (named, head.to_lowercase().contains("-protocol:")),
            (chosen, chosen),
            "{offered}: {head}"
        );
    }
}
