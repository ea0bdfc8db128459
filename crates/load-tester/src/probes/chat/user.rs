//! One user with one connection, which comes back by itself and asks for what it has missed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::history::{Conversation, Event, Way, now_micros};
use super::token;
use crate::wire::connection::{CLOSE, COMPLETION, INVOCATION, PING_INTERVAL, Receive};
use crate::wire::framing::{RECORD_SEPARATOR, push_data};
use crate::wire::messages::Protocol;
use crate::wire::target::Target;
use crate::wire::web_socket::WebSocket;

/// How long a call may take until the connection is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Before the next attempt to connect, or to send what was refused.
const RETRY: Duration = Duration::from_millis(300);
/// Messages asked for in one `GetSince`.
const PAGE: u32 = 100;

/// Where events of all users are kept, those of each user in order.
pub(crate) type Journal = Arc<Mutex<Vec<Event>>>;

/// When each message was sent for the first time, by its key.
pub(crate) type Sends = Arc<Mutex<HashMap<String, Instant>>>;

/// What a user does.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) targets: Arc<[Target]>,
    /// The instance it connects to first.
    pub(crate) first_target: usize,
    pub(crate) jwt_key: Arc<str>,
    pub(crate) sends: Sends,
    /// Tells the messages of this run from those of others.
    pub(crate) run: u64,
    pub(crate) rooms: Vec<String>,
    /// Whom it writes to in turn.
    pub(crate) conversations: Vec<(Conversation, To)>,
    pub(crate) first_send: Instant,
    pub(crate) interval: Duration,
    pub(crate) stop_sending: Instant,
    /// Nobody sends before everybody is in his rooms.
    pub(crate) all_joined: Arc<Barrier>,
    /// Until when they have to be.
    pub(crate) joined_by: Instant,
    /// Whether each connection is negotiated before it is opened.
    pub(crate) negotiates: bool,
    /// Until then everything sent has to be confirmed and everything missed fetched.
    pub(crate) give_up: Instant,
}

/// Who gets a message.
#[derive(Debug, Clone)]
pub(crate) enum To {
    User(String),
    Room(String),
}

/// What it took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Connections that were made after the first one.
    pub(crate) reconnects: u32,
    /// Calls that were refused or not answered, and made again.
    pub(crate) repeated: u32,
    /// What went wrong last, if anything did.
    pub(crate) last_error: Option<String>,
    /// How long it took until a message was confirmed, in microseconds.
    pub(crate) confirmed_micros: Vec<u64>,
    /// How long it took until a message that somebody else sent came as an event, likewise.
    pub(crate) delivered_micros: Vec<u64>,
}

pub(crate) struct User {
    plan: Plan,
    journal: Journal,
    outcome: Outcome,
    cursor: Option<String>,
    joined: bool,
    /// Since when there is no connection, and why.
    away: Option<(u64, Vec<String>)>,
    number: u64,
    /// A message that is not confirmed yet.
    unconfirmed: Option<Unconfirmed>,
    next_send: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    id: Value,
    from: String,
    to: Option<String>,
    room: Option<String>,
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    messages: Vec<Message>,
    next: Option<String>,
    #[serde(default)]
    has_more: bool,
}

/// A message that was sent.
struct Unconfirmed {
    to: To,
    key: String,
    since: Instant,
    /// The same moment, in microseconds since 1970.
    from: u64,
}

/// A connection and what came beside the answers it was waiting for.
struct Session {
    socket: WebSocket,
    invocations: u64,
    events: VecDeque<(Instant, Message)>,
}

impl User {
    pub(crate) fn new(plan: Plan, journal: Journal) -> Self {
        let next_send = plan.first_send;
        Self {
            plan,
            journal,
            outcome: Outcome::default(),
            cursor: None,
            joined: false,
            away: None,
            number: 0,
            unconfirmed: None,
            next_send,
        }
    }

    /// Chats until the time to stop, then until all is confirmed and fetched.
    ///
    /// # Errors
    /// That has not happened by the time to give up.
    pub(crate) async fn run(mut self) -> anyhow::Result<Outcome> {
        let mut attempt = self.plan.first_target;
        loop {
            let target = self.plan.targets[attempt % self.plan.targets.len()].clone();
            match self.session(&target).await {
                Ok(()) => return Ok(self.outcome),
                Err(error) => self.lost(format!("{error:#}")),
            }
            if Instant::now() > self.plan.give_up {
                let last = self.outcome.last_error.take().unwrap_or_default();
                bail!("{} did not finish: {last}", self.plan.name);
            }
            self.outcome.reconnects += 1;
            attempt += 1;
            // As official clients: at once, and only then after a while.
            if self.away.as_ref().is_none_or(|(_, reasons)| reasons.len() > 1) {
                sleep(RETRY).await;
            }
        }
    }

    fn lost(&mut self, reason: String) {
        if self.joined {
            let (_, reasons) = self.away.get_or_insert_with(|| (now_micros(), Vec::new()));
            reasons.push(reason.clone());
        }
        self.outcome.last_error = Some(reason);
    }

    /// In all rooms again.
    fn is_back(&mut self) {
        let Some((from, reasons)) = self.away.take() else { return };
        let user = self.plan.name.clone();
        self.journal.lock().push(Event::Away { user, from, until: now_micros(), reasons });
    }

    /// One connection, to its end or the user's.
    async fn session(&mut self, target: &Target) -> anyhow::Result<()> {
        let token = token::sign(&self.plan.jwt_key, &self.plan.name);
        let path = target.path_with("", &format!("access_token={token}"));
        let mut session = Session::open(&Target { path, ..target.clone() }, self.plan.negotiates).await?;
        let ended = self.chat(&mut session).await;
        // What came before the connection ended came.
        self.saw(&mut session)?;
        ended?;
        session.socket.close();
        Ok(())
    }

    async fn chat(&mut self, session: &mut Session) -> anyhow::Result<()> {
        self.insist(session, "EnableEvents", &json!([])).await?;
        for room in self.plan.rooms.clone() {
            self.insist(session, "JoinRoom", &json!([room])).await?;
            if !self.joined {
                self.journal.lock().push(Event::Joined { user: self.plan.name.clone(), room });
            }
        }
        self.is_back();
        if !std::mem::replace(&mut self.joined, true) {
            let all = timeout_at(self.plan.joined_by, self.plan.all_joined.wait());
            all.await.context("others did not join")?;
        }
        self.catch_up(session).await?;
        while Instant::now() < self.plan.stop_sending || self.unconfirmed.is_some() {
            if Instant::now() > self.plan.give_up {
                bail!("a message is not confirmed");
            }
            let is_due = self.unconfirmed.is_some() || Instant::now() >= self.next_send;
            if is_due {
                self.send(session).await?;
            } else {
                session.listen(self.next_send.min(self.plan.stop_sending)).await?;
            }
            self.saw(session)?;
        }
        // What others confirm until then may still come.
        while Instant::now() < self.plan.give_up - ANSWER_TIMEOUT {
            session.listen(self.plan.give_up - ANSWER_TIMEOUT).await?;
            self.saw(session)?;
        }
        self.catch_up(session).await
    }

    async fn send(&mut self, session: &mut Session) -> anyhow::Result<()> {
        let Unconfirmed { to, key, since, from } = match self.unconfirmed.take() {
            Some(unconfirmed) => unconfirmed,
            None => {
                let conversations = &self.plan.conversations;
                let turn = usize::try_from(self.number)? % conversations.len();
                let (conversation, to) = conversations[turn].clone();
                let key = format!("{}-{:x}-{}", self.plan.name, self.plan.run, self.number);
                self.number += 1;
                self.next_send = (self.next_send + self.plan.interval).max(Instant::now());
                self.plan.sends.lock().insert(key.clone(), Instant::now());
                self.journal.lock().push(Event::Sends {
                    user: self.plan.name.clone(),
                    conversation,
                    key: key.clone(),
                });
                Unconfirmed { to, key, since: Instant::now(), from: now_micros() }
            }
        };
        self.unconfirmed = Some(Unconfirmed { to: to.clone(), key: key.clone(), since, from });
        let argument = match to {
            To::User(user) => json!([{ "to": user, "text": key, "clientMessageId": key }]),
            To::Room(room) => json!([{ "room": room, "text": key, "clientMessageId": key }]),
        };
        match session.call("Send", argument).await? {
            Ok(answer) => {
                let id = text(answer.get("id").context("an answer without id")?);
                let user = self.plan.name.clone();
                let sent = Event::Sent { user: user.clone(), key: key.clone(), from, until: now_micros() };
                self.journal.lock().extend([sent, Event::Confirmed { user, key, id }]);
                self.outcome.confirmed_micros.push(u64::try_from(since.elapsed().as_micros())?);
                self.unconfirmed = None;
            }
            Err(refusal) => {
                self.outcome.repeated += 1;
                self.outcome.last_error = Some(refusal);
                session.listen(Instant::now() + RETRY).await?;
            }
        }
        Ok(())
    }

    /// Fetches what was missed; events that came meanwhile are looked at afterwards.
    async fn catch_up(&mut self, session: &mut Session) -> anyhow::Result<()> {
        loop {
            let argument = json!([{ "after": self.cursor, "limit": PAGE }]);
            let page = self.insist(session, "GetSince", &argument).await?;
            let page: Page = serde_json::from_value(page).context("an answer of GetSince")?;
            for message in page.messages {
                self.note(message, Way::Since);
            }
            self.cursor = page.next.or(self.cursor.take());
            if !page.has_more {
                break;
            }
        }
        self.saw(session)
    }

    /// Calls a method again until it is not refused.
    async fn insist(
        &mut self,
        session: &mut Session,
        method: &str,
        arguments: &Value,
    ) -> anyhow::Result<Value> {
        loop {
            match session.call(method, arguments.clone()).await? {
                Ok(answer) => return Ok(answer),
                Err(refusal) if Instant::now() > self.plan.give_up => bail!("{method}: {refusal}"),
                Err(refusal) => {
                    self.outcome.repeated += 1;
                    self.outcome.last_error = Some(refusal);
                    session.listen(Instant::now() + RETRY).await?;
                }
            }
        }
    }

    fn saw(&mut self, session: &mut Session) -> anyhow::Result<()> {
        while let Some((at, message)) = session.events.pop_front() {
            let sent = self.plan.sends.lock().get(&message.text).copied();
            if let Some(sent) = sent.filter(|_| message.from != self.plan.name) {
                self.outcome.delivered_micros.push(u64::try_from((at - sent).as_micros())?);
            }
            self.note(message, Way::Event);
        }
        Ok(())
    }

    fn note(&mut self, message: Message, way: Way) {
        let Message { id, from, to, room, text: key } = message;
        if from == self.plan.name {
            return;
        }
        let conversation = match room {
            Some(room) => Conversation::Room(room),
            None => Conversation::of(&from, to.as_deref().unwrap_or_default()),
        };
        let user = self.plan.name.clone();
        self.journal.lock().push(Event::Saw { user, conversation, id: text(&id), sender: from, key, way });
    }
}

impl Session {
    async fn open(target: &Target, negotiates: bool) -> anyhow::Result<Self> {
        let socket = match negotiates {
            true => WebSocket::open_negotiated(target, Protocol::Json).await?,
            false => WebSocket::open(target, Protocol::Json).await?,
        };
        Ok(Self { socket, invocations: 0, events: VecDeque::new() })
    }

    /// Calls a method: what it returned, or the text of its error.
    async fn call(&mut self, method: &str, arguments: Value) -> anyhow::Result<Result<Value, String>> {
        self.invocations += 1;
        let id = self.invocations.to_string();
        let call = json!({ "type": 1, "invocationId": id, "target": method, "arguments": arguments });
        self.send(&call).await?;
        let answered = async {
            loop {
                if let Some(answer) = self.receive(&id).await? {
                    return Ok(answer);
                }
            }
        };
        timeout(ANSWER_TIMEOUT, answered).await.with_context(|| format!("{method} was not answered"))?
    }

    /// Takes events until a time, and keeps the connection alive.
    async fn listen(&mut self, until: Instant) -> anyhow::Result<()> {
        loop {
            let ping = Instant::now() + PING_INTERVAL;
            tokio::select! {
                received = self.receive("") => drop(received?),
                () = sleep_until(until.min(ping)) => {
                    if ping >= until {
                        return Ok(());
                    }
                    self.socket.ping().await?;
                }
            }
            if Instant::now() >= until {
                return Ok(());
            }
        }
    }

    async fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        let mut bytes = serde_json::to_vec(message)?;
        bytes.push(RECORD_SEPARATOR);
        let mut frame = Vec::with_capacity(bytes.len() + 8);
        push_data(&mut frame, Protocol::Json, &bytes);
        self.socket.send(&frame).await
    }

    /// Takes what comes next; the answer to the invocation of this id, if it is among it.
    async fn receive(&mut self, id: &str) -> anyhow::Result<Option<Result<Value, String>>> {
        let mut received = Vec::new();
        let open = self.socket.receive(|kind, message| {
            if matches!(kind, INVOCATION | COMPLETION | CLOSE) {
                received.push((kind, message.to_vec()));
            }
        });
        let open = open.await;
        let mut answer = None;
        for (kind, message) in received {
            let mut message: Value = serde_json::from_slice(&message)?;
            match kind {
                COMPLETION if message["invocationId"] == id => {
                    let error = message.get("error").map(text);
                    answer = Some(error.map_or_else(|| Ok(message["result"].take()), Err));
                }
                INVOCATION if message["target"] == "MessageReceived" => {
                    let event = serde_json::from_value(message["arguments"][0].take())?;
                    self.events.push_back((Instant::now(), event));
                }
                CLOSE => bail!("the server closed, saying {message}"),
                _ => {}
            }
        }
        match answer {
            Some(answer) => Ok(Some(answer)),
            None => open.map(|()| None),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
