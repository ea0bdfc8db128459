//! A client that waits for each answer before it goes on, so that the server does the same in every run.

use std::fmt::{self, Display, Formatter};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// What the server does again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A call and its completion over a WebSocket.
    Echo,
    /// One of ten deliveries of a broadcast, with a tenth of the call.
    Delivery,
    /// A call by POST and the poll that gets its completion.
    Poll,
    /// A negotiation, its WebSocket, the handshake, and the goodbye.
    Connection,
}

impl Display for Way {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Echo => "a call over a WebSocket",
            Self::Delivery => "a delivery of a broadcast to ten",
            Self::Poll => "a call by POST and its poll",
            Self::Connection => "a connection, negotiated, opened and closed",
        })
    }
}

pub(super) struct Client {
    port: u16,
}

const LOOK: Duration = Duration::from_millis(50);
const LOOKS: u32 = 1200;
const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\x1e";
const ECHO: &str =
    "{\"type\":1,\"invocationId\":\"1\",\"target\":\"Echo\",\"arguments\":[\"0123456789\"]}\x1e";
const BROADCAST: &str = "{\"type\":1,\"target\":\"Broadcast\",\"arguments\":[\"0123456789\"]}\x1e";
const RECEIVERS: u64 = 10;
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

impl Client {
    /// For a server that is about to listen.
    pub(super) fn wait_for(port: u16) -> Result<Self> {
        for _ in 0..LOOKS {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(Self { port });
            }
            std::thread::sleep(LOOK);
        }
        bail!("the server does not listen")
    }

    pub(super) fn go(&self, way: Way, count: u64) -> Result<()> {
        match way {
            Way::Echo => {
                let mut socket = self.web_socket("")?;
                for _ in 0..count {
                    socket.send(TEXT, ECHO)?;
                    socket.expect("\"result\":\"0123456789\"")?;
                }
            }
            Way::Delivery => {
                let mut sockets = Vec::new();
                for _ in 0..RECEIVERS {
                    sockets.push(self.web_socket("")?);
                }
                for _ in 0..count / RECEIVERS {
                    sockets[0].send(TEXT, BROADCAST)?;
                    for socket in &mut sockets {
                        socket.expect("OnBroadcast")?;
                    }
                }
            }
            Way::Poll => {
                let (mut posts, mut polls) = (self.connect()?, self.connect()?);
                let target = format!("/benchhub?id={}", negotiate(&mut posts)?);
                polls.request("GET", &target, "")?;
                posts.request("POST", &target, HANDSHAKE)?;
                polls.request("GET", &target, "")?;
                for _ in 0..count {
                    posts.request("POST", &target, ECHO)?;
                    let found = polls.request("GET", &target, "")?;
                    ensure!(found.contains("\"result\":\"0123456789\""), "a poll found {found:?}");
                }
            }
            Way::Connection => {
                let mut posts = self.connect()?;
                for _ in 0..count {
                    let id = negotiate(&mut posts)?;
                    let mut socket = self.web_socket(&format!("?id={id}"))?;
                    socket.send(CLOSE, "")?;
                    while socket.frame()?.0 != CLOSE {}
                }
            }
        }
        Ok(())
    }

    fn connect(&self) -> Result<Socket> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Socket { stream, read: Vec::new() })
    }

    /// An open one, with the handshake done.
    fn web_socket(&self, query: &str) -> Result<Socket> {
        let mut socket = self.connect()?;
        socket.stream.write_all(
            format!(
                "GET /benchhub{query} HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            .as_bytes(),
        )?;
        let head = socket.head()?;
        ensure!(head.starts_with("HTTP/1.1 101"), "{head}");
        socket.send(TEXT, HANDSHAKE)?;
        socket.expect("{}")?;
        Ok(socket)
    }
}

fn negotiate(socket: &mut Socket) -> Result<String> {
    let answer = socket.request("POST", "/benchhub/negotiate?negotiateVersion=1", "")?;
    let (_, rest) = answer.split_once("\"connectionToken\":\"").context("no token")?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

struct Socket {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Socket {
    fn more(&mut self) -> Result<()> {
        let mut buffer = [0; 4096];
        let length = self.stream.read(&mut buffer)?;
        ensure!(length > 0, "the server left");
        self.read.extend(&buffer[..length]);
        Ok(())
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.read.len() < length {
            self.more()?;
        }
        Ok(self.read.drain(..length).collect())
    }

    fn head(&mut self) -> Result<String> {
        loop {
            let end = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                return Ok(String::from_utf8(self.take(end + 4)?)?);
            }
            self.more()?;
        }
    }

    /// The body of the answer, which has a length or none.
    fn request(&mut self, method: &str, target: &str, body: &str) -> Result<String> {
        let length = body.len();
        let length = if method == "GET" { String::new() } else { format!("Content-Length: {length}\r\n") };
        let request = format!("{method} {target} HTTP/1.1\r\nHost: hub\r\n{length}\r\n{body}");
        self.stream.write_all(request.as_bytes())?;
        let head = self.head()?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        Ok(String::from_utf8(self.take(length.context("no length")?.parse()?)?)?)
    }

    /// Masked with zeros.
    fn send(&mut self, opcode: u8, payload: &str) -> Result<()> {
        let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).context("too long")?;
        let mut frame = vec![opcode, 0x80 | length, 0, 0, 0, 0];
        frame.extend(payload.bytes());
        Ok(self.stream.write_all(&frame)?)
    }

    fn frame(&mut self) -> Result<(u8, String)> {
        let head = self.take(2)?;
        let length = usize::from(head[1]);
        ensure!(length < 126, "a long frame");
        Ok((head[0], String::from_utf8_lossy(&self.take(length)?).into_owned()))
    }

    /// The next text, over pings, has this in it.
    fn expect(&mut self, part: &str) -> Result<()> {
        loop {
            let (opcode, text) = self.frame()?;
            match opcode {
                TEXT if text.contains(part) => return Ok(()),
                TEXT if text.contains("\"type\":6") => {}
                _ => bail!("expected {part}, not {opcode:#x} {text:?}"),
            }
        }
    }
}
