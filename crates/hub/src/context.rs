//! A running hub.

use std::collections::BTreeMap;

use std::sync::{Arc, OnceLock};

use hubline_backplane::{Backplane, HubBackplane, Publication, Status, Target};
use hubline_directory::SessionDirectory;
use hubline_identity::Policy;
use hubline_pipe::{Frame, RequestParts};
use hubline_protocol::{ConnectionId, Dialect, GroupName, HubProtocol, Naming, UserId};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::caller::Caller;
use crate::client_results::ClientResults;
use crate::draining::{DrainingConnection, Left, LeftCounters};
use crate::hub::Definition;
use crate::inbox::HubInbox;
use crate::request_parts::MissingRequestParts;
use crate::router::Router;
use crate::statistics::{Closed, Counters, Limit, sum};
use crate::{
    CloseReason, Directory, Groups, Hub, HubClients, HubOptions, HubStatistics, LocalConnection,
    MethodStatistics,
};

/// How much one sender may have posted to the backplane before one of its sends waits, as a part of
/// [`HubOptions::outbound_limit_bytes`].
const POSTED_PART: usize = 8;

/// A running hub, seen from outside of its methods: send to its clients, change its groups.
///
/// Cloning shares the hub.
#[derive(Clone)]
pub struct HubContext(pub(crate) Arc<HubCore>);

pub(crate) struct HubCore {
    pub(crate) hub: Definition,
    pub(crate) options: HubOptions,
    pub(crate) router: Arc<Router>,
    pub(crate) client_results: Arc<ClientResults>,
    pub(crate) backplane: Arc<dyn HubBackplane>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) directory: Option<Directory>,
    /// Calls that outlive their connection run to their end here.
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
    pub(crate) left: LeftCounters,
    pub(crate) closed: Closed,
    pub(crate) counters: Counters,
    /// What clocks of its connections count from.
    pub(crate) started: Instant,
}

impl HubContext {
    /// Starts a hub: from now on it receives what other instances publish for it, and the directory, if there is
    /// one, learns of its connections.
    pub fn start<S>(
        hub: Hub<S>,
        options: HubOptions,
        backplane: &dyn Backplane,
        directory: Option<&dyn SessionDirectory>,
        tasks: TaskTracker,
    ) -> Self {
        let hub = hub.definition;
        let status = backplane.status();
        let sessions = directory.map(|directory| directory.attach(&hub.name));
        let router = Arc::new(Router::new(sessions.clone(), options.lifecycle_observer.clone()));
        let directory = sessions.map(|hub| Directory::new(hub as _));
        let client_results = Arc::new(ClientResults::new(*status.borrow() == Status::Alone));
        let inbox = Arc::new(HubInbox {
            hub_name: hub.name.as_ref().into(),
            router: Arc::clone(&router),
            client_results: Arc::clone(&client_results),
            tasks: tasks.clone(),
            backplane: OnceLock::new(),
        });
        let attached = backplane.attach(&hub.name, Arc::clone(&inbox) as _);
        _ = inbox.backplane.set(Arc::downgrade(&attached));
        Self(Arc::new(HubCore {
            hub,
            options,
            router,
            client_results,
            backplane: attached,
            status,
            directory,
            tasks,
            stopping: CancellationToken::new(),
            left: LeftCounters::default(),
            closed: Closed::default(),
            counters: Counters::default(),
            started: Instant::now(),
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

    /// Who is connected anywhere in the fleet, if the server has a directory.
    pub fn directory(&self) -> Option<&Directory> {
        self.0.directory.as_ref()
    }

    /// The name other servers know the hub by.
    pub fn name(&self) -> &str {
        &self.0.hub.name
    }

    /// What everybody who connects must be; see [`Hub::authorize`].
    pub fn authorization(&self) -> Option<&Policy> {
        self.0.hub.authorization.as_ref()
    }

    /// See [`Hub::check_request_parts`].
    ///
    /// # Errors
    /// A method of the hub takes a part that is not kept.
    pub fn check_request_parts(&self, kept: RequestParts) -> Result<(), MissingRequestParts> {
        self.0.hub.check_request_parts(kept)
    }

    /// Under which names structures and enums travel; see [`Hub::naming`].
    pub fn naming(&self) -> Naming {
        self.0.hub.naming
    }

    pub(crate) fn dialect(&self, protocol: HubProtocol) -> Dialect {
        Dialect { protocol, naming: self.naming() }
    }

    /// How many connections this instance has.
    pub fn connection_count(&self) -> usize {
        self.0.router.len()
    }

    /// The connections of this instance, in no order. It takes a fraction of a microsecond for each, and keeps senders waiting for part of that.
    pub fn connections_here(&self) -> Vec<LocalConnection> {
        self.0.router.connections()
    }

    /// The connections of this instance that are in a group, in no order.
    pub fn members_here(&self, group: &GroupName) -> Vec<LocalConnection> {
        self.0.router.members(group)
    }

    /// The connections of this instance that a user has, in no order.
    pub fn connections_of_user_here(&self, user: &UserId) -> Vec<LocalConnection> {
        self.0.router.connections_of(user)
    }

    /// What has been counted since the hub was started, and how many connections there are.
    pub fn statistics(&self) -> HubStatistics {
        let methods = || self.0.hub.methods().map(|method| &method.counters);
        let mut statistics = HubStatistics {
            name: self.name().to_owned(),
            connections: self.connection_count(),
            closed: self.0.closed.counts(),
            senders_held: 0,
            sender_holds_timed_out: 0,
            limited: BTreeMap::new(),
            unknown_methods: 0,
            binding_failures: sum(methods().map(|counters| &counters.binding_failures)),
            blocking_polls: sum(methods().map(|counters| &counters.blocking_polls)),
            messages_sent: 0,
            methods: self.method_statistics(),
        };
        self.0.counters.write(&mut statistics);
        statistics
    }

    fn method_statistics(&self) -> Vec<MethodStatistics> {
        let methods = self.0.hub.methods().map(|method| MethodStatistics {
            name: method.name.to_string(),
            durations: method.counters.durations.sum(),
        });
        let mut methods: Vec<_> = methods.collect();
        methods.sort_by(|a, b| a.name.cmp(&b.name));
        methods
    }

    /// A client has met a limit: the first one is logged, all are counted.
    pub(crate) fn limited(&self, caller: &Caller, limit: Limit) {
        if self.0.counters.limited(limit) == 0 {
            tracing::info!(
                hub = self.name(),
                connection = %caller.public_id(),
                "A client has met the limit {}, which can be set (0: none). Further cases are counted, not logged",
                limit.setting()
            );
        }
    }

    /// Lets the sender's next invocation depend on who gets this, if somebody here reads too slowly.
    pub(crate) fn note_sent(&self, sender: &Caller, publication: &Publication) {
        for target in &publication.targets {
            self.note_sent_to(sender, target, &publication.excluded);
        }
    }

    pub(crate) fn note_sent_to(&self, sender: &Caller, target: &Target, excluded: &Arc<[ConnectionId]>) {
        if self.0.router.is_congested() && !self.0.options.sender_hold_timeout.is_zero() {
            sender.0.outbox.note_sent_to(|sent_to| sent_to.add(target, excluded));
        }
    }

    /// Counts a message that nobody waits for; returns whether the send need not wait either: the backplane brings it back to the
    /// connections here only later, and so much of one sender may be on its way.
    pub(crate) fn count_posted(&self, sender: Option<&Caller>, publication: &Publication) -> bool {
        let Some(Caller(sender)) = sender else { return true };
        let size = publication.frames.get(sender.outbox.protocol).map_or(0, Frame::size);
        sender.count_posted(size, self.0.options.outbound_limit_bytes / POSTED_PART)
    }

    /// Waits until the backplane has everything that hub methods have sent before.
    ///
    /// # Cancel safety
    /// Safe: nothing that was sent is lost.
    pub async fn flush(&self) {
        self.0.backplane.flush().await;
    }

    /// Closes the connections that a user has on this instance, and tells their clients not to reconnect automatically, as
    /// [`Caller::abort`] does. Returns how many those are.
    ///
    /// A fleet closes a user's connections by having each instance call this, told by a message that the application sends them
    /// (`hubline_redis::RawChannels`). It keeps nobody out: a connection that is registered later is none of them.
    pub fn abort_user(&self, user: &UserId) -> usize {
        self.0.router.close_user(user, &CloseReason::Aborted)
    }

    /// Returns the connections of this instance, to hand each over to other instances when its turn has come. Those that are opened
    /// later are closed, with `allowReconnect`, as soon as they are there.
    pub fn begin_drain(&self) -> Vec<DrainingConnection> {
        self.0.stopping.cancel();
        self.0.router.outboxes().into_iter().map(DrainingConnection).collect()
    }

    /// What connections have left that were closed because the instance stops.
    pub fn left(&self) -> Left {
        self.0.left.read()
    }

    /// Closes every connection of this instance with `allowReconnect`, those that come later too.
    pub fn close_all(&self) {
        self.0.stopping.cancel();
        self.0.router.close_all(&CloseReason::ServerShutdown);
    }
}

impl std::fmt::Debug for HubContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HubContext").field(&self.0.hub).finish()
    }
}
