//! The place of an attached connection in the table.

use hubline_protocol::ConnectionId;
use tokio::time::Instant;

use super::listening::Listening;
use super::table::{Pending, PendingReason};
use super::{Attached, ConnectionManager};
use crate::ConnectionToken;
use crate::address_limits::Counted;

/// Holds an attached connection's place; dropping it forgets the connection, or, if polls may still fetch
/// its last messages, lets it wait for them.
#[derive(Debug)]
pub(crate) struct Attachment {
    connections: ConnectionManager,
    token: ConnectionToken,
    /// Other instances cannot tell by the token that this connection is here.
    looked_for: Option<ConnectionId>,
    listening: Option<Listening>,
    /// What counts it for its address.
    counted: Option<Box<Counted>>,
    since: Instant,
}

impl Attachment {
    pub(super) fn new(
        connections: ConnectionManager,
        token: ConnectionToken,
        looked_for: Option<ConnectionId>,
    ) -> Self {
        Self { connections, token, looked_for, listening: None, counted: None, since: Instant::now() }
    }

    /// Counts the connection for its address as long as it lasts.
    pub(crate) fn count(&mut self, counted: Option<Box<Counted>>) {
        self.counted = counted;
    }

    /// Lets other instances find the connection. To be awaited before its client learns that it is attached.
    pub(crate) async fn be_found(&mut self) {
        if let (Some(id), Some(fleet)) = (self.looked_for.take(), self.connections.fleet().cloned()) {
            self.listening = Some(Listening::begin(&fleet, &id).await);
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let mut table = self.connections.lock();
        let Some((Attached::LongPolling(polling), owner)) = table.detach(&self.token, self.since) else {
            return;
        };
        if let Some(linger) = polling.linger() {
            let ended = Pending::Ended { polling, owner, _listening: self.listening.take() };
            // Where too many wait its last messages are lost with it.
            _ = table.add_pending(self.token.clone(), ended, PendingReason::Ended, Instant::now() + linger);
            self.connections.keep_swept(&mut table);
        }
    }
}
