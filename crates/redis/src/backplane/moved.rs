//! What a cluster has refused because its channel is another node's by now.

use std::sync::Arc;

use hubline_supervision::Vital;
use tokio::sync::mpsc;

use super::nodes::Nodes;
use super::outbox::Entry;
use super::outgoing::Outgoing;
use crate::client::topology::Cluster;

/// How often a publication follows its channel.
pub(super) const LIMIT_REDIRECTIONS: usize = 3;
/// How many go to their new nodes at once, once the cluster has told where those are.
const BATCH: usize = 1024;

/// One of them. What keeps messages keeps its room, and what was in an outbox is bounded by that.
#[derive(Debug)]
pub(super) enum Moved {
    Message(Box<Outgoing>),
    /// From the outbox.
    Replay(Entry),
}

/// Sends all of them after their channels, for as long as it is not dropped.
pub(super) struct Redirector {
    pub(super) moved: mpsc::UnboundedReceiver<Moved>,
    pub(super) nodes: Arc<Nodes>,
    pub(super) cluster: Arc<Cluster>,
}

impl Vital for Redirector {
    const NAME: &'static str = "messages whose slots have moved";

    async fn run(&mut self) {
        let mut batch = Vec::new();
        while self.moved.recv_many(&mut batch, BATCH).await > 0 {
            self.cluster.doubt().await;
            for one in batch.drain(..) {
                match one {
                    // An error means that the backplane is gone.
                    Moved::Message(outgoing) => _ = self.nodes.put(outgoing).await,
                    Moved::Replay(entry) => self.nodes.node_of(&entry.channel).outbox.put_back(entry),
                }
            }
        }
    }
}
