//! A client that does the least there is.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any answer takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// A WebSocket to a hub, hands shaken. It never answers a close frame.
pub(crate) async fn connect(port: u16, path: &str) -> TcpStream {
    connect_with(port, path, "").await
}

/// The same with further headers, each with its line end.
pub(crate) async fn connect_with(port: u16, path: &str, headers: &str) -> TcpStream {
    let mut socket = upgraded(port, path, headers).await.unwrap();
    socket.write_all(&frame(r#"{"protocol":"json","version":1}"#)).await.unwrap();
    until(&mut socket, b"{}\x1e").await;
    socket
}

/// A WebSocket that has not said hello, or the status with which it is refused.
pub(crate) async fn upgraded(port: u16, path: &str, headers: &str) -> Result<TcpStream, u16> {
    upgrade(TcpStream::connect(("127.0.0.1", port)).await.unwrap(), path, headers).await
}

/// Makes a WebSocket of a connection.
pub(crate) async fn upgrade(mut socket: TcpStream, path: &str, headers: &str) -> Result<TcpStream, u16> {
    let port = socket.peer_addr().unwrap().port();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let head = until(&mut socket, b"\r\n\r\n").await;
    match std::str::from_utf8(&head[9..12]).unwrap() {
        "101" => Ok(socket),
        status => Err(status.parse().unwrap()),
    }
}

/// Reads up to the end of this.
async fn until(socket: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut received = Vec::new();
    let read = async {
        while !received.ends_with(end) {
            received.push(socket.read_u8().await.unwrap());
        }
    };
    timeout(PATIENCE, read).await.unwrap();
    received
}

/// A hub message of less than 64 KiB in a frame of its own. The mask is zero.
pub(crate) fn frame(message: &str) -> Vec<u8> {
    let length = u16::try_from(message.len() + 1).unwrap();
    let mut frame = match length {
        ..126 => vec![0x81, 0x80 | length.to_be_bytes()[1]],
        _ => [&[0x81, 0x80 | 126], &length.to_be_bytes()[..]].concat(),
    };
    frame.extend([0; 4]);
    frame.extend(message.as_bytes());
    frame.push(0x1e);
    frame
}
