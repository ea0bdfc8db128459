//! Publications on their way to the publishing link, of all hubs, in one order.

use std::sync::Arc;

use hubline_backplane::{Frames, Publication, PublishError, Published};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::hub::{Delivery, Done, Hub};
use super::subscriptions::Subscriptions;

/// Publications that wait for the link or for its answer. Full: publishers wait.
const LIMIT_PUBLICATIONS: usize = 1024;
/// The same in bytes; a single publication may have any size.
const LIMIT_BYTES: u32 = 16 * 1024 * 1024;

/// One publication.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) hub: Arc<Hub>,
    pub(super) publication: Publication,
    /// Of the publication's targets, in their order.
    pub(super) channels: Vec<String>,
    pub(super) payload: Vec<u8>,
    pub(super) done: Done,
    bytes: Option<OwnedSemaphorePermit>,
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
    pub(super) fn new(
        hub: &Arc<Hub>,
        publication: Publication,
        channels: Vec<String>,
        payload: Vec<u8>,
    ) -> (Self, Outcome) {
        let (done, outcome) = oneshot::channel();
        (Self { hub: Arc::clone(hub), publication, channels, payload, done, bytes: None }, outcome)
    }

    /// A payload for one channel that is nobody's message: a command, an ack or an answer.
    pub(super) fn internal(hub: &Arc<Hub>, channel: String, payload: Vec<u8>) -> (Self, Outcome) {
        let nobody = Publication {
            targets: Vec::new(),
            excluded: Arc::default(),
            frames: Frames::default(),
            asks: None,
        };
        Self::new(hub, nobody, vec![channel], payload)
    }

    fn bytes(&self) -> usize {
        self.payload.len() + self.channels.iter().map(String::len).sum::<usize>()
    }

    /// Gives it to this instance's own connections.
    ///
    /// # Cancel safety
    /// Not, but see [`Waiting::deliver_here`].
    pub(super) async fn deliver_here(self, subscriptions: &Subscriptions) {
        let hub = Arc::clone(&self.hub);
        if let Some(place) = hub.place(self.payload.len()).await {
            place.put(self.into_delivery(subscriptions));
        }
    }

    fn into_delivery(self, subscriptions: &Subscriptions) -> Delivery {
        let receivers = self.channels.iter().filter(|channel| subscriptions.wants(channel)).count() as u64;
        Delivery::Here { publication: self.publication, receivers, done: self.done }
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
            let hub = Arc::clone(&first.hub);
            let bytes = first.payload.len();
            self.first = Some(first);
            let place = hub.place(bytes).await;
            if let (Some(place), Some(first)) = (place, self.first.take()) {
                place.put(first.into_delivery(subscriptions));
            }
        }
    }
}
