//! Asking a client and waiting for its answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hubline_protocol::encode::CompletionOutcome;
use hubline_protocol::{CompletionResult, ConnectionId, Encoded, Naming, encode, random_bytes};
use parking_lot::{Mutex, MutexGuard};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::InvokeError;
use crate::dot_net::{mismatch, type_name};
use crate::outbox::Outbox;

/// The questions of a hub that no answer has come for.
#[derive(Debug)]
pub(crate) struct ClientResults {
    /// In front of every id from here, so that those of other instances are others.
    name: Box<str>,
    asked: AtomicU64,
    open: Mutex<HashMap<Box<str>, Question>>,
}

struct Question {
    connection: ConnectionId,
    /// Asked through another instance, which sends the answer.
    is_elsewhere: bool,
    answer: Box<dyn FnOnce(Answer<'_>) -> Option<OnItsWay> + Send>,
}

/// A Completion that another instance gets; over when it is sent.
pub(crate) type OnItsWay = JoinHandle<()>;

enum Answer<'a> {
    Completion(CompletionResult<'a>),
    Disconnected,
}

/// What an answer met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Met {
    Waiting,
    /// Nobody waits for it, or nobody does any more.
    Nobody,
    /// Another connection was asked.
    Another,
}

/// A question that was asked; dropping it means that the answer is not wanted any more.
pub(crate) struct Asked<T> {
    results: Arc<ClientResults>,
    pub(crate) invocation_id: Box<str>,
    answer: oneshot::Receiver<Result<T, InvokeError>>,
}

impl ClientResults {
    /// Of a hub with other instances or without.
    pub(crate) fn new(is_alone: bool) -> Self {
        let name =
            if is_alone { "s".into() } else { format!("s{:x}-", u64::from_be_bytes(random_bytes())).into() };
        Self { name, asked: AtomicU64::new(0), open: Mutex::default() }
    }

    /// Opens a question to a connection of this instance.
    pub(crate) fn ask<T: DeserializeOwned + Send + 'static>(
        self: &Arc<Self>,
        connection: &Outbox,
        naming: Naming,
    ) -> Asked<T> {
        connection.is_asked();
        self.open(&connection.connection_id, false, naming)
    }

    /// Opens a question to a connection of another instance.
    pub(crate) fn ask_elsewhere<T: DeserializeOwned + Send + 'static>(
        self: &Arc<Self>,
        connection: &ConnectionId,
        naming: Naming,
    ) -> Asked<T> {
        self.open(connection, true, naming)
    }

    /// Its invocation id is one that no client can have chosen for a stream of its own.
    fn open<T: DeserializeOwned + Send + 'static>(
        self: &Arc<Self>,
        connection: &ConnectionId,
        is_elsewhere: bool,
        naming: Naming,
    ) -> Asked<T> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let invocation_id: Box<str> = format!("{}{number}", self.name).into();
        let (send, answer) = oneshot::channel();
        let id = connection.clone();
        let decide = move |answer: Answer<'_>| {
            // Whoever asked may have gone.
            _ = send.send(match answer {
                Answer::Completion(result) => read(result, naming),
                Answer::Disconnected => Err(InvokeError::Disconnected(id)),
            });
            None
        };
        let question = Question { connection: connection.clone(), is_elsewhere, answer: Box::new(decide) };
        self.lock().insert(invocation_id.clone(), question);
        Asked { results: Arc::clone(self), invocation_id, answer }
    }

    /// Another instance asks a connection of this one; `send` takes the Completion back to it.
    pub(crate) fn forward(
        &self,
        connection: &Outbox,
        id: Box<str>,
        send: impl FnOnce(Encoded) -> Option<OnItsWay> + Send + 'static,
    ) {
        connection.is_asked();
        let (protocol, invocation_id) = (connection.protocol, id.clone());
        let answer = move |answer: Answer<'_>| {
            let outcome = match &answer {
                Answer::Completion(CompletionResult::Error(text)) => CompletionOutcome::Error(text),
                Answer::Completion(CompletionResult::Void) => CompletionOutcome::Void,
                Answer::Completion(CompletionResult::Value(value)) => match value.encoded() {
                    // It ends before it begins; with it the completion could not be read.
                    [] => CompletionOutcome::Void,
                    encoded => CompletionOutcome::Value(encoded),
                },
                Answer::Disconnected => CompletionOutcome::Error("Connection disconnected."),
            };
            send(encode::completion(protocol, &invocation_id, outcome))
        };
        let connection = connection.connection_id.clone();
        let question = Question { connection, is_elsewhere: false, answer: Box::new(answer) };
        // An open one is our own: the connection has just moved here, and answers without a detour.
        self.lock().entry(id).or_insert(question);
    }

    /// Brings the answer of another instance's connection.
    pub(crate) fn answer_from_afar(&self, id: &str, result: CompletionResult<'_>) {
        let mut open = self.lock();
        if open.get(id).is_some_and(|question| question.is_elsewhere)
            && let Some(question) = open.remove(id)
        {
            drop(open);
            (question.answer)(Answer::Completion(result));
        }
    }

    /// Whether somebody waits for an answer of this id.
    pub(crate) fn is_open(&self, id: &str) -> bool {
        self.lock().contains_key(id)
    }

    /// Brings an answer from a connection.
    pub(crate) fn answer(&self, id: &str, from: &Outbox, result: CompletionResult<'_>) -> Met {
        let mut open = self.lock();
        let Some(question) = open.get(id) else { return Met::Nobody };
        if question.connection != from.connection_id {
            return Met::Another;
        }
        let question = open.remove(id);
        drop(open);
        if let Some(question) = question {
            (question.answer)(Answer::Completion(result));
        }
        Met::Waiting
    }

    /// Fails what the connection was asked; it must refuse messages already. Returns what other instances get.
    pub(crate) fn connection_ended(&self, outbox: &Outbox) -> Vec<OnItsWay> {
        if !outbox.was_asked() {
            return Vec::new();
        }
        let connection = &outbox.connection_id;
        let ended: Vec<Question> = self
            .lock()
            .extract_if(|_, question| question.connection == *connection)
            .map(|(_, q)| q)
            .collect();
        ended.into_iter().filter_map(|question| (question.answer)(Answer::Disconnected)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Question>> {
        self.open.lock()
    }
}

fn read<T: DeserializeOwned>(result: CompletionResult<'_>, naming: Naming) -> Result<T, InvokeError> {
    match result {
        CompletionResult::Error(text) => Err(InvokeError::Client(text.into_owned())),
        CompletionResult::Void => Err(InvokeError::NoResult),
        CompletionResult::Value(value) => value.decode(naming).map_err(|error| InvokeError::WrongType {
            expected: type_name::<T>(),
            cause: mismatch::<T>(value, &error),
        }),
    }
}

impl<T> Asked<T> {
    /// Waits for the answer.
    pub(crate) async fn answer(mut self) -> Result<T, InvokeError> {
        // The sender goes only with its question, and that only with an answer.
        (&mut self.answer).await.unwrap_or(Err(InvokeError::Canceled))
    }
}

impl<T> Drop for Asked<T> {
    fn drop(&mut self) {
        self.results.lock().remove(&self.invocation_id);
    }
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question").field("connection", &self.connection).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use hubline_protocol::{ClientValue, HubMessage, HubProtocol, framing};

    use super::*;
    use crate::HubOptions;

    fn connection() -> Outbox {
        Outbox::new("c".into(), HubProtocol::MessagePack, &HubOptions::default())
    }

    #[test]
    fn every_answer_for_another_instance_becomes_a_completion_that_can_be_read() {
        let (results, connection) = (ClientResults::new(false), connection());
        let (send, sent) = mpsc::channel();
        let forward = |id: &str| {
            let send = send.clone();
            results.forward(&connection, id.into(), move |completion| {
                send.send(completion).unwrap();
                None
            });
        };
        let answers = [
            (CompletionResult::Value(ClientValue::MessagePack(&[42])), "value"),
            (CompletionResult::Value(ClientValue::MessagePack(&[])), "void"),
            (CompletionResult::Void, "void"),
            (CompletionResult::Error("no".into()), "no"),
        ];
        for (answer, expected) in answers {
            forward("q");
            assert_eq!(results.answer("q", &connection, answer), Met::Waiting);
            assert_eq!(told(&sent.try_recv().unwrap()), ("q".to_owned(), expected.to_owned()));
        }
        forward("left open");
        results.connection_ended(&connection);
        let (id, error) = told(&sent.try_recv().unwrap());
        assert_eq!((&*id, &*error), ("left open", "Connection disconnected."));
        assert!(results.lock().is_empty());
    }

    /// The id and the error, or what else came.
    fn told(completion: &Encoded) -> (String, String) {
        let protocol = HubProtocol::MessagePack;
        let framed = framing::split(protocol, completion.payload(), usize::MAX).unwrap().unwrap();
        let Ok(HubMessage::Completion(completion)) = HubMessage::read(protocol, framed.message) else {
            panic!("no completion");
        };
        let result = match completion.result {
            CompletionResult::Value(_) => "value".to_owned(),
            CompletionResult::Void => "void".to_owned(),
            CompletionResult::Error(text) => text.into_owned(),
        };
        (completion.invocation_id.to_string(), result)
    }

    #[tokio::test]
    async fn only_what_was_asked_elsewhere_is_answered_from_afar() {
        let (results, connection) = (Arc::new(ClientResults::new(false)), connection());
        let here = results.ask::<u8>(&connection, Naming::Serde);
        let elsewhere = results.ask_elsewhere::<u8>(&"d".into(), Naming::Serde);
        for id in [&here.invocation_id, &elsewhere.invocation_id] {
            results.answer_from_afar(id, CompletionResult::Value(ClientValue::MessagePack(&[42])));
        }
        assert_eq!(elsewhere.answer().await.unwrap(), 42);
        assert!(results.lock().contains_key(&here.invocation_id));
    }

    #[tokio::test]
    async fn a_question_that_comes_back_to_its_own_instance_is_answered_once() {
        let (results, connection) = (Arc::new(ClientResults::new(false)), connection());
        let asked = results.ask_elsewhere::<u8>(&connection.connection_id, Naming::Serde);
        results.forward(&connection, asked.invocation_id.clone(), |_| panic!("no detour"));
        let answer = CompletionResult::Value(ClientValue::MessagePack(&[42]));
        assert_eq!(results.answer(&asked.invocation_id, &connection, answer), Met::Waiting);
        assert_eq!(asked.answer().await.unwrap(), 42);
    }
}
