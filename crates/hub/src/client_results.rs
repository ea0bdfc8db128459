//! Asking a client and waiting for its answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hubline_protocol::{CompletionResult, ConnectionId, Naming};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::SendError;
use crate::dot_net::{mismatch, type_name};
use crate::outbox::Outbox;

/// Why a client's result did not come.
///
/// The texts are ASP.NET Core's.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// There is no connection of that id.
    #[error("Connection '{0}' does not exist.")]
    NoSuchConnection(ConnectionId),
    /// The connection is not on this instance, and other instances cannot be asked yet.
    #[error("connection '{0}' is not on this instance; only its own instance can ask it")]
    NotHere(ConnectionId),
    /// The connection ended before it answered.
    #[error("Connection '{0}' disconnected.")]
    Disconnected(ConnectionId),
    /// The client answered with an error.
    #[error("{0}")]
    Client(String),
    /// The client answered without a value.
    #[error("Client didn't provide a result.")]
    NoResult,
    /// The client's value is not of the type that was asked for.
    #[error("Error trying to deserialize result to {expected}. {cause}")]
    WrongType {
        /// The type's name.
        expected: &'static str,
        /// What did not fit.
        cause: String,
    },
    /// No answer came in time.
    #[error("Invocation canceled by the server.")]
    Canceled,
    /// A client cannot be asked before it is connected.
    #[error("Client results inside OnConnectedAsync Hub methods are not allowed.")]
    Connecting,
    /// The question could not be sent.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// The questions of a hub that no answer has come for.
#[derive(Debug, Default)]
pub(crate) struct ClientResults {
    asked: AtomicU64,
    open: Mutex<HashMap<Box<str>, Question>>,
}

struct Question {
    connection: ConnectionId,
    answer: Box<dyn FnOnce(Answer<'_>) + Send>,
}

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
    /// Opens a question; its invocation id is one that no client can have chosen for a stream of its own.
    pub(crate) fn ask<T: DeserializeOwned + Send + 'static>(
        self: &Arc<Self>,
        connection: &Outbox,
        naming: Naming,
    ) -> Asked<T> {
        connection.is_asked();
        let connection = &connection.connection_id;
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let invocation_id: Box<str> = format!("s{number}").into();
        let (send, answer) = oneshot::channel();
        let id = connection.clone();
        let decide = move |answer: Answer<'_>| {
            // Whoever asked may have gone.
            _ = send.send(match answer {
                Answer::Completion(result) => read(result, naming),
                Answer::Disconnected => Err(InvokeError::Disconnected(id)),
            });
        };
        let question = Question { connection: connection.clone(), answer: Box::new(decide) };
        self.lock().insert(invocation_id.clone(), question);
        Asked { results: Arc::clone(self), invocation_id, answer }
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

    /// Fails what the connection was asked; it must refuse messages already.
    pub(crate) fn connection_ended(&self, outbox: &Outbox) {
        if !outbox.was_asked() {
            return;
        }
        let connection = &outbox.connection_id;
        let ended: Vec<Question> = self
            .lock()
            .extract_if(|_, question| question.connection == *connection)
            .map(|(_, q)| q)
            .collect();
        for question in ended {
            (question.answer)(Answer::Disconnected);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Question>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
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
