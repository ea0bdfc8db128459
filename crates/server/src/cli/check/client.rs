//! A client of the hub that checks go through, over each of SignalR's transports.

mod event_stream;
mod web_socket;

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use self::event_stream::EventStream;
use self::web_socket::WebSocket;
use super::http::{Http, LIMIT_BYTES, detail, ensure_ok};
use crate::check::{HUB, JOIN, RECEIVED, SEND};

/// Ends each message of the hub protocol.
const SEPARATOR: char = '\x1e';
const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\x1e";
/// How long a poll may take, more than servers let them wait.
const POLL: std::time::Duration = std::time::Duration::from_secs(100);

const INVOCATION: u64 = 1;
const COMPLETION: u64 = 3;
const CLOSE: u64 = 7;

/// How messages travel, by the names that servers negotiate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Transport {
    WebSockets,
    ServerSentEvents,
    LongPolling,
}

impl Transport {
    pub(super) const ALL: [Self; 3] = [Self::WebSockets, Self::ServerSentEvents, Self::LongPolling];
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why there is no client.
pub(super) enum Refusal {
    /// The server does not offer the transport.
    NotOffered,
    /// The admin key may not do this; why.
    Key(String),
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// One connection.
pub(super) struct Client {
    http: Http,
    /// With the connection's token.
    url: String,
    wire: Wire,
    /// Text that has come and ends with no separator yet.
    begun: String,
}

enum Wire {
    WebSocket(Box<WebSocket>),
    EventStream(EventStream),
    LongPolling,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Negotiated {
    connection_token: String,
    available_transports: Vec<Available>,
}

#[derive(Deserialize)]
struct Available {
    transport: String,
}

impl Client {
    /// Connects, shakes hands and takes part in the run. The caller bounds how long that takes.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn join(
        http: &Http,
        address: &str,
        transport: Transport,
        run: &str,
    ) -> Result<Self, Refusal> {
        let hub = format!("{address}{HUB}");
        let negotiate = format!("{hub}/negotiate?negotiateVersion=1");
        let (status, negotiated) =
            http.whole(Method::POST, &negotiate, &[], String::new()).await.context("negotiate")?;
        if let (StatusCode::FORBIDDEN, Some(why)) = (status, detail(&negotiated)) {
            return Err(Refusal::Key(why));
        }
        ensure_ok(status, &negotiated).context("negotiate")?;
        let negotiated: Negotiated = serde_json::from_str(&negotiated).context("negotiate")?;
        let name = transport.to_string();
        if !negotiated.available_transports.iter().any(|offered| offered.transport == name) {
            return Err(Refusal::NotOffered);
        }
        let token = form_urlencoded::byte_serialize(negotiated.connection_token.as_bytes());
        let url = format!("{hub}?id={}", token.collect::<String>());
        let wire = match transport {
            Transport::WebSockets => Wire::WebSocket(Box::new(WebSocket::open(http, &url).await?)),
            Transport::ServerSentEvents => Wire::EventStream(EventStream::open(http, &url).await?),
            Transport::LongPolling => Wire::LongPolling,
        };
        let mut client = Self { http: http.clone(), url, wire, begun: String::new() };
        if matches!(client.wire, Wire::LongPolling) {
            // The first poll attaches, and is empty.
            let first = client.poll().await?;
            ensure_or_fail(first.is_empty(), "the first poll was not empty")?;
        }
        client.shake_hands().await?;
        client.call(Some("1"), JOIN, &[run]).await?;
        client.completed().await?;
        Ok(client)
    }

    /// Has the hub send a message to all that take part in the run.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) async fn send(&mut self, run: &str, from: &str) -> Result<()> {
        self.call(None, SEND, &[run, from]).await
    }

    /// Waits for messages, and returns whom they are from.
    ///
    /// # Errors
    /// The connection is over.
    ///
    /// # Cancel safety
    /// What was being received may be lost.
    pub(super) async fn received(&mut self) -> Result<Vec<String>> {
        let messages = self.receive().await?;
        let from = |message: &Value| match message["target"].as_str() {
            Some(RECEIVED) => message["arguments"][0].as_str().map(str::to_owned),
            _ => None,
        };
        Ok(messages.iter().filter(|message| message["type"] == INVOCATION).filter_map(from).collect())
    }

    /// Says goodbye, as far as that takes no waiting for others.
    pub(super) async fn close(self) {
        match self.wire {
            // A server that is gone needs no goodbye.
            Wire::WebSocket(mut socket) => _ = socket.close().await,
            Wire::EventStream(_) => {}
            Wire::LongPolling => _ = self.http.whole(Method::DELETE, &self.url, &[], String::new()).await,
        }
    }

    async fn shake_hands(&mut self) -> Result<()> {
        self.write(HANDSHAKE.to_owned()).await?;
        let answer = loop {
            let answers = self.receive().await?;
            if let Some(answer) = answers.into_iter().next() {
                break answer;
            }
        };
        match answer["error"].as_str() {
            Some(error) => bail!("the handshake was refused: {error}"),
            None => Ok(()),
        }
    }

    /// Waits for the completion of the one call that has one.
    async fn completed(&mut self) -> Result<()> {
        loop {
            for message in self.receive().await? {
                if message["type"] == COMPLETION {
                    return match message["error"].as_str() {
                        Some(error) => bail!("{error}"),
                        None => Ok(()),
                    };
                }
            }
        }
    }

    async fn call(&mut self, id: Option<&str>, target: &str, arguments: &[&str]) -> Result<()> {
        let mut call = json!({ "type": INVOCATION, "target": target, "arguments": arguments });
        if let Some(id) = id {
            call["invocationId"] = id.into();
        }
        self.write(format!("{call}{SEPARATOR}")).await
    }

    async fn write(&mut self, text: String) -> Result<()> {
        match &mut self.wire {
            Wire::WebSocket(socket) => socket.send(text).await,
            Wire::EventStream(_) | Wire::LongPolling => {
                self.http.ok(Method::POST, &self.url, text).await.map(|_| ())
            }
        }
    }

    /// The next messages, perhaps none.
    async fn receive(&mut self) -> Result<Vec<Value>> {
        let text = match &mut self.wire {
            Wire::WebSocket(socket) => socket.receive().await?,
            Wire::EventStream(stream) => stream.receive().await?,
            Wire::LongPolling => self.poll().await?,
        };
        self.begun.push_str(&text);
        ensure!(self.begun.len() <= LIMIT_BYTES, "a message of more than {LIMIT_BYTES} bytes");
        let whole = self.begun.rfind(SEPARATOR).map_or(0, |end| end + SEPARATOR.len_utf8());
        let rest = self.begun.split_off(whole);
        let whole = std::mem::replace(&mut self.begun, rest);
        let messages: Vec<Value> =
            whole.split_terminator(SEPARATOR).map(serde_json::from_str).collect::<Result<_, _>>()?;
        match messages.iter().find(|message| message["type"] == CLOSE) {
            Some(close) => {
                bail!("the server closed: {}", close["error"].as_str().unwrap_or("it says not why"))
            }
            None => Ok(messages),
        }
    }

    async fn poll(&self) -> Result<String> {
        let (status, body) = self.http.whole_within(POLL, Method::GET, &self.url, &[], String::new()).await?;
        ensure!(status != StatusCode::NO_CONTENT, "the server has ended the connection");
        ensure_ok(status, &body)?;
        Ok(body)
    }
}

fn ensure_or_fail(is_right: bool, what: &'static str) -> Result<()> {
    ensure!(is_right, what);
    Ok(())
}
