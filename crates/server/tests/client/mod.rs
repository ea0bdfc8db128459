//! A client that does the least there is.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A WebSocket to a hub, hands shaken. It never answers a close frame.
pub(crate) async fn connect(port: u16, path: &str) -> TcpStream {
    connect_with(port, path, "").await
}

/// The same with further headers, each with its line end.
pub(crate) async fn connect_with(port: u16, path: &str, headers: &str) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    socket.write_all(&frame(r#"{"protocol":"json","version":1}"#)).await.unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"{}\x1e") {
        received.push(socket.read_u8().await.unwrap());
    }
    socket
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
