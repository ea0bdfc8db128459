//! The connections of a process and its part in the fleet, as a host holds them.

use std::sync::Arc;

use hubline_backplane::{Fleet, Status};
use hubline_pipe::LifecycleObserver;
use tokio::sync::watch;

use crate::connection_manager::ConnectionManager;
use crate::relay::Relay;
use crate::statistics::ConnectionStatistics;
use crate::tickets::Tickets;
use crate::{AddressLimits, TokenKey};

/// All connections of a process, shared by its endpoints. Cloning shares them.
///
/// The default is that of a server without a fleet.
#[derive(Debug, Clone)]
pub struct Connections {
    pub(crate) manager: ConnectionManager,
    pub(crate) relay: Option<Arc<Relay>>,
}

impl Connections {
    /// The connections of one instance of a fleet, whose clients may send each request to any instance.
    ///
    /// `keys` sign connection tokens: the first signs new ones, all verify. All instances need the same keys; without
    /// keys the instances agree on one. Needs a tokio runtime.
    pub fn in_fleet(fleet: Arc<dyn Fleet>, keys: Vec<TokenKey>) -> Self {
        let tickets = Tickets::of_fleet(fleet.instance(), keys);
        Self::of(ConnectionManager::in_fleet(fleet, tickets))
    }

    fn of(manager: ConnectionManager) -> Self {
        Self { relay: Relay::join(&manager), manager }
    }

    /// Whether the instances of the fleet have agreed on a key for connection tokens, and every change of that.
    /// [`Status::Alone`] if there is nothing to agree on: no other instance, or configured keys.
    pub fn key_agreement(&self) -> watch::Receiver<Status> {
        match &self.relay {
            Some(relay) => relay.key_agreement(),
            None => watch::channel(Status::Alone).1,
        }
    }

    /// What has been counted since they were made, and how many there are.
    pub fn statistics(&self) -> ConnectionStatistics {
        self.manager.statistics()
    }

    /// Has an observer told of negotiations from now on. The first call counts; later ones change nothing.
    pub fn observe(&self, observer: Arc<dyn LifecycleObserver>) {
        self.manager.observe(observer);
    }

    /// Limits what each address may have and do from now on. The first call counts; later ones change nothing.
    pub fn limit_addresses(&self, limits: AddressLimits) {
        self.manager.limit_addresses(limits);
    }

    /// Lets this many clients in a second from now on; zero is no limit. Others wait for their turn, in the order in which they came, at their
    /// negotiation, or at their WebSocket if they negotiate nothing. The first call counts; later ones change nothing.
    pub fn limit_rate(&self, per_second: u32) {
        self.manager.limit_rate(per_second);
    }

    /// Answers negotiations with 503 from now on, so that clients go to other instances. What was negotiated before, here or anywhere
    /// in the fleet, is served.
    pub fn refuse_negotiations(&self) {
        self.manager.refuse_negotiations();
    }

    /// Says that the server is stopping: connections that end from now on count as ended by that.
    pub fn stopping(&self) {
        self.manager.stopping();
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self::of(ConnectionManager::alone(Tickets::of_process()))
    }
}
