//! One attached hub: its channels, and its one ordered inbox on this instance.

use std::sync::Arc;

use hubline_backplane::{
    ClientInvocation, Inbox, InstanceId, Published, ReturnAddress, Subject, Target, TraceParent,
};
use hubline_protocol::HubProtocol;
use hubline_supervision::Vital;
use tokio::sync::{Semaphore, mpsc};

use super::channels::Channels;
use super::commands::{Acks, Commands};
use super::counters::Counters;
use super::garbage::Garbage;
use super::outgoing::{Message, Room};
use super::posted::Posted;
use super::subscriptions::Addressee;
use super::wire::{AnswerTo, Completion, Invocation, WireError};

/// Messages from Redis that wait to be delivered, for each hub. Full: the subscribing link is not read until there is
/// room, so the rest waits in Redis, whose `client-output-buffer-limit pubsub` then counts.
const LIMIT_MESSAGES: u32 = 1024;
/// The same in bytes; a single message may have any size.
const LIMIT_BYTES: u32 = 8 * 1024 * 1024;

/// What the links know of a hub.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) channels: Channels,
    /// What this instance waits for after group commands.
    pub(super) acks: Acks,
    pub(super) posted: Arc<Posted>,
    /// For messages from Redis.
    room: Arc<Semaphore>,
    /// Everything in it keeps its room, there or where it was published.
    inbox: mpsc::UnboundedSender<Delivery>,
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
        room: Room,
    },
    /// A message that does not come back through Redis.
    Here { message: Message, published: Published, room: Room },
}

impl Hub {
    pub(super) fn new(channels: Channels) -> (Arc<Self>, mpsc::UnboundedReceiver<Delivery>) {
        #[expect(clippy::disallowed_methods, reason = "what is in it keeps its room")]
        let (inbox, waiting) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(LIMIT_BYTES as usize));
        (Arc::new(Self { channels, acks: Acks::default(), posted: Arc::default(), room, inbox }), waiting)
    }

    /// Waits for room in the inbox.
    ///
    /// # Cancel safety
    /// Safe: nothing is taken before it is ready.
    pub(super) async fn room(&self, bytes: usize) -> Option<Room> {
        let bytes =
            u32::try_from(bytes).unwrap_or(LIMIT_BYTES).clamp(LIMIT_BYTES / LIMIT_MESSAGES, LIMIT_BYTES);
        Arc::clone(&self.room).acquire_many_owned(bytes).await.ok()
    }

    /// What is put here is delivered in this order.
    pub(super) fn deliver(&self, delivery: Delivery) {
        // An error means that the hub has gone.
        _ = self.inbox.send(delivery);
    }
}

/// Delivers one after the other, until the hub is gone.
pub(super) struct InOrder {
    pub(super) waiting: mpsc::UnboundedReceiver<Delivery>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) commands: Commands,
    pub(super) garbage: Arc<Garbage>,
    pub(super) counters: Arc<Counters>,
}

impl Vital for InOrder {
    const NAME: &'static str = "deliveries of a hub";

    async fn run(&mut self) {
        while let Some(delivery) = self.waiting.recv().await {
            self.deliver(delivery).await;
        }
    }
}

impl InOrder {
    async fn deliver(&mut self, delivery: Delivery) {
        let Self { inbox, commands, counters, .. } = self;
        match delivery {
            Delivery::Received { channel, to, payload, room: _room } => {
                let taken = match to {
                    Addressee::Connections(target) => {
                        deliver(&**inbox, counters.numbering.origin(), target, &payload).await
                    }
                    Addressee::GroupCommands => commands.carry_out(&**inbox, &payload),
                    Addressee::Acks => commands.acknowledged(&payload),
                    Addressee::Answers => completed(&**inbox, &payload),
                };
                if let Err(error) = taken {
                    self.garbage.found(&channel, &error);
                }
            }
            Delivery::Here { mut message, published, room: _room } => {
                let Message { target, excluded, frames, .. } = &message;
                inbox.deliver(target.clone(), Arc::clone(excluded), frames.clone()).await;
                message.published(published);
            }
        }
    }
}

async fn deliver(
    inbox: &dyn Inbox,
    this_instance: InstanceId,
    target: Target,
    payload: &[u8],
) -> Result<(), WireError> {
    let Invocation { excluded, messages, answer_to, id, trace_parent } = Invocation::decode(payload)?;
    if id.is_some_and(|id| id.is_replay && id.origin == this_instance) {
        return Ok(());
    }
    let mut frames = messages.to_frames();
    frames.set_trace_parent(trace_parent.and_then(TraceParent::parse));
    match (target, answer_to) {
        (Target::Subject(Subject::Connection(connection)), Some(AnswerTo { invocation_id, channel })) => {
            let invocation = ClientInvocation { connection, invocation_id: invocation_id.into(), frames };
            inbox.invoke(invocation, ReturnAddress(channel.into())).await;
        }
        // On other channels a return channel means nothing.
        (target, _) => inbox.deliver(target, excluded, frames).await,
    }
    Ok(())
}

fn completed(inbox: &dyn Inbox, payload: &[u8]) -> Result<(), WireError> {
    let Completion { protocol, message } = Completion::decode(payload)?;
    let protocol = HubProtocol::from_name(protocol).ok_or(WireError::Missing("known protocol"))?;
    inbox.completed(protocol, message).map_err(|_| WireError::Missing("completion"))
}
