//! One attached hub: its channels, and its one ordered inbox on this instance.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hubline_backplane::{Inbox, Publication, PublishError, Published, Reach, Target};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::channels::Channels;
use super::garbage::Garbage;
use super::subscriptions::Addressee;
use crate::wire::{Ack, Completion, GroupCommand, Invocation};

/// Messages that wait to be delivered, for each hub. Full: the subscribing link is not read until there is
/// room, so the rest waits in Redis, whose `client-output-buffer-limit pubsub` then counts.
const LIMIT_MESSAGES: usize = 1024;
/// The same in bytes; a single message may have any size.
const LIMIT_BYTES: u32 = 8 * 1024 * 1024;

/// What the links know of a hub.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) channels: Channels,
    /// Whether Redis has confirmed the channel of all: what is published comes back.
    pub(super) listening: AtomicBool,
    room: Arc<Semaphore>,
    inbox: mpsc::Sender<Waiting>,
}

/// What a hub's own connections are to get.
#[derive(Debug)]
pub(super) enum Delivery {
    /// A payload from Redis, not looked at yet.
    Received {
        /// For the log.
        channel: Arc<str>,
        to: Addressee,
        payload: Vec<u8>,
    },
    /// A publication that does not come back through Redis.
    Here { publication: Publication, receivers: u64, done: Done },
}

/// Tells the publisher what became of it.
pub(super) type Done = oneshot::Sender<Result<Published, PublishError>>;

/// A place in an inbox. Taking it waits, using it does not.
#[derive(Debug)]
pub(super) struct Place<'a> {
    bytes: OwnedSemaphorePermit,
    place: mpsc::Permit<'a, Waiting>,
}

#[derive(Debug)]
pub(super) struct Waiting {
    delivery: Delivery,
    _bytes: OwnedSemaphorePermit,
}

impl Hub {
    pub(super) fn new(channels: Channels) -> (Arc<Self>, mpsc::Receiver<Waiting>) {
        let (inbox, waiting) = mpsc::channel(LIMIT_MESSAGES);
        let room = Arc::new(Semaphore::new(LIMIT_BYTES as usize));
        (Arc::new(Self { channels, listening: AtomicBool::new(false), room, inbox }), waiting)
    }

    /// Waits for a place in the inbox; `None` if the hub is gone.
    ///
    /// # Cancel safety
    /// Safe: nothing is taken before it is ready.
    pub(super) async fn place(&self, bytes: usize) -> Option<Place<'_>> {
        let bytes = u32::try_from(bytes).unwrap_or(LIMIT_BYTES).min(LIMIT_BYTES);
        let bytes = Arc::clone(&self.room).acquire_many_owned(bytes).await.ok()?;
        Some(Place { bytes, place: self.inbox.reserve().await.ok()? })
    }
}

impl Place<'_> {
    pub(super) fn put(self, delivery: Delivery) {
        self.place.send(Waiting { delivery, _bytes: self.bytes });
    }
}

/// Delivers one after the other, until the hub is gone.
pub(super) async fn deliver_in_order(
    mut waiting: mpsc::Receiver<Waiting>,
    inbox: Arc<dyn Inbox>,
    garbage: Arc<Garbage>,
) {
    while let Some(Waiting { delivery, _bytes }) = waiting.recv().await {
        match delivery {
            Delivery::Received { channel, to: Addressee::Connections(target), payload } => {
                match Invocation::decode(&payload) {
                    Ok(invocation) => {
                        inbox.deliver(target, invocation.excluded, invocation.messages.to_frames()).await;
                    }
                    Err(error) => garbage.found(&channel, &error),
                }
            }
            Delivery::Received { channel, to, payload } => {
                if let Err(error) = read_internal(&to, &payload) {
                    garbage.found(&channel, &error);
                }
            }
            Delivery::Here { publication: Publication { targets, excluded, frames }, receivers, done } => {
                for target in targets {
                    inbox.deliver(target, Arc::clone(&excluded), frames.clone()).await;
                }
                // Whoever published may have stopped waiting.
                let _ = done.send(Ok(Published { receivers, reach: Reach::ThisInstance }));
            }
        }
    }
}

/// Group commands and client results between instances are not served yet; a command that is not acknowledged
/// is one for a connection that is not here.
fn read_internal(to: &Addressee, payload: &[u8]) -> Result<(), crate::wire::WireError> {
    match to {
        Addressee::Connections(Target::All | Target::Subject(_)) => {}
        Addressee::GroupCommands => {
            tracing::debug!(command = ?GroupCommand::decode(payload)?, "group command ignored")
        }
        Addressee::Acks => tracing::debug!(ack = ?Ack::decode(payload)?, "ack ignored"),
        Addressee::Answers => {
            let Completion { protocol, message } = Completion::decode(payload)?;
            tracing::debug!(protocol, bytes = message.len(), "client result ignored");
        }
    }
    Ok(())
}
