//! A client of a hub that reads what a console's page would.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::{CHAT, CONSOLE, PATIENCE, token};
use crate::client::{frame, upgrade, upgraded};

const JSON: &str = r#"{"protocol":"json","version":1}"#;

/// Sends a request without a body, and reads the head of its answer. Returns the status.
pub(super) async fn begun(socket: &mut TcpStream, line: &str, headers: &str) -> u16 {
    let port = socket.peer_addr().unwrap().port();
    let request = format!("{line} HTTP/1.1\r\nHost: localhost:{port}\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, socket.read_u8()).await.unwrap().unwrap());
    }
    std::str::from_utf8(&head[9..12]).unwrap().parse().unwrap()
}

/// A client of a hub, over a WebSocket and in JSON.
pub(super) struct Client {
    socket: TcpStream,
    bytes: Vec<u8>,
    messages: VecDeque<Value>,
    next: u32,
}

impl Client {
    /// One that has negotiated nothing.
    pub(super) async fn connect(port: u16, path: &str, headers: &str) -> Self {
        Self::open(port, path, headers).await.unwrap()
    }

    /// The status, if it is not let in.
    pub(super) async fn open(port: u16, path: &str, headers: &str) -> Result<Self, u16> {
        let mut client = Self::upgraded(port, path, headers).await?;
        client.shake_hands(JSON).await;
        Ok(client)
    }

    /// A WebSocket before its handshake.
    pub(super) async fn upgraded(port: u16, path: &str, headers: &str) -> Result<Self, u16> {
        upgraded(port, path, headers).await.map(Self::over)
    }

    fn over(socket: TcpStream) -> Self {
        Self { socket, bytes: Vec::new(), messages: VecDeque::new(), next: 0 }
    }

    pub(super) async fn shake_hands(&mut self, handshake: &str) {
        self.send(handshake).await;
        assert_eq!(self.message().await, Some(json!({})), "the handshake");
    }

    /// A user of the chat of whom the kernel takes little that is not read.
    pub(super) async fn reading_little(port: u16, user: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        let socket = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
        let path = format!("{CHAT}?access_token={}", token(user));
        let mut client = Self::over(upgrade(socket, &path, "").await.unwrap());
        client.shake_hands(JSON).await;
        client
    }

    /// A user of the chat.
    pub(super) async fn chat(port: u16, user: &str) -> Self {
        Self::connect(port, &format!("{CHAT}?access_token={}", token(user)), "").await
    }

    /// Somebody at a console who has signed in.
    pub(super) async fn console(port: u16, key: &str) -> Self {
        let mut client = Self::connect(port, CONSOLE, "").await;
        client.call("SignIn", json!([key])).await.unwrap();
        client
    }

    pub(super) async fn send(&mut self, message: &str) {
        self.socket.write_all(&frame(message)).await.unwrap();
    }

    /// The next message; `None` at the end.
    async fn message(&mut self) -> Option<Value> {
        timeout(PATIENCE, async {
            while self.messages.is_empty() {
                let mut head = [0; 2];
                self.socket.read_exact(&mut head).await.ok()?;
                let length = match head[1] {
                    126 => self.socket.read_u16().await.ok()?.into(),
                    127 => usize::try_from(self.socket.read_u64().await.ok()?).unwrap(),
                    length => length.into(),
                };
                let mut payload = vec![0; length];
                self.socket.read_exact(&mut payload).await.ok()?;
                if head[0] & 0x0f == 8 {
                    return None;
                }
                self.bytes.extend(payload);
                while let Some(end) = self.bytes.iter().position(|byte| *byte == 0x1e) {
                    let message: Vec<_> = self.bytes.drain(..=end).collect();
                    self.messages.push_back(serde_json::from_slice(&message[..end]).unwrap());
                }
            }
            self.messages.pop_front()
        })
        .await
        .unwrap()
    }

    /// A message that is no ping and fits.
    pub(super) async fn message_with(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.message().await.expect("the connection goes on");
            if fits(&message) {
                return message;
            }
        }
    }

    pub(super) async fn invoke(&mut self, kind: u8, method: &str, arguments: Value) -> String {
        self.next += 1;
        let id = self.next.to_string();
        let invocation =
            json!({ "type": kind, "invocationId": id, "target": method, "arguments": arguments });
        self.send(&invocation.to_string()).await;
        id
    }

    /// The result of a call, or its error without what all errors begin with.
    pub(super) async fn call(&mut self, method: &str, arguments: Value) -> Result<Value, String> {
        loop {
            let id = self.invoke(1, method, arguments.clone()).await;
            let fits = |message: &Value| message["type"] == 3 && message["invocationId"] == *id;
            let completion = self.message_with(fits).await;
            let Some(error) = completion["error"].as_str() else { return Ok(completion["result"].clone()) };
            if !error.contains("Too many questions") {
                return Err(error.split_once("HubException: ").map_or(error, |parts| parts.1).to_owned());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Watches until a snapshot is as it should be.
    pub(super) async fn watch_until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let id = self.invoke(4, "Watch", json!([])).await;
        let mut last = Value::Null;
        let watched = async {
            loop {
                let item = self.message_with(|message| message["invocationId"] == *id).await;
                assert_eq!(item["type"], 2, "{item}");
                last = item["item"].clone();
                if fits(&last) {
                    break;
                }
            }
        };
        let watched = timeout(PATIENCE, watched).await;
        assert!(watched.is_ok(), "{what}: {last:#}");
        self.send(&json!({ "type": 5, "invocationId": id }).to_string()).await;
        last
    }

    /// Waits for the end, and says whether the client may come back by itself.
    pub(super) async fn closed(mut self) -> bool {
        let close = self.message_with(|message| message["type"] == 7).await;
        close["allowReconnect"] == true
    }

    /// The connections that fit.
    pub(super) async fn find(&mut self, by: &str, value: &str) -> Vec<Value> {
        let query = json!([{ "by": by, "value": value }, 50]);
        let found = self.call("Find", query).await.unwrap();
        assert_eq!((&found["silent"], &found["isMore"]), (&json!([]), &json!(false)), "{found}");
        found["connections"].as_array().unwrap().clone()
    }

    /// The timeline of a connection once something of this kind is in it.
    pub(super) async fn timeline_with(&mut self, id: &str, kind: &str) -> (Vec<String>, Value) {
        let mut last = Value::Null;
        let told = async {
            loop {
                let (kinds, timeline) = self.timeline(id).await;
                if kinds.iter().any(|known| known == kind) {
                    return (kinds, timeline);
                }
                last = timeline;
                sleep(Duration::from_millis(150)).await;
            }
        };
        match timeout(PATIENCE, told).await {
            Ok(told) => told,
            Err(_) => panic!("nothing is told as {kind}: {last:#}"),
        }
    }

    /// The kinds of what has happened to a connection, and in what way it has ended.
    pub(super) async fn timeline(&mut self, id: &str) -> (Vec<String>, Value) {
        let timeline = self.call("Timeline", json!([id])).await.unwrap();
        let entries = timeline["entries"].as_array().unwrap();
        let kinds = entries.iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect();
        (kinds, timeline)
    }
}
