//! A hub that runs, and who calls it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hubline_backplane::{Backplane, HubBackplane, Status};
use hubline_pipe::{Accepted, ConnectionHandler, ConnectionInfo};
use hubline_protocol::{ConnectionId, UserId};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::outbox::Outbox;
use crate::router::Router;
use crate::{CloseReason, Groups, Hub, HubClients, HubOptions, connection};

/// A running hub, seen from outside of its methods: send to its clients, change its groups.
///
/// Cloning shares the hub.
#[derive(Clone)]
pub struct HubContext(pub(crate) Arc<HubCore>);

pub(crate) struct HubCore {
    pub(crate) hub: Hub,
    pub(crate) options: HubOptions,
    pub(crate) router: Arc<Router>,
    pub(crate) backplane: Arc<dyn HubBackplane>,
    pub(crate) status: watch::Receiver<Status>,
    /// Calls that outlive their connection run to their end here.
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: AtomicBool,
}

impl HubContext {
    /// Starts a hub: from now on it receives what other instances publish for it.
    pub fn start(hub: Hub, options: HubOptions, backplane: &dyn Backplane, tasks: TaskTracker) -> Self {
        let router = Arc::new(Router::new());
        let attached = backplane.attach(hub.name(), Arc::clone(&router) as _);
        let status = backplane.status();
        Self(Arc::new(HubCore {
            hub,
            options,
            router,
            backplane: attached,
            status,
            tasks,
            stopping: AtomicBool::new(false),
        }))
    }

    /// The hub's clients.
    pub fn clients(&self) -> HubClients {
        HubClients::new(self.clone())
    }

    /// The hub's groups.
    pub fn groups(&self) -> Groups {
        Groups::new(self.clone())
    }

    /// The name other servers know the hub by.
    pub fn name(&self) -> &str {
        self.0.hub.name()
    }

    /// How many connections this instance has.
    pub fn connection_count(&self) -> usize {
        self.0.router.len()
    }

    /// Closes every connection of this instance with `allowReconnect`, those that come later too.
    pub fn close_all(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
        self.0.router.close_all(&CloseReason::ServerShutdown);
    }
}

impl ConnectionHandler for HubContext {
    fn run(&self, accepted: Accepted) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(connection::run(self.clone(), accepted))
    }
}

/// The connection that calls a hub method. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Caller(pub(crate) Arc<CallerState>);

#[derive(Debug)]
pub(crate) struct CallerState {
    pub(crate) info: ConnectionInfo,
    pub(crate) user_id: Option<UserId>,
    pub(crate) outbox: Arc<Outbox>,
}

impl Caller {
    /// Its public id.
    pub fn connection_id(&self) -> &ConnectionId {
        &self.0.info.id
    }

    /// Whom it belongs to, if anyone; decided once, when it connected.
    pub fn user_id(&self) -> Option<&UserId> {
        self.0.user_id.as_ref()
    }

    /// What its HTTP request said.
    pub fn info(&self) -> &ConnectionInfo {
        &self.0.info
    }

    /// Closes the connection for good: the client is told not to come back by itself.
    pub fn abort(&self) {
        self.0.outbox.close(CloseReason::Aborted);
    }
}

impl std::fmt::Debug for HubContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HubContext").field(&self.0.hub).finish()
    }
}
