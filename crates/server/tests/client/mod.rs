//! A client that does the least there is.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A WebSocket to a hub, hands shaken. It never answers a close frame.
pub(crate) async fn connect(port: u16, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let handshake = b"{\"protocol\":\"json\",\"version\":1}\x1e";
    let mut frame = vec![0x81, 0x80 | u8::try_from(handshake.len()).unwrap(), 0, 0, 0, 0];
    frame.extend(handshake);
    socket.write_all(&frame).await.unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"{}\x1e") {
        received.push(socket.read_u8().await.unwrap());
    }
    socket
}
