//! Payloads on their way to a publishing link, of all hubs, in one order.

use std::sync::Arc;

use bytes::Bytes;
use hubline_backplane::{Frames, PublishError, Published, Target};
use hubline_protocol::ConnectionId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::hub::Hub;
use super::posted::Ticket;

/// Payloads that wait for the link. Full: publishers wait.
const LIMIT_PAYLOADS: usize = 1024;
/// The same in bytes, with those that wait for the answer or their echo, or are being given to this instance's own
/// connections instead; a single payload may have any size.
const LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// What a payload counts at least, for what it takes besides its bytes.
const LEAST_BYTES: usize = 1024;

/// One payload for one channel, from the call of the hub until it is known what became of it.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) channel: Arc<str>,
    /// Without the id that a numbered one gets behind it.
    pub(super) payload: Bytes,
    pub(super) number: Number,
    pub(super) content: Content,
    pub(super) room: Room,
}

/// What a payload takes of a queue, given back when this is dropped.
pub(super) type Room = OwnedSemaphorePermit;

/// The place of a payload among the publications on its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// It is no invocation.
    None,
    /// It is given when it leaves the queue.
    Due,
    Given(u64),
}

/// What a payload is, and who learns what became of it.
#[derive(Debug)]
pub(super) enum Content {
    /// For connections of every instance.
    Message(Message),
    /// What instances say to each other: a group command, an ack, an invocation that returns a result, its completion.
    /// It means nothing later.
    Internal(oneshot::Sender<Fate>),
}

/// What is known of a message besides its payload, for the case that Redis does not bring it back.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) hub: Arc<Hub>,
    pub(super) target: Target,
    pub(super) excluded: Arc<[ConnectionId]>,
    pub(super) frames: Frames,
    pub(super) confirmation: Confirmation,
    /// How often it has followed its channel to another node.
    pub(super) redirections: usize,
    /// When the hub has sent it, if it is to be measured.
    pub(super) measured_from: Option<Instant>,
}

/// Whether the call that has sent a message waits to learn what became of it.
#[derive(Debug)]
pub(super) enum Confirmation {
    Awaited(oneshot::Sender<Published>),
    NotAwaited { _ticket: Ticket },
    Given,
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
    outgoing: mpsc::Sender<Box<Outgoing>>,
}

/// Where they come out.
pub(super) type QueueEnd = mpsc::Receiver<Box<Outgoing>>;

impl Outgoing {
    pub(super) fn kind(&self) -> Kind {
        match self.content {
            Content::Message(_) => Kind::Message,
            Content::Internal(_) => Kind::Internal,
        }
    }

    /// Its number, which it gets now if it has none yet; `None` if it needs none.
    pub(super) fn number(&mut self, next: impl FnOnce(&Arc<str>) -> u64) -> Option<u64> {
        if self.number == Number::Due {
            self.number = Number::Given(next(&self.channel));
        }
        match self.number {
            Number::Given(number) => Some(number),
            Number::None | Number::Due => None,
        }
    }
}

impl Message {
    /// Tells the call that has sent it, which may have stopped waiting. Once: what is told later is not heard.
    pub(super) fn published(&mut self, published: Published) {
        if let Confirmation::Awaited(call) = std::mem::replace(&mut self.confirmation, Confirmation::Given) {
            _ = call.send(published);
        }
    }
}

impl Queue {
    pub(super) fn new() -> (Self, QueueEnd) {
        let (outgoing, end) = mpsc::channel(LIMIT_PAYLOADS);
        (Self { room: Arc::new(Semaphore::new(LIMIT_BYTES)), outgoing }, end)
    }

    /// Waits for room for a payload.
    pub(super) async fn room(&self, channel: &str, payload: &[u8]) -> Result<Room, PublishError> {
        let bytes = (channel.len() + payload.len()).clamp(LEAST_BYTES, LIMIT_BYTES);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| shut_down())
    }

    /// Waits for a place.
    pub(super) async fn put(&self, outgoing: Box<Outgoing>) -> Result<(), PublishError> {
        self.outgoing.send(outgoing).await.map_err(|_| shut_down())
    }
}

pub(super) fn shut_down() -> PublishError {
    PublishError::Refused("the backplane has been shut down".to_owned())
}
