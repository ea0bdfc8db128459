//! What a client has received and no test has asked for yet, and the task that receives it.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hubline_pipe::{MemoryClient, MemorySender};
use hubline_protocol::encode::{self, CompletionOutcome};
use hubline_protocol::{CompletionResult, Dialect, HubMessage, Invocation, framing};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Closed;
use super::arguments::Received;
use super::handler::ErasedHandler;

/// Shared by the client and the task that receives for it.
pub(super) struct Inbox {
    pub(super) dialect: Dialect,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
pub(super) struct State {
    /// Calls of the client's methods that no handler took, oldest first.
    pub(super) calls: VecDeque<Call>,
    /// What has come for the client's own calls, by invocation id.
    pub(super) replies: HashMap<Box<str>, VecDeque<Reply>>,
    pub(super) handlers: HashMap<String, Arc<dyn ErasedHandler>>,
    pub(super) closed: Option<Closed>,
    /// What went wrong where no test could see it: a handler panicked, or was given arguments that do not fit.
    pub(super) failure: Option<String>,
}

/// A call of a client's method that is to be handled, or at least answered.
struct Question {
    id: Option<Box<str>>,
    call: Call,
    handler: Option<Arc<dyn ErasedHandler>>,
}

/// A call of a client's method.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: Box<str>,
    pub(super) arguments: Received,
}

/// What a call of the client is told.
#[derive(Debug)]
pub(super) enum Reply {
    Item(Received),
    Ended(Result<Received, String>),
}

impl Inbox {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, state: Mutex::default(), changed: Notify::new() }
    }

    pub(super) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.lock());
        self.changed.notify_waiters();
        changed
    }

    /// Waits until `take` finds what it looks for.
    pub(super) async fn wait_for<T>(&self, mut take: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let taken = take(&mut self.state.lock());
            if let Some(taken) = taken {
                return taken;
            }
            changed.await;
        }
    }

    /// Receives until the server closes the connection or goes.
    pub(super) async fn receive(self: Arc<Self>, mut client: MemoryClient) {
        let sender = client.sender();
        let mut answering = FuturesUnordered::new();
        loop {
            tokio::select! {
                frame = client.receive() => match frame {
                    Some(frame) => {
                        if let Some(question) = self.take(&frame) {
                            answering.push(self.answer(&sender, question));
                        }
                    }
                    None => break,
                },
                Some(()) = answering.next() => {}
            }
        }
        self.update(|state| {
            state.closed.get_or_insert_with(|| Closed {
                error: Some("the transport was closed without a Close message".to_owned()),
                allow_reconnect: true,
            });
        });
    }

    /// Takes one message; a call that something is to be done about is returned.
    fn take(&self, frame: &Bytes) -> Option<Question> {
        let Dialect { protocol, naming } = self.dialect;
        let framed = framing::split(protocol, frame, usize::MAX);
        let message = framed.ok().flatten().ok_or_else(|| "it is not whole".to_owned());
        let message = message
            .and_then(|framed| HubMessage::read(protocol, framed.message).map_err(|error| error.to_string()));
        match message {
            Ok(HubMessage::Invocation(call)) => return self.take_call(call),
            Ok(HubMessage::StreamItem(item)) => {
                let value = Received::value(protocol, naming, Some(item.item));
                self.reply(&item.invocation_id, Reply::Item(value));
            }
            Ok(HubMessage::Completion(completion)) => {
                let outcome = match completion.result {
                    CompletionResult::Error(error) => Err(error.into_owned()),
                    CompletionResult::Void => Ok(Received::value(protocol, naming, None)),
                    CompletionResult::Value(value) => Ok(Received::value(protocol, naming, Some(value))),
                };
                self.reply(&completion.invocation_id, Reply::Ended(outcome));
            }
            Ok(HubMessage::Close { error, allow_reconnect }) => {
                let closed = Closed { error: error.map(|error| error.into_owned()), allow_reconnect };
                self.update(|state| state.closed = Some(closed));
            }
            Ok(HubMessage::Ping) => {}
            Ok(other) => self.fail(format!("the server sent {other:?}, which no client expects")),
            Err(error) => self.fail(format!("the server sent `{}`: {error}", frame.escape_ascii())),
        }
        None
    }

    fn take_call(&self, call: Invocation<'_>) -> Option<Question> {
        let Dialect { protocol, naming } = self.dialect;
        let Invocation { invocation_id, target, arguments, .. } = call;
        let arguments = match arguments {
            Ok(arguments) => Received::arguments(protocol, naming, &arguments),
            Err(error) => {
                self.fail(format!(
                    "the server called `{target}` with arguments that cannot be read: {error}"
                ));
                return None;
            }
        };
        let (id, call) = (invocation_id.map(Box::from), Call { method: Box::from(&*target), arguments });
        let handler = self.state.lock().handlers.get(&target.to_lowercase()).map(Arc::clone);
        let is_asked = id.is_some();
        if handler.is_none() {
            self.update(|state| state.calls.push_back(call.clone()));
        }
        (handler.is_some() || is_asked).then_some(Question { id, call, handler })
    }

    async fn answer(&self, sender: &MemorySender, question: Question) {
        let Question { id, call, handler } = question;
        let outcome = match handler {
            Some(handler) => self.run(&*handler, &call).await,
            // As the JavaScript client answers where it has no handler.
            None => Some(Err("Client didn't provide a result.".to_owned())),
        };
        match (id, outcome) {
            (Some(id), Some(outcome)) => {
                let outcome = match &outcome {
                    Ok(value) => CompletionOutcome::Value(value),
                    Err(error) => CompletionOutcome::Error(error),
                };
                let completion = encode::completion(self.dialect.protocol, &id, outcome);
                sender.send(completion.payload().to_vec()).await;
            }
            (None, Some(Err(error))) => {
                self.fail(format!("the handler of `{}` failed: {error}", call.method))
            }
            (None, Some(Ok(_))) | (_, None) => {}
        }
    }

    /// What a handler makes of a call; `None` if that fails the test.
    async fn run(&self, handler: &dyn ErasedHandler, call: &Call) -> Option<Result<Vec<u8>, String>> {
        let Call { method, arguments } = call;
        let running = async { Ok::<_, String>(handler.call(arguments, self.dialect)?.await) };
        let failure = match AssertUnwindSafe(running).catch_unwind().await {
            Ok(Ok(result)) => return Some(result.map_err(|error| error.to_string())),
            Ok(Err(error)) => format!("cannot take `{method}({arguments})`: {error}"),
            Err(_) => "panicked".to_owned(),
        };
        self.fail(format!("the handler of `{method}` {failure}"));
        None
    }

    /// For whoever called; nobody may wait for it any more.
    fn reply(&self, id: &str, reply: Reply) {
        self.update(|state| {
            if let Some(replies) = state.replies.get_mut(id) {
                replies.push_back(reply);
            }
        });
    }

    /// The first failure counts.
    fn fail(&self, failure: String) {
        self.update(|state| state.failure.get_or_insert(failure).len());
    }

    pub(super) fn take_failure(&self) -> Option<String> {
        self.state.lock().failure.take()
    }

    /// What came instead of what a test waits for.
    pub(super) fn came_instead(&self) -> String {
        self.state.lock().came_instead()
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inbox")
    }
}

impl State {
    /// Takes the oldest call of a method.
    pub(super) fn take_call(&mut self, method: &str) -> Option<Call> {
        let at = self.calls.iter().position(|call| call.method.eq_ignore_ascii_case(method))?;
        self.calls.remove(at)
    }

    pub(super) fn came_instead(&self) -> String {
        let mut text = match self.calls.len() {
            0 => "nothing came".to_owned(),
            _ => "came instead:".to_owned(),
        };
        for Call { method, arguments } in &self.calls {
            _ = write!(text, "\n    {method}({arguments})");
        }
        if let Some(closed) = &self.closed {
            _ = write!(text, "\nthe server has closed the connection: {closed}");
        }
        text
    }
}
