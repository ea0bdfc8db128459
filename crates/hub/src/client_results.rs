//! Client results: invocations of a client's method whose result the server waits for.

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

/// The invocations of clients of one hub that wait for their completion.
#[derive(Debug)]
pub(crate) struct ClientResults {
    /// What every invocation id of this instance begins with, so that no two instances have one in common.
    prefix: Box<str>,
    begun: AtomicU64,
    pending: Mutex<HashMap<Box<str>, PendingInvocation>>,
}

struct PendingInvocation {
    connection: ConnectionId,
    /// Whether the connection is on another instance, which sends its completion.
    is_elsewhere: bool,
    complete: Box<dyn FnOnce(ClientResult<'_>) -> Option<ReplySent> + Send>,
}

/// Ends when another instance has been sent the completion that it waits for.
pub(crate) type ReplySent = JoinHandle<()>;

enum ClientResult<'a> {
    Completion(CompletionResult<'a>),
    Disconnected,
}

/// What became of a completion that a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CompletionFate {
    Expected,
    /// No invocation with its id is pending, or none is any more.
    Unknown,
    /// The invocation with its id was sent to another connection.
    OfAnotherConnection,
}

/// The result of an invocation of a client, as it is waited for. Dropping it gives the result up.
pub(crate) struct PendingResult<T> {
    results: Arc<ClientResults>,
    pub(crate) invocation_id: Box<str>,
    result: oneshot::Receiver<Result<T, InvokeError>>,
}

impl ClientResults {
    /// Of a hub with other instances or without.
    pub(crate) fn new(is_alone: bool) -> Self {
        let prefix =
            if is_alone { "s".into() } else { format!("s{:x}-", u64::from_be_bytes(random_bytes())).into() };
        Self { prefix, begun: AtomicU64::new(0), pending: Mutex::default() }
    }

    /// Registers an invocation of a connection on this instance.
    pub(crate) fn begin<T: DeserializeOwned + Send + 'static>(
        self: &Arc<Self>,
        connection: &Outbox,
        naming: Naming,
    ) -> PendingResult<T> {
        connection.mark_invoked();
        self.register(&connection.connection_id, false, naming)
    }

    /// Registers an invocation of a connection on another instance.
    pub(crate) fn begin_elsewhere<T: DeserializeOwned + Send + 'static>(
        self: &Arc<Self>,
        connection: &ConnectionId,
        naming: Naming,
    ) -> PendingResult<T> {
        self.register(connection, true, naming)
    }

    /// Registers an invocation under an id that no client chooses for an upload.
    fn register<T: DeserializeOwned + Send + 'static>(
        self: &Arc<Self>,
        connection: &ConnectionId,
        is_elsewhere: bool,
        naming: Naming,
    ) -> PendingResult<T> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let invocation_id: Box<str> = format!("{}{number}", self.prefix).into();
        let (send, received) = oneshot::channel();
        let id = connection.clone();
        let complete = move |result: ClientResult<'_>| {
            // It fails if the result has been given up.
            _ = send.send(match result {
                ClientResult::Completion(result) => read(result, naming),
                ClientResult::Disconnected => Err(InvokeError::Disconnected(id)),
            });
            None
        };
        let invocation =
            PendingInvocation { connection: connection.clone(), is_elsewhere, complete: Box::new(complete) };
        self.lock().insert(invocation_id.clone(), invocation);
        PendingResult { results: Arc::clone(self), invocation_id, result: received }
    }

    /// Registers an invocation that another instance makes of a connection on this one; `send` sends the completion back.
    pub(crate) fn forward(
        &self,
        connection: &Outbox,
        id: Box<str>,
        send: impl FnOnce(Encoded) -> Option<ReplySent> + Send + 'static,
    ) {
        connection.mark_invoked();
        let (protocol, invocation_id) = (connection.protocol, id.clone());
        let complete = move |result: ClientResult<'_>| {
            let outcome = match &result {
                ClientResult::Completion(CompletionResult::Error(text)) => CompletionOutcome::Error(text),
                ClientResult::Completion(CompletionResult::Void) => CompletionOutcome::Void,
                ClientResult::Completion(CompletionResult::Value(value)) => match value.encoded() {
                    // It ends before it begins; with it the completion could not be read.
                    [] => CompletionOutcome::Void,
                    encoded => CompletionOutcome::Value(encoded),
                },
                ClientResult::Disconnected => CompletionOutcome::Error("Connection disconnected."),
            };
            send(encode::completion(protocol, &invocation_id, outcome))
        };
        let connection = connection.connection_id.clone();
        let invocation = PendingInvocation { connection, is_elsewhere: false, complete: Box::new(complete) };
        // One that is pending is of this instance: the connection has just moved here, and completes it without a detour.
        self.lock().entry(id).or_insert(invocation);
    }

    /// Completes an invocation with what a connection on another instance sent.
    pub(crate) fn complete_from_elsewhere(&self, id: &str, result: CompletionResult<'_>) {
        let mut open = self.lock();
        if open.get(id).is_some_and(|invocation| invocation.is_elsewhere)
            && let Some(invocation) = open.remove(id)
        {
            drop(open);
            (invocation.complete)(ClientResult::Completion(result));
        }
    }

    /// Whether an invocation with this id is pending.
    pub(crate) fn is_pending(&self, id: &str) -> bool {
        self.lock().contains_key(id)
    }

    /// Completes an invocation with what a connection on this instance sent.
    pub(crate) fn complete(&self, id: &str, from: &Outbox, result: CompletionResult<'_>) -> CompletionFate {
        let mut open = self.lock();
        let Some(invocation) = open.get(id) else { return CompletionFate::Unknown };
        if invocation.connection != from.connection_id {
            return CompletionFate::OfAnotherConnection;
        }
        let invocation = open.remove(id);
        drop(open);
        if let Some(invocation) = invocation {
            (invocation.complete)(ClientResult::Completion(result));
        }
        CompletionFate::Expected
    }

    /// Whether a result of this connection is waited for.
    pub(crate) fn is_awaited(&self, outbox: &Outbox) -> bool {
        outbox.was_invoked()
            && self.lock().values().any(|invocation| invocation.connection == outbox.connection_id)
    }

    /// Fails the invocations of a connection that has ended and takes no messages any more. Returns the completions on their way
    /// to other instances.
    pub(crate) fn connection_ended(&self, outbox: &Outbox) -> Vec<ReplySent> {
        if !outbox.was_invoked() {
            return Vec::new();
        }
        let connection = &outbox.connection_id;
        let ended: Vec<PendingInvocation> = self
            .lock()
            .extract_if(|_, invocation| invocation.connection == *connection)
            .map(|(_, q)| q)
            .collect();
        ended.into_iter().filter_map(|invocation| (invocation.complete)(ClientResult::Disconnected)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, PendingInvocation>> {
        self.pending.lock()
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

impl<T> PendingResult<T> {
    /// Waits for the result.
    pub(crate) async fn result(mut self) -> Result<T, InvokeError> {
        // The sender is dropped with its invocation alone, and that is taken out with a result alone.
        (&mut self.result).await.unwrap_or(Err(InvokeError::Canceled))
    }
}

impl<T> Drop for PendingResult<T> {
    fn drop(&mut self) {
        self.results.lock().remove(&self.invocation_id);
    }
}

impl std::fmt::Debug for PendingInvocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingInvocation").field("connection", &self.connection).finish_non_exhaustive()
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
            assert_eq!(results.complete("q", &connection, answer), CompletionFate::Expected);
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
        let here = results.begin::<u8>(&connection, Naming::Serde);
        let elsewhere = results.begin_elsewhere::<u8>(&"d".into(), Naming::Serde);
        for id in [&here.invocation_id, &elsewhere.invocation_id] {
            results.complete_from_elsewhere(id, CompletionResult::Value(ClientValue::MessagePack(&[42])));
        }
        assert_eq!(elsewhere.result().await.unwrap(), 42);
        assert!(results.lock().contains_key(&here.invocation_id));
    }

    #[tokio::test]
    async fn a_question_that_comes_back_to_its_own_instance_is_answered_once() {
        let (results, connection) = (Arc::new(ClientResults::new(false)), connection());
        let asked = results.begin_elsewhere::<u8>(&connection.connection_id, Naming::Serde);
        results.forward(&connection, asked.invocation_id.clone(), |_| panic!("no detour"));
        let answer = CompletionResult::Value(ClientValue::MessagePack(&[42]));
        assert_eq!(results.complete(&asked.invocation_id, &connection, answer), CompletionFate::Expected);
        assert_eq!(asked.result().await.unwrap(), 42);
    }
}
