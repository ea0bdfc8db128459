//! A message for connections of every instance.

use std::sync::Arc;

use hubline_backplane::{Frames, Published, Target};
use hubline_protocol::ConnectionId;
use tokio::sync::oneshot;

use super::hub::Hub;
use super::posted::Ticket;

/// What is known of a message besides its payload, for the case that Redis does not bring it back.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) hub: Arc<Hub>,
    pub(super) target: Target,
    pub(super) excluded: Arc<[ConnectionId]>,
    pub(super) frames: Frames,
    pub(super) publisher: Publisher,
    /// How often it has followed its channel to another node.
    pub(super) redirections: usize,
}

/// Whether anybody wants to know what becomes of it.
#[derive(Debug)]
pub(super) enum Publisher {
    Waits(oneshot::Sender<Published>),
    HasGoneOn { _ticket: Ticket },
}

impl Message {
    /// Tells its publisher, who may have stopped waiting.
    pub(super) fn published(self, published: Published) {
        if let Publisher::Waits(publisher) = self.publisher {
            _ = publisher.send(published);
        }
    }
}
