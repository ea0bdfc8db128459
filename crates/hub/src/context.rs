//! A hub that runs, and who calls it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use hubline_backplane::{Backplane, HubBackplane, Publication, Status, Target};
use hubline_directory::SessionDirectory;
use hubline_identity::{Policy, Principal};
use hubline_pipe::{Accepted, ConnectionHandler, ConnectionInfo, Frame};
use hubline_protocol::{ConnectionId, Dialect, HubProtocol, Naming, UserId};
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client_results::ClientResults;
use crate::inbox::HubInbox;
use crate::outbox::Outbox;
use crate::router::Router;
use crate::statistics::{Closed, Counters, Limit};
use crate::{
    Cancellation, CloseReason, Directory, Groups, Hub, HubClients, HubOptions, HubStatistics, connection,
};

/// A running hub, seen from outside of its methods: send to its clients, change its groups.
///
/// Cloning shares the hub.
#[derive(Clone)]
pub struct HubContext(pub(crate) Arc<HubCore>);

pub(crate) struct HubCore {
    pub(crate) hub: Hub,
    pub(crate) options: HubOptions,
    pub(crate) router: Arc<Router>,
    pub(crate) client_results: Arc<ClientResults>,
    pub(crate) backplane: Arc<dyn HubBackplane>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) directory: Option<Directory>,
    /// Calls that outlive their connection run to their end here.
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: AtomicBool,
    pub(crate) closed: Closed,
    pub(crate) counters: Counters,
    /// What clocks of its connections count from.
    pub(crate) started: Instant,
}

impl HubContext {
    /// Starts a hub: from now on it receives what other instances publish for it, and the directory, if there is
    /// one, learns of its connections.
    pub fn start(
        hub: Hub,
        options: HubOptions,
        backplane: &dyn Backplane,
        directory: Option<&dyn SessionDirectory>,
        tasks: TaskTracker,
    ) -> Self {
        let status = backplane.status();
        let sessions = directory.map(|directory| directory.attach(hub.name()));
        let router = Arc::new(Router::new(sessions.clone()));
        let directory =
            directory.zip(sessions).map(|(directory, hub)| Directory::new(hub, directory.calls()));
        let client_results = Arc::new(ClientResults::new(*status.borrow() == Status::Alone));
        let inbox = Arc::new(HubInbox {
            router: Arc::clone(&router),
            client_results: Arc::clone(&client_results),
            tasks: tasks.clone(),
            backplane: OnceLock::new(),
        });
        let attached = backplane.attach(hub.name(), Arc::clone(&inbox) as _);
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
            stopping: AtomicBool::new(false),
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
        self.0.hub.name()
    }

    /// What everybody who connects must be; see [`Hub::authorize`].
    pub fn authorization(&self) -> Option<&Policy> {
        self.0.hub.authorization()
    }

    pub(crate) fn naming(&self) -> Naming {
        self.0.hub.naming
    }

    pub(crate) fn dialect(&self, protocol: HubProtocol) -> Dialect {
        Dialect { protocol, naming: self.naming() }
    }

    /// How many connections this instance has.
    pub fn connection_count(&self) -> usize {
        self.0.router.len()
    }

    /// What has been counted since the hub was started, and how many connections there are.
    pub fn statistics(&self) -> HubStatistics {
        let mut statistics = HubStatistics {
            name: self.name().to_owned(),
            connections: self.connection_count(),
            closed: self.0.closed.counts(),
            senders_held: 0,
            sender_holds_timed_out: 0,
            limited: BTreeMap::new(),
        };
        self.0.counters.write(&mut statistics);
        statistics
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

    /// Whether a message that nobody waits for need not be waited for either: the backplane brings it back to the
    /// connections here only later, and so much of one sender may be on its way.
    pub(crate) fn may_post(&self, sender: Option<&Caller>, publication: &Publication) -> bool {
        let Some(Caller(sender)) = sender else { return true };
        let size = publication.frames.get(sender.outbox.protocol).map_or(0, Frame::size);
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let posted = sender.posted_bytes.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        let may_post = posted as usize <= self.0.options.outbound_limit_bytes / PART_ON_ITS_WAY;
        if !may_post {
            sender.posted_bytes.store(0, Ordering::Relaxed);
        }
        may_post
    }

    /// Waits until the backplane has whatever hub methods have sent before.
    pub async fn flush(&self) {
        self.0.backplane.flush().await;
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

    fn user_id(&self, info: &ConnectionInfo) -> Option<UserId> {
        (self.0.hub.user_id)(info)
    }
}

/// Of calls that their client does not wait for, each so many-th one waits for what it sends: a client that sends more
/// than the backplane takes is not read on, instead of filling the queue of all.
const CALLS_ON_THEIR_WAY: u32 = 32;

/// The same in bytes, as a part of what may wait for one connection.
const PART_ON_ITS_WAY: usize = 8;

/// The connection that calls a hub method. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Caller(pub(crate) Arc<CallerState>);

#[derive(Debug)]
pub(crate) struct CallerState {
    /// Of the newest request, where stateful reconnect brings several.
    info: RwLock<Arc<ConnectionInfo>>,
    pub(crate) user_id: Option<UserId>,
    pub(crate) outbox: Arc<Outbox>,
    /// Slots that running calls gave back early and the connection has not counted yet.
    pub(crate) slots_given_back: AtomicUsize,
    unawaited_calls: AtomicU32,
    /// Sent by such calls since one of them waited.
    posted_bytes: AtomicU32,
    aborted: OnceLock<CancellationToken>,
}

impl CallerState {
    pub(crate) fn new(info: ConnectionInfo, user_id: Option<UserId>, outbox: Arc<Outbox>) -> Self {
        Self {
            info: RwLock::new(Arc::new(info)),
            user_id,
            outbox,
            slots_given_back: AtomicUsize::new(0),
            unawaited_calls: AtomicU32::new(0),
            posted_bytes: AtomicU32::new(0),
            aborted: OnceLock::new(),
        }
    }

    /// Cancelled when the connection has ended. Most connections never make one.
    pub(crate) fn aborted(&self) -> &CancellationToken {
        self.aborted.get_or_init(CancellationToken::new)
    }

    /// Whether the next call that the client does not wait for has to wait for what it sends.
    pub(crate) fn next_unawaited_call_waits(&self) -> bool {
        self.unawaited_calls.fetch_add(1, Ordering::Relaxed) % CALLS_ON_THEIR_WAY == CALLS_ON_THEIR_WAY - 1
    }

    /// For later invocations: the same user with newer claims.
    pub(crate) fn replace_principal(&self, principal: Option<Arc<Principal>>) {
        let mut info = self.info.write();
        *info = Arc::new(ConnectionInfo { principal, ..ConnectionInfo::clone(&info) });
    }

    /// Shows a newer request. Who the connection belongs to stays.
    pub(crate) fn replace_info(&self, newer: ConnectionInfo) {
        let mut info = self.info.write();
        *info = Arc::new(ConnectionInfo { principal: info.principal.clone(), ..newer });
    }
}

impl Caller {
    /// Its id. Where others shall see who calls, show them the [`public_id`](Self::public_id): clients that negotiate with
    /// version 0 (`@aspnet/signalr` 1.x) or not at all have no other secret than this.
    pub fn connection_id(&self) -> &ConnectionId {
        &self.0.outbox.connection_id
    }

    /// What others may be shown in the place of its id: the id itself, unless that is a secret, else a name that is derived
    /// from it. See [`ConnectionInfo::public_id`].
    pub fn public_id(&self) -> ConnectionId {
        self.info().public_id()
    }

    /// Whom it belongs to, if anyone; decided once, when it connected.
    pub fn user_id(&self) -> Option<&UserId> {
        self.0.user_id.as_ref()
    }

    /// What its HTTP request said; with stateful reconnect the newest one.
    pub fn info(&self) -> Arc<ConnectionInfo> {
        Arc::clone(&self.0.info.read())
    }

    /// Who was signed in when it connected, or when the client last refreshed its authentication.
    pub fn principal(&self) -> Option<Arc<Principal>> {
        self.info().principal.clone()
    }

    /// Cancelled when the connection has ended (ASP.NET Core's `ConnectionAborted`).
    pub fn aborted(&self) -> Cancellation {
        Cancellation::new(self.0.aborted().clone())
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
