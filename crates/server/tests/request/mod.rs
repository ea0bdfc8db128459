//! Requests as bytes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends a request of its own, whose answer may have no end; to `localhost` unless a header says otherwise.
pub(crate) async fn send(port: u16, line: &str, headers: &str) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let host = if headers.contains("Host: ") { "" } else { "Host: localhost\r\n" };
    let request = format!("{line} HTTP/1.1\r\n{host}Content-Length: 0\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

/// The head and the body of an answer.
pub(crate) async fn ask(port: u16, line: &str, headers: &str) -> (String, String) {
    let mut socket = send(port, line, &format!("Connection: close\r\n{headers}")).await;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// The status of a POST with a body.
#[allow(dead_code, reason = "not every test posts something")]
pub(crate) async fn post(port: u16, uri: &str, headers: &str, body: &str) -> u16 {
    post_and_read(port, uri, headers, body).await.0
}

/// The status of a POST with a body, and the body of the answer.
#[allow(dead_code, reason = "not every test posts something")]
pub(crate) async fn post_and_read(port: u16, uri: &str, headers: &str, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let length = body.len();
    let request = format!(
        "POST {uri} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
