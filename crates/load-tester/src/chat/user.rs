//! One user with one connection, which comes back by itself and asks for what it has missed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::history::{Conversation, Event, Way};
use super::token;
use crate::connection::{CLOSE, COMPLETION, INVOCATION, PING_INTERVAL, Receive};
use crate::framing::{RECORD_SEPARATOR, push_data};
use crate::messages::Protocol;
use crate::target::Target;
use crate::web_socket::WebSocket;

/// How long a call may take until the connection is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Before the next attempt to connect, or to send what was refused.
const RETRY: Duration = Duration::from_millis(300);
/// Messages asked for in one `GetSince`.
const PAGE: u32 = 100;

/// Where events of all users are kept, those of each user in order.
pub(crate) type Journal = Arc<Mutex<Vec<Event>>>;

/// What a user does.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) targets: Arc<[Target]>,
    /// The instance it connects to first.
    pub(crate) first_target: usize,
    pub(crate) jwt_key: Arc<str>,
    pub(crate) rooms: Vec<String>,
    /// Whom it writes to in turn.
    pub(crate) conversations: Vec<(Conversation, To)>,
    pub(crate) first_send: Instant,
    pub(crate) interval: Duration,
    pub(crate) stop_sending: Instant,
    /// Nobody sends before everybody is in his rooms.
    pub(crate) all_joined: Arc<Barrier>,
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
}

pub(crate) struct User {
    plan: Plan,
    journal: Journal,
    outcome: Outcome,
    cursor: Option<String>,
    joined: bool,
    number: u64,
    /// A message that is not confirmed yet.
    unconfirmed: Option<(Conversation, To, String, Instant)>,
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

/// A connection and what came beside the answers it was waiting for.
struct Session {
    socket: WebSocket,
    invocations: u64,
    events: VecDeque<Message>,
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
                Err(error) => self.outcome.last_error = Some(format!("{error:#}")),
            }
            if Instant::now() > self.plan.give_up {
                let last = self.outcome.last_error.take().unwrap_or_default();
                bail!("{} did not finish: {last}", self.plan.name);
            }
            self.outcome.reconnects += 1;
            attempt += 1;
            sleep(RETRY).await;
        }
    }

    /// One connection, to its end or the user's.
    async fn session(&mut self, target: &Target) -> anyhow::Result<()> {
        let token = token::sign(&self.plan.jwt_key, &self.plan.name);
        let path = target.path_with("", &format!("access_token={token}"));
        let mut session = Session::open(&Target { path, ..target.clone() }).await?;
        self.insist(&mut session, "EnableEvents", &json!([])).await?;
        for room in self.plan.rooms.clone() {
            self.insist(&mut session, "JoinRoom", &json!([room])).await?;
            if !self.joined {
                self.journal.lock().push(Event::Joined { user: self.plan.name.clone(), room });
            }
        }
        if !std::mem::replace(&mut self.joined, true) {
            timeout(ANSWER_TIMEOUT, self.plan.all_joined.wait()).await.context("others did not join")?;
        }
        self.catch_up(&mut session).await?;
        while Instant::now() < self.plan.stop_sending || self.unconfirmed.is_some() {
            if Instant::now() > self.plan.give_up {
                bail!("a message is not confirmed");
            }
            let is_due = self.unconfirmed.is_some() || Instant::now() >= self.next_send;
            if is_due {
                self.send(&mut session).await?;
            } else {
                session.listen(self.next_send.min(self.plan.stop_sending)).await?;
            }
            self.saw(&mut session);
        }
        // What others confirm until then may still come.
        while Instant::now() < self.plan.give_up - ANSWER_TIMEOUT {
            session.listen(self.plan.give_up - ANSWER_TIMEOUT).await?;
            self.saw(&mut session);
        }
        self.catch_up(&mut session).await?;
        session.socket.close();
        Ok(())
    }

    async fn send(&mut self, session: &mut Session) -> anyhow::Result<()> {
        let (conversation, to, key, since) = match self.unconfirmed.take() {
            Some(unconfirmed) => unconfirmed,
            None => {
                let conversations = &self.plan.conversations;
                let turn = usize::try_from(self.number)? % conversations.len();
                let (conversation, to) = conversations[turn].clone();
                let key = format!("{}-{}", self.plan.name, self.number);
                self.number += 1;
                self.next_send = (self.next_send + self.plan.interval).max(Instant::now());
                self.journal.lock().push(Event::Sends {
                    user: self.plan.name.clone(),
                    conversation: conversation.clone(),
                    key: key.clone(),
                });
                (conversation, to, key, Instant::now())
            }
        };
        self.unconfirmed = Some((conversation, to.clone(), key.clone(), since));
        let argument = match to {
            To::User(user) => json!([{ "to": user, "text": key, "clientMessageId": key }]),
            To::Room(room) => json!([{ "room": room, "text": key, "clientMessageId": key }]),
        };
        match session.call("Send", argument).await? {
            Ok(answer) => {
                let id = text(answer.get("id").context("an answer without id")?);
                self.journal.lock().push(Event::Confirmed { user: self.plan.name.clone(), key, id });
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
        self.saw(session);
        Ok(())
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

    fn saw(&mut self, session: &mut Session) {
        while let Some(message) = session.events.pop_front() {
            self.note(message, Way::Event);
        }
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
    async fn open(target: &Target) -> anyhow::Result<Self> {
        let socket = WebSocket::open(target, Protocol::Json).await?;
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
                    self.events.push_back(serde_json::from_value(message["arguments"][0].take())?);
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
