//! Publications on their way to a publishing link, of all hubs, in one order.

use std::sync::Arc;

use bytes::Bytes;
use hubline_backplane::{Publication, PublishError, Published, Reach};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::hub::{Delivery, Done, Hub, Place};
use super::subscriptions::Subscriptions;

/// Publications that wait for the link or for its answer. Full: publishers wait.
const LIMIT_PUBLICATIONS: usize = 1024;
/// The same in bytes; a single publication may have any size.
const LIMIT_BYTES: u32 = 16 * 1024 * 1024;

/// One payload for channels of one node.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) channels: Vec<String>,
    pub(super) payload: Bytes,
    message: Option<Message>,
    done: Done,
    bytes: Option<OwnedSemaphorePermit>,
}

/// What this instance's own connections get if Redis does not bring it back.
#[derive(Debug)]
struct Message {
    hub: Arc<Hub>,
    /// Its targets are those of the channels, in their order.
    publication: Publication,
}

/// What becomes of one.
pub(super) type Outcome = oneshot::Receiver<Result<Published, PublishError>>;

/// Where publications are put in.
#[derive(Debug)]
pub(super) struct Queue {
    room: Arc<Semaphore>,
    outgoing: mpsc::Sender<Outgoing>,
}

/// Where they come out, the first of them in reach.
#[derive(Debug)]
pub(super) struct Waiting {
    queue: mpsc::Receiver<Outgoing>,
    first: Option<Outgoing>,
}

impl Outgoing {
    pub(super) fn message(
        hub: &Arc<Hub>,
        publication: Publication,
        channels: Vec<String>,
        payload: Bytes,
    ) -> (Self, Outcome) {
        Self::new(Some(Message { hub: Arc::clone(hub), publication }), channels, payload)
    }

    /// A payload for one channel that is nobody's message: a command, an ack or an answer.
    pub(super) fn internal(channel: String, payload: Bytes) -> (Self, Outcome) {
        Self::new(None, vec![channel], payload)
    }

    fn new(message: Option<Message>, channels: Vec<String>, payload: Bytes) -> (Self, Outcome) {
        let (done, outcome) = oneshot::channel();
        (Self { channels, payload, message, done, bytes: None }, outcome)
    }

    fn bytes(&self) -> usize {
        self.payload.len() + self.channels.iter().map(String::len).sum::<usize>()
    }

    /// Whoever published may have stopped waiting.
    pub(super) fn finish(self, outcome: Result<Published, PublishError>) {
        let _ = self.done.send(outcome);
    }

    /// Leaves out the first channels, which have been served.
    pub(super) fn forget_first(&mut self, channels: usize) {
        self.channels.drain(..channels);
        if let Some(message) = &mut self.message {
            message.publication.targets.drain(..channels);
        }
    }

    /// Gives it to this instance's own connections; others get it as far as `reach` says.
    ///
    /// # Cancel safety
    /// Not, but see [`Waiting::deliver_here`].
    pub(super) async fn deliver_here(self, subscriptions: &Subscriptions, reach: Reach) {
        let hub = self.hub();
        let place = match &hub {
            Some(hub) => hub.place(self.payload.len()).await,
            None => None,
        };
        self.deliver(place, subscriptions, reach);
    }

    fn hub(&self) -> Option<Arc<Hub>> {
        self.message.as_ref().map(|message| Arc::clone(&message.hub))
    }

    fn deliver(self, place: Option<Place<'_>>, subscriptions: &Subscriptions, reach: Reach) {
        let Some(Message { publication, .. }) = self.message else {
            let _ = self.done.send(Ok(Published { receivers: 0, reach }));
            return;
        };
        if let Some(place) = place {
            let receivers =
                self.channels.iter().filter(|channel| subscriptions.wants(channel)).count() as u64;
            let published = Published { receivers, reach };
            place.put(Delivery::Here { publication, published, done: self.done });
        }
    }
}

impl Queue {
    pub(super) fn new() -> (Self, Waiting) {
        let (outgoing, queue) = mpsc::channel(LIMIT_PUBLICATIONS);
        (
            Self { room: Arc::new(Semaphore::new(LIMIT_BYTES as usize)), outgoing },
            Waiting { queue, first: None },
        )
    }

    /// Waits for room. An error means that the backplane has been shut down.
    pub(super) async fn put(&self, mut outgoing: Outgoing) -> Result<(), PublishError> {
        let shut_down = || PublishError::Refused("the backplane has been shut down".to_owned());
        let bytes = u32::try_from(outgoing.bytes()).unwrap_or(LIMIT_BYTES).min(LIMIT_BYTES);
        let bytes = Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| shut_down())?;
        outgoing.bytes = Some(bytes);
        self.outgoing.send(outgoing).await.map_err(|_| shut_down())
    }
}

impl Waiting {
    /// The first one.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn next(&mut self) -> Option<Outgoing> {
        match self.first.take() {
            Some(first) => Some(first),
            None => self.queue.recv().await,
        }
    }

    /// The first one, if it is there already.
    pub(super) fn try_next(&mut self) -> Option<Outgoing> {
        self.first.take().or_else(|| self.queue.try_recv().ok())
    }

    /// Gives every one of them to this instance's own connections. Ends with the queue.
    ///
    /// # Cancel safety
    /// Safe: one that has no place in its inbox yet stays the first.
    pub(super) async fn deliver_here(&mut self, subscriptions: &Subscriptions) {
        while let Some(first) = self.next().await {
            let (hub, bytes) = (first.hub(), first.payload.len());
            self.first = Some(first);
            let place = match &hub {
                Some(hub) => hub.place(bytes).await,
                None => None,
            };
            if let Some(first) = self.first.take() {
                first.deliver(place, subscriptions, Reach::ThisInstance);
            }
        }
    }
}
