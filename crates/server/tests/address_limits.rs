//! The program's limits for each address, and whose address it takes a client's to be.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

use hubline_testkit::{Launch, ServerProcess};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn hubline() -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve")
}

/// Sends requests, each of one head, and returns the answers of those that were answered before the connection ended.
async fn ask(port: u16, requests: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    socket.write_all(requests.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

fn negotiation(client: &str) -> String {
    format!(
        "POST /chathub/negotiate?negotiateVersion=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\
         X-Forwarded-For: {client}\r\n\r\n"
    )
}

const METRICS: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Statuses of ten negotiations at once and of the metrics behind them, and the metrics.
async fn negotiate_ten_times(port: u16, client: &str) -> (usize, usize, String) {
    let answer = ask(port, &(negotiation(client).repeat(10) + METRICS)).await;
    let count = |status: &str| answer.matches(&format!("HTTP/1.1 {status}")).count();
    (count("200") - 1, count("429"), answer)
}

#[tokio::test]
async fn an_address_negotiates_so_often_and_others_go_on() {
    let launch = hubline().env("Limits__NegotiationsPerSecondPerAddress", "2");
    let port = launch.port();
    let server = ServerProcess::start(launch).await.unwrap();
    let (granted, refused, answer) = negotiate_ten_times(port, "203.0.113.7").await;
    assert!(granted >= 2 && refused >= 1 && granted + refused == 10, "{answer}");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    let counted = format!("hubline_requests_refused_total{{reason=\"negotiations_per_address\"}} {refused}");
    assert!(answer.contains(&counted), "{answer}");
    server.line_with("Limits:NegotiationsPerSecondPerAddress allows this address no more").await.unwrap();
    let other = ask(port, &(negotiation("203.0.113.8") + METRICS)).await;
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
}

#[tokio::test]
async fn who_comes_with_many_others_waits_and_is_not_refused() {
    let launch = hubline().env("Limits__ConnectionsPerSecond", "50");
    let port = launch.port();
    let server = ServerProcess::start(launch).await.unwrap();
    let (granted, refused, answer) = negotiate_ten_times(port, "203.0.113.7").await;
    assert_eq!((granted, refused), (10, 0), "{answer}");
    let delayed = answer.split("\nhubline_connections_delayed_total ").nth(1).unwrap();
    let delayed: f64 = delayed.lines().next().unwrap().parse().unwrap();
    assert!((1.0..=5.0).contains(&delayed), "{delayed}");
    server.line_with("More clients come at once than Limits:ConnectionsPerSecond").await.unwrap();
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_a_proxy_here_is_believed() {
    let launch = hubline()
        .env("Limits__ConnectionsPerAddress", "1")
        .env("ForwardedHeaders__KnownProxies__0", "10.0.0.1")
        .env("ForwardedHeaders__KnownNetworks", "192.168.0.0/16;fd00::/8");
    let port = launch.port();
    let server = ServerProcess::start(launch).await.unwrap();
    let upgrade = |client: &str| {
        format!(
            "GET /chathub HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let mut open = Vec::new();
    for (client, status) in [("203.0.113.7", "101"), ("203.0.113.8", "101"), ("203.0.113.7", "429")] {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        socket.write_all(upgrade(client).as_bytes()).await.unwrap();
        let mut head = [0; 12];
        socket.read_exact(&mut head).await.unwrap();
        assert_eq!(&head[9..], status.as_bytes(), "{client}");
        open.push(socket);
    }
    server.line_with("Limits:ConnectionsPerAddress allows this address no more").await.unwrap();
}
