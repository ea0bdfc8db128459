//! What no server can undercut: the system calls of broadcasts and echoes, and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use clap::Args;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};

use crate::wire::framing::RECORD_SEPARATOR;
use crate::wire::web_socket::ACCEPT;

/// A program that reads each call and writes each answer with one system call, on one thread, and knows no more of WebSockets and
/// SignalR than this program's client makes it know.
#[derive(Debug, Clone, Args)]
pub struct FloorOptions {
    /// Where to listen, like http://127.0.0.1:5000
    #[arg(long)]
    pub urls: String,
}

/// All connections, for a broadcast.
type Everyone = Arc<Mutex<Vec<Arc<TcpStream>>>>;

/// Serves `Broadcast` and `Echo` in JSON until it is killed, on the runtime that it is called in, which should have one thread.
///
/// It has no bounds and no care: it is for this program's own client, on this machine.
///
/// # Errors
/// The address is none, or is taken.
pub async fn floor(options: &FloorOptions) -> anyhow::Result<()> {
    let address = options.urls.strip_prefix("http://").context("the URL has to begin with http://")?;
    let address: SocketAddr = address.parse().context("the URL has to be an address and a port")?;
    ensure!(address.ip().is_loopback(), "{address} is not an address of this machine");
    let listener = TcpListener::bind(address).await?;
    let everyone = Everyone::default();
    loop {
        let (stream, _) = listener.accept().await?;
        let everyone = Arc::clone(&everyone);
        tokio::spawn(async move {
            let stream = Arc::new(stream);
            // A client's end is an error like any other.
            let _ = serve(&stream, &everyone).await;
            everyone.lock().retain(|one| !Arc::ptr_eq(one, &stream));
        });
    }
}

async fn serve(stream: &Arc<TcpStream>, everyone: &Everyone) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::with_capacity(4096);
    while !read.ends_with(b"\r\n\r\n") {
        receive(stream, &mut read).await?;
    }
    if memchr::memmem::find(&read, b"Upgrade").is_none() {
        return send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    }
    let accepted = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    send(stream, accepted.as_bytes()).await?;
    read.clear();
    everyone.lock().push(Arc::clone(stream));
    loop {
        receive(stream, &mut read).await?;
        let mut taken = 0;
        while let Some((message, length)) = unmasked(&mut read[taken..])? {
            answer(stream, everyone, message).await?;
            taken += length;
        }
        read.drain(..taken);
    }
}

async fn answer(stream: &TcpStream, everyone: &Everyone, message: &[u8]) -> anyhow::Result<()> {
    let between = |start: &[u8], end: u8| {
        let start = memchr::memmem::find(message, start)? + start.len();
        let length = memchr::memchr(end, &message[start..])?;
        str::from_utf8(&message[start..start + length]).ok()
    };
    match (between(b"\"target\":\"", b'"'), between(b"\"arguments\":[\"", b'"')) {
        (Some("Broadcast"), Some(text)) => {
            let event = frame(&format!(r#"{{"type":1,"target":"OnBroadcast","arguments":["{text}"]}}"#));
            let receivers = everyone.lock().clone();
            for receiver in receivers {
                send(&receiver, &event).await?;
            }
            Ok(())
        }
        (Some("Echo"), Some(text)) => {
            let id = between(b"\"invocationId\":\"", b'"').context("an echo without an id")?;
            send(stream, &frame(&format!(r#"{{"type":3,"invocationId":"{id}","result":"{text}"}}"#))).await
        }
        (None, _) if memchr::memmem::find(message, b"\"protocol\"").is_some() => {
            send(stream, &frame("{}")).await
        }
        // A ping.
        (None, _) => Ok(()),
        (Some(target), _) => bail!("there is no method {target}"),
    }
}

/// A text frame of a server.
fn frame(message: &str) -> Vec<u8> {
    let length = message.len() + 1;
    let mut frame = vec![0x81];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..=125), _) => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(message.as_bytes());
    frame.push(RECORD_SEPARATOR);
    frame
}

/// The payload of a client's first frame, unmasked where it is, and the frame's length; `None` if it has not all come.
///
/// # Errors
/// The client closes.
fn unmasked(bytes: &mut [u8]) -> anyhow::Result<Option<(&[u8], usize)>> {
    const CLOSE: u8 = 8;
    let Some((&mut [first, second], _)) = bytes.split_first_chunk_mut() else { return Ok(None) };
    ensure!(first & 0x0f != CLOSE, "the client closes");
    let (length, head) = match second & 0x7f {
        126 => {
            let Some(length) = bytes.get(2..4) else { return Ok(None) };
            (usize::from(u16::from_be_bytes([length[0], length[1]])), 4)
        }
        length => (usize::from(length), 2),
    };
    let Some(masked) = bytes.get_mut(head..head + 4 + length) else { return Ok(None) };
    let (mask, payload) = masked.split_at_mut(4);
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok(Some((payload, head + 4 + length)))
}

/// Appends what one read gives.
async fn receive(stream: &TcpStream, read: &mut Vec<u8>) -> anyhow::Result<()> {
    loop {
        stream.readable().await?;
        match stream.try_read_buf(read) {
            Ok(0) => bail!("the client left"),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// One write, unless the kernel takes only a part.
async fn send(stream: &TcpStream, bytes: &[u8]) -> anyhow::Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.try_write(&bytes[sent..]) {
            Ok(more) => sent += more,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::framing::push_data;
    use crate::wire::messages::Protocol;

    #[test]
    fn the_clients_frames_are_read() {
        for length in [1, 125, 126, 30_000] {
            let text = "x".repeat(length);
            let mut sent = Vec::new();
            push_data(&mut sent, Protocol::Json, text.as_bytes());
            let all = sent.len();
            assert_eq!(unmasked(&mut sent[..all - 1].to_vec()).unwrap(), None);
            assert_eq!(unmasked(&mut sent).unwrap(), Some((text.as_bytes(), all)));
        }
    }
}
