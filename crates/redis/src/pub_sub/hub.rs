//! One attached hub: its channels, and its one ordered inbox on this instance.

use std::sync::Arc;

use hubline_backplane::{Frames, Inbox, Publication, ReturnAddress, Subject, Target};
use hubline_protocol::{ConnectionId, HubProtocol};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::channels::Channels;
use super::commands::{Acks, Commands};
use super::garbage::Garbage;
use super::subscriptions::Addressee;
use crate::wire::{AnswerTo, Completion, Invocation, WireError};

/// Messages that wait to be delivered, for each hub. Full: the subscribing link is not read until there is
/// room, so the rest waits in Redis, whose `client-output-buffer-limit pubsub` then counts.
const LIMIT_MESSAGES: usize = 1024;
/// The same in bytes; a single message may have any size.
const LIMIT_BYTES: u32 = 8 * 1024 * 1024;

/// What the links know of a hub.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) channels: Channels,
    /// What this instance waits for after group commands.
    pub(super) acks: Acks,
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
    /// A message that does not come back through Redis.
    Here { target: Target, excluded: Arc<[ConnectionId]>, frames: Frames, done: oneshot::Sender<()> },
}

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
        (Arc::new(Self { channels, acks: Acks::default(), room, inbox }), waiting)
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

    /// Gives a message to this instance's own connections, in the hub's order.
    pub(super) async fn deliver_here(&self, target: Target, publication: &Publication, bytes: usize) {
        let Some(place) = self.place(bytes).await else { return };
        let (done, delivered) = oneshot::channel();
        let (excluded, frames) = (Arc::clone(&publication.excluded), publication.frames.clone());
        place.put(Delivery::Here { target, excluded, frames, done });
        // An error means that the hub has gone.
        _ = delivered.await;
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
    mut commands: Commands,
    garbage: Arc<Garbage>,
) {
    while let Some(Waiting { delivery, _bytes }) = waiting.recv().await {
        match delivery {
            Delivery::Received { channel, to, payload } => {
                let taken = match to {
                    Addressee::Connections(target) => {
                        deliver(&*inbox, commands.server_name(), target, &payload).await
                    }
                    Addressee::GroupCommands => commands.carry_out(&*inbox, &payload),
                    Addressee::Acks => commands.acknowledged(&payload),
                    Addressee::Answers => answered(&*inbox, &payload),
                };
                if let Err(error) = taken {
                    garbage.found(&channel, &error);
                }
            }
            Delivery::Here { target, excluded, frames, done } => {
                inbox.deliver(target, excluded, frames, None).await;
                // Whoever published may have stopped waiting.
                _ = done.send(());
            }
        }
    }
}

async fn deliver(
    inbox: &dyn Inbox,
    server_name: &str,
    target: Target,
    payload: &[u8],
) -> Result<(), WireError> {
    let Invocation { excluded, messages, answer_to, origin } = Invocation::decode(payload)?;
    if origin == Some(server_name) {
        return Ok(());
    }
    // On other channels it means nothing.
    let answer_to = answer_to.filter(|_| matches!(target, Target::Subject(Subject::Connection(_))));
    let answer_to = answer_to.map(|AnswerTo { invocation_id, channel }| ReturnAddress {
        invocation_id: invocation_id.into(),
        channel: channel.into(),
    });
    inbox.deliver(target, excluded, messages.to_frames(), answer_to).await;
    Ok(())
}

fn answered(inbox: &dyn Inbox, payload: &[u8]) -> Result<(), WireError> {
    let Completion { protocol, message } = Completion::decode(payload)?;
    let protocol = HubProtocol::from_name(protocol).ok_or(WireError::Missing("known protocol"))?;
    inbox.answered(protocol, message).map_err(|_| WireError::Missing("completion"))
}
