//! What the hubs and raw channels of one backplane share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use hubline_backplane::PublishError;
use tokio_util::task::AbortOnDropHandle;

use super::counters::Counters;
use super::garbage::Garbage;
use super::node::Node;
use super::nodes::Nodes;
use super::outgoing::{Fate, Number};
use super::status::Statuses;
use super::subscriptions::Route;
use crate::RedisOptions;

/// As it is shipped (`client-output-buffer-limit pubsub 32mb`), Redis cuts off every subscriber of a message
/// that is larger than this, ASP.NET Core's too.
pub(super) const LIMIT_PAYLOAD_BYTES: usize = 30 * 1024 * 1024;

const OVER_THE_LIMIT: &str = "send the message in parts, or send where it can be fetched";

/// What the hubs share.
pub(super) struct Shared {
    pub(super) options: Arc<RedisOptions>,
    pub(super) nodes: Arc<Nodes>,
    pub(super) statuses: Arc<Statuses>,
    pub(super) counters: Arc<Counters>,
    pub(super) garbage: Arc<Garbage>,
    /// Whether it has been logged that a message was over the limit.
    pub(super) has_met_limit: AtomicBool,
}

/// Of the nodes, or of who follows a cluster and has those of its nodes.
pub(super) type Tasks = Vec<AbortOnDropHandle<()>>;

impl Shared {
    pub(super) fn prefix(&self) -> &str {
        self.options.channel_prefix.as_deref().unwrap_or_default()
    }

    /// The payload, unless it is over the limit, which is logged the first time.
    pub(super) fn limited(&self, of: &str, payload: Bytes) -> Result<Bytes, PublishError> {
        let size = payload.len();
        if size <= LIMIT_PAYLOAD_BYTES {
            return Ok(payload);
        }
        self.counters.refused.increment();
        if !self.has_met_limit.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                of,
                size,
                "a message is over the limit of {LIMIT_PAYLOAD_BYTES} bytes, past which Redis as it is shipped cuts off all \
                 subscribers (client-output-buffer-limit pubsub), and reaches nobody; {OVER_THE_LIMIT}. Further ones \
                 are counted as refused, not logged"
            );
        }
        Err(PublishError::Refused(format!(
            "{size} bytes in both hub protocols are over the limit of {LIMIT_PAYLOAD_BYTES}; {OVER_THE_LIMIT}"
        )))
    }

    pub(super) fn node_of(&self, channel: &str) -> Arc<Node> {
        self.nodes.node_of(channel)
    }

    /// Ready when Redis has confirmed the channel, or at once while the link is down.
    ///
    /// # Cancel safety
    /// It counts from the first poll on.
    pub(super) async fn subscribe(&self, channel: &str, route: Route) {
        let confirmed = self.nodes.at_node_of(channel, |at| at.count_up(channel, route));
        if let Some(confirmed) = confirmed {
            // An error means that the link is gone: it will be restored with it.
            let _ = confirmed.await;
        }
    }

    /// Publishes what is no message.
    pub(super) async fn send_internal(
        &self,
        channel: &str,
        payload: impl Into<Bytes>,
        number: Number,
    ) -> Result<Fate, PublishError> {
        self.nodes.send_internal(&channel.into(), payload.into(), number).await
    }
}
