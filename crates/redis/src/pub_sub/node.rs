//! One Redis node: its pair of links, what is wanted from it, and what is on its way to it.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hubline_backplane::{PublishError, Status};

use super::counters::Counters;
use super::dialect::Dialect;
use super::echoes::Echoes;
use super::fleet::Fleet;
use super::outbox::Outbox;
use super::outgoing::{Fate, Kind, Queue, Waiting};
use super::seldom::Seldom;
use super::status::NodeStatus;
use super::subscriptions::Subscriptions;
use crate::RedisOptions;
use crate::topology::Location;

/// What its task and the hubs share.
pub(super) struct Node {
    pub(super) location: Location,
    pub(super) options: Arc<RedisOptions>,
    pub(super) client_name: Arc<str>,
    pub(super) subscriptions: Subscriptions,
    pub(super) fleet: Fleet,
    pub(super) outbox: Outbox,
    pub(super) status: NodeStatus,
    pub(super) counters: Arc<Counters>,
    stage: AtomicU8,
    refused: Seldom,
    /// Whether the last message that was answered was refused.
    is_refusing: AtomicBool,
    echoes: Mutex<Echoes>,
    queue: Queue,
}

/// How far a node can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// There is no link, or it does not answer, or not everything that is wanted is subscribed yet.
    Down,
    /// This instance hears everything; others may be on their way back still.
    Restored,
    /// Messages go through.
    Open,
}

impl Node {
    pub(super) fn new(
        location: Location,
        options: &Arc<RedisOptions>,
        client_name: &Arc<str>,
        status: NodeStatus,
        counters: &Arc<Counters>,
    ) -> (Arc<Self>, Waiting) {
        let (queue, waiting) = Queue::new();
        let subscriptions = Subscriptions::new(Dialect::of(options), location.in_doubt());
        let node = Self {
            location,
            options: Arc::clone(options),
            client_name: Arc::clone(client_name),
            subscriptions,
            fleet: Fleet::default(),
            outbox: Outbox::new(options.outbox, counters),
            status,
            counters: Arc::clone(counters),
            stage: AtomicU8::new(Stage::Down as u8),
            refused: Seldom::default(),
            is_refusing: AtomicBool::new(false),
            echoes: Mutex::default(),
            queue,
        };
        (Arc::new(node), waiting)
    }

    /// Publishes a payload and says what became of it: at once, while the node cannot be used.
    pub(super) async fn send(
        &self,
        kind: Kind,
        channel: Arc<str>,
        payload: Bytes,
    ) -> Result<Fate, PublishError> {
        self.subscriptions.settled(&channel).await;
        // A hub that has just been attached may not hear its own channel yet.
        if !self.takes(kind) || !self.subscriptions.brings_back(&channel) {
            return Ok(Fate::NotSent);
        }
        self.queue.send(kind, channel, payload).await
    }

    /// Keeps the status by what became of a message.
    pub(super) fn answered(&self, channel: &str, fate: &Fate) {
        match fate {
            Fate::Refused(answer) => self.refused(channel, answer),
            Fate::Taken { .. } if self.is_refusing.swap(false, Ordering::Relaxed) => {
                self.status.set(Status::Connected);
            }
            Fate::Taken { .. } | Fate::Unanswered | Fate::NotSent => {}
        }
    }

    fn refused(&self, channel: &str, answer: &str) {
        self.counters.refused.increment();
        self.is_refusing.store(true, Ordering::Relaxed);
        self.status.set(Status::Disconnected(format!("Redis refuses messages: {answer}")));
        if let Some(unlogged) = self.refused.happened() {
            tracing::warn!(
                channel,
                answer,
                unlogged,
                "Redis refuses messages, which reach this instance alone"
            );
        }
    }

    /// Why it is not reached.
    pub(super) fn why_unreachable(&self) -> String {
        self.status.why_disconnected().unwrap_or_else(|| "the link to Redis was lost".to_owned())
    }

    pub(super) fn takes(&self, kind: Kind) -> bool {
        match kind {
            Kind::Message => self.stage() >= Stage::Open,
            Kind::Internal => self.stage() >= Stage::Restored,
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Down,
            1 => Stage::Restored,
            _ => Stage::Open,
        }
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    pub(super) fn echoes(&self) -> MutexGuard<'_, Echoes> {
        self.echoes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
