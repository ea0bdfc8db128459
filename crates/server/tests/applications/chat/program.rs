//! Programs that serve the chat, and raw clients of them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use hubline_testkit::{Launch, ServerProcess};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::frame;

/// Longer than anything here takes; a hang fails instead of hanging.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const JWT_KEY: &str = "a secret of at least 32 bytes, not so secret";

pub(super) fn launch(args: &[&str]) -> Launch {
    let launch = Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve").arg(format!("--Jwt:Key={JWT_KEY}"));
    args.iter().fold(launch, |launch, arg| launch.arg(*arg))
}

/// A token of a user, with more claims.
pub(super) fn token(user: &str, claims: &Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut all = json!({ "sub": user, "exp": now + 600 });
    all.as_object_mut().unwrap().extend(claims.as_object().cloned().unwrap_or_default());
    encode(&Header::default(), &all, &EncodingKey::from_secret(JWT_KEY.as_bytes())).unwrap()
}

/// Posts without a body. Returns the status and what was answered.
pub(super) async fn post(port: u16, path: &str, token: &str, headers: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n{headers}\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// One connection to a hub, in JSON over a WebSocket.
pub(super) struct Wire {
    socket: TcpStream,
    received: Vec<u8>,
    invocations: u64,
    /// Arguments of events that came beside answers.
    pub(super) events: Vec<(String, Value)>,
}

impl Wire {
    /// Connects with what the query says.
    pub(super) async fn connect(port: u16, query: &str) -> Result<Self> {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!(
            "GET /chathub?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await?);
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            bail!("{}", String::from_utf8_lossy(&head));
        }
        let mut wire = Self { socket, received: Vec::new(), invocations: 0, events: Vec::new() };
        wire.send(&json!({ "protocol": "json", "version": 1 })).await?;
        wire.message().await?;
        Ok(wire)
    }

    /// Calls a method: what it returned, or its error.
    pub(super) async fn call(&mut self, method: &str, arguments: Value) -> Result<Result<Value, String>> {
        self.invocations += 1;
        let id = self.invocations.to_string();
        self.send(&json!({ "type": 1, "invocationId": id, "target": method, "arguments": arguments }))
            .await?;
        loop {
            let mut message = self.message().await?;
            match message["type"].as_u64() {
                Some(1) => {
                    let target = message["target"].as_str().unwrap_or_default().to_owned();
                    self.events.push((target, message["arguments"].take()));
                }
                Some(3) if message["invocationId"] == *id => {
                    let error = message["error"].as_str().map(str::to_owned);
                    return Ok(error.map_or_else(|| Ok(message["result"].take()), Err));
                }
                Some(7) => bail!("closed: {message}"),
                _ => {}
            }
        }
    }

    async fn send(&mut self, message: &Value) -> Result<()> {
        Ok(self.socket.write_all(&frame(&message.to_string())).await?)
    }

    /// The next message, whatever frames it comes in.
    async fn message(&mut self) -> Result<Value> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == 0x1e) {
                let message: Vec<u8> = self.received.drain(..=end).collect();
                return serde_json::from_slice(&message[..end]).context("a message");
            }
            let first = self.socket.read_u8().await?;
            let length = match self.socket.read_u8().await? {
                126 => self.socket.read_u16().await?.into(),
                127 => self.socket.read_u64().await?,
                length => length.into(),
            };
            let mut payload = vec![0; usize::try_from(length)?];
            self.socket.read_exact(&mut payload).await?;
            match first & 0xf {
                0..=2 => self.received.extend(payload),
                8 => bail!("the server closed the socket"),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn a_refreshed_token_opens_the_consultation_that_it_names() {
    let launch = launch(&["--Consultations:Required=true"]);
    let port = launch.port();
    let _server = ServerProcess::start(launch).await.unwrap();
    let connect = async |user: &str| {
        let token = token(user, &json!({}));
        let (status, body) = post(port, "/chathub/negotiate?negotiateVersion=1", &token, "").await;
        assert_eq!(status, 200, "{body}");
        let id =
            serde_json::from_str::<Value>(&body).unwrap()["connectionToken"].as_str().unwrap().to_owned();
        (Wire::connect(port, &format!("id={id}&access_token={token}")).await.unwrap(), id)
    };
    let ((mut ada, id), (mut bob, _)) = (connect("ada").await, connect("bob").await);
    let refused = ada.call("JoinRoom", json!(["ward"])).await.unwrap().unwrap_err();
    assert!(refused.contains("there is no open consultation"), "{refused}");
    let consultation = json!({ "id": "c-1", "room": "ward", "participants": ["bob"] }).to_string();
    let newer = token("ada", &json!({ "consultation": consultation }));
    let connection = format!("X-SignalR-Connection-Token: {id}\r\n");
    let (status, body) = post(port, "/chathub/refresh", &newer, &connection).await;
    assert_eq!(status, 200, "{body}");
    ada.call("JoinRoom", json!(["ward"])).await.unwrap().unwrap();
    let answer = bob.call("SendMessage", json!(["ada", "hello"])).await.unwrap().unwrap();
    assert_eq!(answer["id"], 1);
}
