//! Payloads on their way to a publishing link, of all hubs, in one order.

use std::sync::Arc;

use bytes::Bytes;
use hubline_backplane::PublishError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Payloads that wait for the link or for its answer. Full: publishers wait.
const LIMIT_PAYLOADS: usize = 1024;
/// The same in bytes; a single payload may have any size.
const LIMIT_BYTES: u32 = 16 * 1024 * 1024;

/// One payload for one channel.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) channel: Arc<str>,
    pub(super) payload: Bytes,
    pub(super) kind: Kind,
    done: oneshot::Sender<Fate>,
    _bytes: OwnedSemaphorePermit,
}

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// For connections of every instance.
    Message,
    /// What instances say to each other: a command, an ack, a question, an answer. It means nothing later.
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
    /// Whoever published may have stopped waiting.
    pub(super) fn finish(self, fate: Fate) {
        _ = self.done.send(fate);
    }
}

impl Queue {
    pub(super) fn new() -> (Self, Waiting) {
        let (outgoing, waiting) = mpsc::channel(LIMIT_PAYLOADS);
        (Self { room: Arc::new(Semaphore::new(LIMIT_BYTES as usize)), outgoing }, waiting)
    }

    /// Waits for room, and for what becomes of it.
    pub(super) async fn send(
        &self,
        kind: Kind,
        channel: Arc<str>,
        payload: Bytes,
    ) -> Result<Fate, PublishError> {
        let shut_down = || PublishError::Refused("the backplane has been shut down".to_owned());
        let bytes = u32::try_from(channel.len() + payload.len()).unwrap_or(LIMIT_BYTES).min(LIMIT_BYTES);
        let bytes = Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| shut_down())?;
        let (done, fate) = oneshot::channel();
        let outgoing = Outgoing { channel, payload, kind, done, _bytes: bytes };
        self.outgoing.send(outgoing).await.map_err(|_| shut_down())?;
        fate.await.map_err(|_| shut_down())
    }
}

/// Gives back whatever is in the queue or comes. Ends with it.
pub(super) async fn hand_back(waiting: &mut Waiting) {
    while let Some(outgoing) = waiting.recv().await {
        outgoing.finish(Fate::NotSent);
    }
}
