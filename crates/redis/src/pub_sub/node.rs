//! One Redis node: its pair of links, what is wanted from it, and what is on its way to it.

use std::sync::{Arc, Mutex};

use hubline_backplane::{PublishError, Published, Reach};

use super::dialect::Dialect;
use super::echoes::Echoes;
use super::outgoing::{Outcome, Outgoing, Queue, Waiting};
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
    pub(super) echoes: Mutex<Echoes>,
    pub(super) status: NodeStatus,
    queue: Queue,
}

impl Node {
    pub(super) fn new(
        location: Location,
        options: &Arc<RedisOptions>,
        client_name: &Arc<str>,
        status: NodeStatus,
    ) -> (Arc<Self>, Waiting) {
        let (queue, waiting) = Queue::new();
        let subscriptions = Subscriptions::new(Dialect::of(options), location.in_doubt());
        let node = Self {
            location,
            options: Arc::clone(options),
            client_name: Arc::clone(client_name),
            subscriptions,
            echoes: Mutex::default(),
            status,
            queue,
        };
        (Arc::new(node), waiting)
    }

    /// Why it is not reached.
    pub(super) fn why_unreachable(&self) -> String {
        self.status.why_disconnected().unwrap_or_else(|| "the link to Redis was lost".to_owned())
    }

    /// Through Redis, or to this instance's own connections while it cannot be.
    pub(super) async fn publish(
        &self,
        (outgoing, outcome): (Outgoing, Outcome),
    ) -> Result<Published, PublishError> {
        for channel in &outgoing.channels {
            self.subscriptions.settled(channel).await;
        }
        if self.subscriptions.carries(&outgoing.channels) {
            self.queue.put(outgoing).await?;
        } else {
            outgoing.deliver_here(&self.subscriptions, Reach::ThisInstance).await;
        }
        outcome
            .await
            .unwrap_or_else(|_| Err(PublishError::Refused("the backplane has been shut down".to_owned())))
    }
}
