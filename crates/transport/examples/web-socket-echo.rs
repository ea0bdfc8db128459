//! Echoes what WebSockets bring, for judges of RFC 6455 that know nothing of hubs, such as the Autobahn test suite.
//!
//! The frame reader is the one that hub connections have; they cannot echo themselves, as a hub's messages have
//! ends of their own and frames do not matter to it.
//!
//!     cargo run -p hubline-transport --example web-socket-echo -- --urls http://127.0.0.1:9001
//!
//! echoes at `ws://127.0.0.1:9001/echo`.

#[path = "../src/web_socket/frame_reader.rs"]
mod frame_reader;
#[path = "../src/web_socket/utf8.rs"]
mod utf8;

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hubline_pipe::CloseCode;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};

use frame_reader::{FrameReader, Kind, Received, Sink};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let url = std::env::args().skip_while(|argument| argument != "--urls").nth(1);
    let address = url.unwrap_or_else(|| "http://127.0.0.1:9001".to_owned()).replace("http://", "");
    let listener = TcpListener::bind(&address).await?;
    println!("echoes at ws://{address}/echo");
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = serve(socket).await {
                println!("a connection ended: {error}");
            }
        });
    }
}

async fn serve(socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut socket = BufStream::new(socket);
    let Some(key) = key(&mut socket).await? else {
        socket.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await?;
        return socket.shutdown().await;
    };
    let hash = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    let accept = STANDARD.encode(hash);
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    socket.write_all(response.as_bytes()).await?;
    socket.flush().await?;
    echo(&mut socket).await
}

/// Reads the head of a request; what it gives for a WebSocket's key.
async fn key(socket: &mut BufStream<TcpStream>) -> io::Result<Option<String>> {
    let mut key = None;
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).await?;
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("sec-websocket-key") => {
                key = Some(value.trim().to_owned());
            }
            _ if line.trim().is_empty() => return Ok(key),
            _ => {}
        }
    }
}

async fn echo(socket: &mut BufStream<TcpStream>) -> io::Result<()> {
    let (mut reader, mut echoes) = (FrameReader::default(), Echoes::default());
    let mut scratch = vec![0; 16 * 1024];
    let code = loop {
        let read = socket.read(&mut scratch).await?;
        if read == 0 {
            return Ok(());
        }
        let mut pongs = Vec::new();
        let received = reader.take(&mut scratch[..read], &mut echoes, &mut pongs);
        socket.write_all(&pongs).await?;
        socket.write_all(&std::mem::take(&mut echoes.frames)).await?;
        socket.flush().await?;
        match received {
            Ok(Received::Frames) => {}
            Ok(Received::Close) => break CloseCode::Normal,
            Err(code) => break code,
        }
    };
    let mut close = Vec::new();
    frame_reader::write_close(&mut close, code);
    socket.write_all(&close).await?;
    socket.shutdown().await?;
    // Closing while bytes wait to be read would reset the connection, and the close frame could be lost.
    while socket.read(&mut scratch).await? > 0 {}
    Ok(())
}

/// Messages that came whole, as frames of a server.
#[derive(Default)]
struct Echoes {
    message: Vec<u8>,
    frames: Vec<u8>,
}

impl Sink for Echoes {
    fn payload(&mut self, bytes: &[u8]) {
        self.message.extend_from_slice(bytes);
    }

    fn end(&mut self, kind: Kind) {
        self.frames.push(match kind {
            Kind::Text => 0x81,
            Kind::Binary => 0x82,
        });
        match (u8::try_from(self.message.len()), u16::try_from(self.message.len())) {
            (Ok(short @ ..126), _) => self.frames.push(short),
            (_, Ok(medium)) => {
                self.frames.push(126);
                self.frames.extend(medium.to_be_bytes());
            }
            _ => {
                self.frames.push(127);
                self.frames.extend((self.message.len() as u64).to_be_bytes());
            }
        }
        self.frames.append(&mut self.message);
    }
}
