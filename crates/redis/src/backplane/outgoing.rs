//! Payloads on their way to a publishing link, of all hubs, in one order.

use std::sync::Arc;

use bytes::Bytes;
use hubline_backplane::PublishError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::message::Message;

/// Payloads that wait for the link or for its answer. Full: publishers wait.
const LIMIT_PAYLOADS: usize = 1024;
/// The same in bytes, with those that are being given to this instance's own connections instead; a single payload may
/// have any size.
const LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// What a payload counts at least, for what it takes besides its bytes.
const LEAST_BYTES: usize = 1024;

/// One payload for one channel.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) channel: Arc<str>,
    pub(super) payload: Bytes,
    pub(super) content: Content,
    pub(super) room: Room,
}

/// What a payload takes of a queue, given back when this is dropped.
pub(super) type Room = OwnedSemaphorePermit;

/// What a payload is, and who learns what became of it.
#[derive(Debug)]
pub(super) enum Content {
    /// For connections of every instance.
    Message(Box<Message>),
    /// What instances say to each other: a command, an ack, a question, an answer. It means nothing later.
    Internal(oneshot::Sender<Fate>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Internal,
}

/// What became of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// Redis has it; so many instances listened.
    Taken { receivers: u64 },
    /// Redis answered with this error.
    Refused(String),
    /// It was written, and the answer did not come. No echo of it will be delivered here.
    Unanswered,
    /// It was not written, not whole.
    NotSent,
}

/// Where payloads are put in.
#[derive(Debug)]
pub(super) struct Queue {
    room: Arc<Semaphore>,
    outgoing: mpsc::Sender<Outgoing>,
}

/// Where they come out.
pub(super) type Waiting = mpsc::Receiver<Outgoing>;

impl Outgoing {
    pub(super) fn kind(&self) -> Kind {
        match self.content {
            Content::Message(_) => Kind::Message,
            Content::Internal(_) => Kind::Internal,
        }
    }
}

impl Queue {
    pub(super) fn new() -> (Self, Waiting) {
        let (outgoing, waiting) = mpsc::channel(LIMIT_PAYLOADS);
        (Self { room: Arc::new(Semaphore::new(LIMIT_BYTES)), outgoing }, waiting)
    }

    /// Waits for room for a payload.
    pub(super) async fn room(&self, channel: &str, payload: &[u8]) -> Result<Room, PublishError> {
        let bytes = (channel.len() + payload.len()).clamp(LEAST_BYTES, LIMIT_BYTES);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| shut_down())
    }

    /// Waits for a place.
    pub(super) async fn put(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        self.outgoing.send(outgoing).await.map_err(|_| shut_down())
    }
}

pub(super) fn shut_down() -> PublishError {
    PublishError::Refused("the backplane has been shut down".to_owned())
}
