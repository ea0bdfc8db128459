use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout};

use crate::client::error::{CallError, ConnectError, Disconnected};
use crate::client::link::Link;
use crate::client::message::{self, HubMessage, STREAM_INVOCATION};
use crate::client::network::Network;
use crate::client::options::ConnectOptions;
use crate::measure::PhaseTimes;
use crate::wire::connection::{COMPLETION, INVOCATION, KEEP_ALIVE};
use crate::wire::hub_url::HubUrl;

/// Events that wait while a call waits for its answer; those beyond are counted and dropped.
const MOST_WAITING: usize = 10_000;
const ACK_INTERVAL: Duration = Duration::from_secs(1);

/// What a server tells a client.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The server called a method of the client.
    Invocation {
        /// The method.
        target: String,
        /// Its arguments. Of MessagePack, bytes are base64 text, and extensions `{"extension", "data"}`.
        arguments: Vec<Value>,
        /// Bytes of the hub message.
        bytes: usize,
    },
    /// A ping.
    Ping,
    /// An item of a stream that [`Client::stream`] began.
    Item {
        /// What `stream` returned.
        stream: u64,
        /// The item.
        item: Value,
    },
    /// The end of such a stream.
    StreamEnded {
        /// What `stream` returned.
        stream: u64,
        /// Why, if it failed.
        error: Option<String>,
    },
    /// This many events were dropped, because too many came during a call.
    Dropped(u64),
    /// The connection is over; [`Client::reconnect`] opens a new one.
    Disconnected(Disconnected),
}

/// One connection to a hub, for tools that read values. It pings and acknowledges while one of its methods is awaited, so keep it in
/// [`Client::next_event`].
#[derive(Debug)]
pub struct Client {
    link: Link,
    network: Arc<Network>,
    url: HubUrl,
    options: Arc<ConnectOptions>,
    calls: u64,
    waiting: VecDeque<Event>,
    dropped: u64,
    awaited: Option<u64>,
    answer: Option<Result<Value, String>>,
    streams: Vec<u64>,
    is_over: Option<Disconnected>,
    next_ping: Instant,
    next_ack: Instant,
    last_received: Instant,
}

impl Client {
    /// Connects: negotiation, transport, handshake.
    ///
    /// # Errors
    /// Says which phase failed, and of a refusal status and first line.
    pub async fn connect(
        url: &HubUrl,
        network: &Arc<Network>,
        options: &Arc<ConnectOptions>,
    ) -> Result<(Self, PhaseTimes), ConnectError> {
        let (link, times) = Link::open(network, url, options).await?;
        let now = Instant::now();
        let client = Self {
            link,
            network: Arc::clone(network),
            url: url.clone(),
            options: Arc::clone(options),
            calls: 0,
            waiting: VecDeque::new(),
            dropped: 0,
            awaited: None,
            answer: None,
            streams: Vec::new(),
            is_over: None,
            // As official clients do, at once.
            next_ping: now,
            next_ack: now + ACK_INTERVAL,
            last_received: now,
        };
        Ok((client, times))
    }

    /// The connection's id; `None` without negotiation.
    pub fn id(&self) -> Option<&str> {
        self.link.id()
    }

    /// Calls a method and waits for its result; `Null` if it has none. Events that come meanwhile are kept.
    ///
    /// # Errors
    /// The server's error, the end of the connection, or no answer within `wait`.
    pub async fn invoke(
        &mut self,
        method: &str,
        arguments: &[Value],
        wait: Duration,
    ) -> Result<Value, CallError> {
        let call = self.push_call(INVOCATION, method, arguments)?;
        (self.awaited, self.answer) = (Some(call), None);
        let deadline = Instant::now() + wait;
        loop {
            if let Some(answer) = self.answer.take() {
                return answer.map_err(CallError::Server);
            }
            if let Some(over) = &self.is_over {
                return Err(CallError::Disconnected(over.clone()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if timeout(left, self.step()).await.is_err() {
                return Err(CallError::TimedOut(wait.as_secs()));
            }
        }
    }

    /// Calls a method without asking for an answer, and returns when the server's socket has taken it.
    ///
    /// # Errors
    /// The end of the connection.
    pub async fn send(&mut self, method: &str, arguments: &[Value]) -> Result<(), CallError> {
        let mut bytes = Vec::new();
        message::push_invocation(&mut bytes, self.link.protocol(), INVOCATION, None, method, arguments);
        self.link.push(INVOCATION, &bytes);
        Ok(self.link.flush().await?)
    }

    /// Calls a streaming method; its items are events.
    ///
    /// # Errors
    /// The end of the connection.
    pub async fn stream(&mut self, method: &str, arguments: &[Value]) -> Result<u64, CallError> {
        let call = self.push_call(STREAM_INVOCATION, method, arguments)?;
        self.streams.push(call);
        self.link.flush().await?;
        Ok(call)
    }

    /// Waits for what comes next. After [`Event::Disconnected`] it gives the same again.
    ///
    /// # Cancel safety
    /// Safe: no event is lost.
    pub async fn next_event(&mut self) -> Event {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return event;
            }
            if self.dropped > 0 {
                return Event::Dropped(std::mem::take(&mut self.dropped));
            }
            if let Some(over) = &self.is_over {
                return Event::Disconnected(over.clone());
            }
            self.step().await;
        }
    }

    /// Opens a new connection after the end of the last; a stateful one is resumed if the server still has it. Returns whether it was.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn reconnect(&mut self) -> Result<(bool, PhaseTimes), ConnectError> {
        let resumed = if self.link.is_stateful() { self.link.resume().await.ok() } else { None };
        let was_resumed = resumed.is_some();
        let times = match resumed {
            Some(times) => times,
            None => {
                let (link, times) = Link::open(&self.network, &self.url, &self.options).await?;
                self.link = link;
                (self.awaited, self.answer) = (None, None);
                self.streams.clear();
                times
            }
        };
        let now = Instant::now();
        (self.next_ping, self.last_received, self.is_over) = (now, now, None);
        Ok((was_resumed, times))
    }

    /// Says goodbye and waits up to 2 s until the server has taken it.
    pub async fn close(self) {
        self.link.close().await;
    }

    fn push_call(&mut self, kind: u8, method: &str, arguments: &[Value]) -> Result<u64, CallError> {
        if self.link.is_held_up() {
            return Err(CallError::HeldUp);
        }
        self.calls += 1;
        let id = self.calls.to_string();
        let mut bytes = Vec::new();
        message::push_invocation(&mut bytes, self.link.protocol(), kind, Some(&id), method, arguments);
        self.link.push(kind, &bytes);
        Ok(self.calls)
    }

    /// Waits for the next bytes, or for the time of a ping or an Ack.
    async fn step(&mut self) {
        let (is_pinged, is_stateful) = (self.link.is_pinged(), self.link.is_stateful());
        let silent_at = self.last_received + self.options.server_timeout;
        let mut came = Vec::new();
        let mut on_message = |kind: u8, message: &[u8]| came.push((kind, message.to_vec()));
        let received = tokio::select! {
            received = self.link.receive(usize::MAX, &mut on_message) => received.map(|()| true),
            () = sleep_until(self.next_ping), if is_pinged => Ok(false),
            () = sleep_until(self.next_ack), if is_stateful => Ok(false),
            () = sleep_until(silent_at), if is_pinged => {
                Err(Disconnected::Silent(self.options.server_timeout.as_secs()))
            }
        };
        let now = Instant::now();
        if let Ok(true) = received {
            self.last_received = now;
        }
        for (kind, message) in came {
            self.take(kind, &message);
        }
        if let Err(over) = received {
            self.is_over = Some(over);
            return;
        }
        if now >= self.next_ping {
            self.link.push_ping();
            self.next_ping = now + self.options.ping_interval;
        }
        if now >= self.next_ack {
            self.link.push_ack();
            self.next_ack = now + ACK_INTERVAL;
        }
    }

    fn take(&mut self, kind: u8, message: &[u8]) {
        if kind == KEEP_ALIVE {
            return self.keep(Event::Ping);
        }
        let number = |id: &str| id.parse().unwrap_or_default();
        match message::read(self.link.protocol(), message) {
            HubMessage::Invocation { id, target, arguments } => {
                if let Some(id) = id {
                    let mut answer = Vec::new();
                    message::push_no_result(&mut answer, self.link.protocol(), &id);
                    self.link.push(COMPLETION, &answer);
                }
                self.keep(Event::Invocation { target, arguments, bytes: message.len() });
            }
            HubMessage::StreamItem { id, item } => self.keep(Event::Item { stream: number(&id), item }),
            HubMessage::Completion { id, outcome } => {
                let call = number(&id);
                if self.awaited == Some(call) {
                    (self.awaited, self.answer) = (None, Some(outcome));
                } else if let Some(index) = self.streams.iter().position(|stream| *stream == call) {
                    self.streams.swap_remove(index);
                    self.keep(Event::StreamEnded { stream: call, error: outcome.err() });
                }
            }
            _ => {}
        }
    }

    fn keep(&mut self, event: Event) {
        match self.waiting.len() {
            ..MOST_WAITING => self.waiting.push_back(event),
            _ => self.dropped += 1,
        }
    }
}
