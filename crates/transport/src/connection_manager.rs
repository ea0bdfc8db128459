//! Connections that are attached or wait for something, by their token. What was negotiated and not claimed is not among
//! them: its token is all there is of it.

mod attached;
mod attachment;
mod claims;
mod listening;
mod table;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use hubline_backplane::Fleet;
use hubline_pipe::{ConnectionInfo, LifecycleObserver};
use hubline_protocol::ConnectionId;
use hubline_protocol::negotiate::TransportKind;
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::address_limits::AddressLimiter;
use crate::admission::Admission;
use crate::authentication::{Authentication, RefreshRules};
use crate::identity::EndpointId;
use crate::reachability::Reachability;
use crate::refusal::Refusal;
use crate::requester::Requester;
use crate::statistics::ConnectionStatistics;
use crate::tickets::{Seal, Ticket, Tickets, Verified};
use crate::token::DISCONNECT_TIMEOUT;
use crate::{AddressLimits, ConnectionToken};
use claims::Claim;
use table::{Pending, PendingReason, Table};

pub(crate) use attached::{AttachError, Attached, ConnectionState, Found, Negotiated, Owner, Resumption};
pub(crate) use attachment::Attachment;

const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// All connections of a process. Cloning shares them.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionManager(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    tickets: Arc<Tickets>,
    table: Mutex<Table>,
    /// By their names.
    endpoints: Mutex<HashMap<EndpointId, Registered>>,
    fleet: Option<FleetLink>,
    limiter: OnceLock<Arc<AddressLimiter>>,
    admission: OnceLock<Admission>,
    refuses_negotiations: AtomicBool,
    observer: OnceLock<Arc<dyn LifecycleObserver>>,
    /// How many it has refused.
    negotiations_refused: AtomicU64,
}

/// The other instances, where there are any.
#[derive(Debug)]
struct FleetLink {
    fleet: Arc<dyn Fleet>,
    reachability: Arc<Reachability>,
}

/// An endpoint as the others know it.
#[derive(Debug)]
struct Registered {
    name: Box<str>,
    /// Where its clients may refresh their authentication.
    refresh_rules: Option<Arc<RefreshRules>>,
}

/// A [`ConnectionManager`] that may be gone.
pub(crate) struct WeakConnectionManager(Weak<Shared>);

/// As many connections are pending for that reason as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyPending;

impl ConnectionManager {
    /// Those of one instance of a fleet.
    pub(crate) fn in_fleet(fleet: Arc<dyn Fleet>, tickets: Tickets) -> Self {
        let reachability = Arc::new(Reachability::new(fleet.status()));
        Self::new(tickets, Some(FleetLink { fleet, reachability }))
    }

    /// Those of a server without a fleet.
    pub(crate) fn alone(tickets: Tickets) -> Self {
        Self::new(tickets, None)
    }

    fn new(tickets: Tickets, fleet: Option<FleetLink>) -> Self {
        Self(Arc::new(Shared {
            tickets: Arc::new(tickets),
            table: Mutex::default(),
            endpoints: Mutex::default(),
            fleet,
            limiter: OnceLock::new(),
            admission: OnceLock::new(),
            refuses_negotiations: AtomicBool::new(false),
            observer: OnceLock::new(),
            negotiations_refused: AtomicU64::new(0),
        }))
    }

    pub(crate) fn downgrade(&self) -> WeakConnectionManager {
        WeakConnectionManager(Arc::downgrade(&self.0))
    }

    pub(crate) fn tickets(&self) -> &Arc<Tickets> {
        &self.0.tickets
    }

    pub(crate) fn fleet(&self) -> Option<&Arc<dyn Fleet>> {
        self.0.fleet.as_ref().map(|link| &link.fleet)
    }

    /// Since when the other instances can be reached; `None` if there are none.
    pub(crate) fn reachability(&self) -> Option<&Arc<Reachability>> {
        self.0.fleet.as_ref().map(|link| &link.reachability)
    }

    /// What has been counted since they were made, and how many there are.
    pub(crate) fn statistics(&self) -> ConnectionStatistics {
        let mut statistics = self.lock().statistics.clone();
        if let Some(limiter) = self.limiter() {
            statistics.address_refusals = limiter.refusals();
        }
        statistics.negotiations_refused = self.0.negotiations_refused.load(Ordering::Relaxed);
        statistics.delayed = self.0.admission.get().map_or(0, Admission::delayed);
        statistics
    }

    /// Has an observer told what happens to connections. The first call counts.
    pub(crate) fn observe(&self, observer: Arc<dyn LifecycleObserver>) {
        self.0.observer.get_or_init(|| observer);
    }

    pub(crate) fn observer(&self) -> Option<&dyn LifecycleObserver> {
        self.0.observer.get().map(|observer| &**observer)
    }

    /// Limits what each address may have and do from now on. The first call counts.
    pub(crate) fn limit_addresses(&self, limits: AddressLimits) {
        if let Some(limiter) = AddressLimiter::new(limits) {
            self.0.limiter.get_or_init(|| limiter);
        }
    }

    pub(crate) fn limiter(&self) -> Option<&Arc<AddressLimiter>> {
        self.0.limiter.get()
    }

    /// Lets so many clients in a second from now on. The first call counts.
    pub(crate) fn limit_rate(&self, per_second: u32) {
        if let Some(admission) = Admission::new(per_second) {
            self.0.admission.get_or_init(|| admission);
        }
    }

    /// Ready when it is the turn of a client that comes.
    pub(crate) async fn turn(&self) {
        if let Some(admission) = self.0.admission.get() {
            admission.turn().await;
        }
    }

    pub(crate) fn refuse_negotiations(&self) {
        self.0.refuses_negotiations.store(true, Ordering::Relaxed);
    }

    /// Whether negotiations are refused, of which this one is counted.
    pub(crate) fn refuses_negotiation(&self) -> bool {
        let refuses = self.0.refuses_negotiations.load(Ordering::Relaxed);
        if refuses {
            self.0.negotiations_refused.fetch_add(1, Ordering::Relaxed);
        }
        refuses
    }

    /// Says that the server is stopping: connections that end from now on count as ended by that.
    pub(crate) fn stopping(&self) {
        self.lock().is_stopping = true;
    }

    /// Takes a name for an endpoint.
    ///
    /// # Panics
    /// Another endpoint has it.
    #[track_caller]
    pub(crate) fn add_endpoint(&self, name: &str, refresh_rules: Option<Arc<RefreshRules>>) -> EndpointId {
        let id = EndpointId::named(name);
        match self.0.endpoints.lock().entry(id) {
            Entry::Vacant(free) => _ = free.insert(Registered { name: name.into(), refresh_rules }),
            Entry::Occupied(taken) => panic!(
                "two endpoints of one server are named `{name}` (the other one as `{}`), but a connection belongs to one: \
                 map them on different paths, or give one another name with EndpointOptions::name",
                taken.get().name
            ),
        }
        id
    }

    /// A token for a connection that is negotiated now, of which nothing is kept. It can be claimed for
    /// [`DISCONNECT_TIMEOUT`].
    pub(crate) fn issue(
        &self,
        id: &ConnectionId,
        is_stateful: bool,
        requester: &Requester,
    ) -> ConnectionToken {
        self.0.tickets.issue(id, is_stateful, requester)
    }

    /// What a token tells; `None` if it is forged, no token at all, or another endpoint's.
    pub(crate) async fn read(&self, token: &str, requester: &Requester) -> Option<Verified> {
        self.0.tickets.read(token, requester, self.fleet().map(|fleet| &**fleet)).await
    }

    /// Adds a connection of version 0, which has [`DISCONNECT_TIMEOUT`] to attach its transport.
    pub(crate) fn negotiate_version_0(&self, negotiated: Negotiated) -> Result<(), TooManyPending> {
        let token = ConnectionToken::from(&negotiated.id);
        self.add_pending(token, negotiated, PendingReason::Version0)
    }

    /// Whether a connection was negotiated here that nobody has claimed yet.
    pub(crate) fn is_unclaimed(&self, ticket: &Ticket) -> bool {
        self.0.tickets.is_own_and_fresh(ticket) && !self.lock().claims.contains(ticket.seal)
    }

    /// Claims a connection for a transport on this instance. If another request was faster, that one keeps it.
    pub(crate) fn claim(&self, token: &str, ticket: &Ticket, owner: Owner) -> Result<(), Refusal> {
        self.begin(token, ticket, owner, PendingReason::Claimed)
    }

    /// Claims a connection for a transport on another instance.
    pub(crate) fn claim_for_another(&self, ticket: &Ticket) -> Result<(), Refusal> {
        let mut table = self.lock();
        let claim = table.claims.claim(ticket.seal, Instant::now());
        self.keep_swept(&mut table);
        match claim {
            Claim::Granted => Ok(()),
            Claim::Taken => Err(Refusal::Attached),
            Claim::Full => Err(Refusal::TooMany),
        }
    }

    /// Claims a connection for a refresh that comes before its transport: from now on the connection has an authentication
    /// of its own.
    pub(crate) fn claim_for_refresh(
        &self,
        token: &str,
        ticket: &Ticket,
        requester: &Requester,
    ) -> Result<(), Refusal> {
        let endpoints = self.0.endpoints.lock();
        let rules = endpoints.get(&ticket.endpoint).and_then(|endpoint| endpoint.refresh_rules.clone());
        drop(endpoints);
        let authentication = rules.zip(requester.credentials.as_deref()).map(|(rules, credentials)| {
            let info = ConnectionInfo {
                principal: credentials.principal.clone(),
                query: credentials.query.clone(),
                ..ConnectionInfo::new(ticket.id.clone(), TransportKind::WebSockets)
            };
            Authentication::new(rules, info, true)
        });
        let owner = Owner { endpoint: ticket.endpoint, identity: requester.identity, authentication };
        self.begin(token, ticket, owner, PendingReason::Refreshed)
    }

    fn begin(
        &self,
        token: &str,
        ticket: &Ticket,
        owner: Owner,
        reason: PendingReason,
    ) -> Result<(), Refusal> {
        let (id, is_stateful) = (ticket.id.clone(), ticket.is_stateful);
        match self.lock().claims.claim(ticket.seal, Instant::now()) {
            Claim::Granted => {}
            Claim::Taken => return Ok(()),
            Claim::Full => return Err(Refusal::TooMany),
        }
        let negotiated = Negotiated { id, is_stateful, owner, is_looked_for: false };
        self.add_pending(ConnectionToken::from_text(token), negotiated, reason)
            .map_err(|TooManyPending| Refusal::TooMany)
    }

    /// Adds a connection that was negotiated elsewhere, for the transport that has come in here; `seal` is its token's, if
    /// that has one.
    pub(crate) fn adopt(
        &self,
        token: &str,
        seal: Option<Seal>,
        negotiated: Negotiated,
    ) -> Result<(), Refusal> {
        if let Some(seal) = seal {
            match self.lock().adopted.claim(seal, Instant::now()) {
                Claim::Granted => {}
                // It was here, and has ended.
                Claim::Taken => return Err(Refusal::Unknown),
                Claim::Full => return Err(Refusal::TooMany),
            }
        }
        let added = self.add_pending(ConnectionToken::from_text(token), negotiated, PendingReason::Claimed);
        added.map_err(|TooManyPending| Refusal::TooMany)
    }

    fn add_pending(
        &self,
        token: ConnectionToken,
        negotiated: Negotiated,
        reason: PendingReason,
    ) -> Result<(), TooManyPending> {
        let mut table = self.lock();
        let added = table.add_pending(
            token,
            Pending::Negotiated(negotiated),
            reason,
            Instant::now() + DISCONNECT_TIMEOUT,
        );
        self.keep_swept(&mut table);
        if added.is_err() {
            table.statistics.refused += 1;
            if table.statistics.refused == 1 {
                tracing::warn!(
                    "as many connections of version 0, or refreshed before their transport came, wait as may: more get \
                     503 until some have come or 15 s have gone, and are counted. Others are not concerned; \
                     SignalR:MinimumProtocolVersion=1 (EndpointOptions::minimum_protocol_version) refuses version 0"
                );
            }
        }
        added
    }

    /// Removes a connection without a transport, for the instance that asks for it. `None` if there is none.
    pub(crate) fn hand_over(&self, token: &str) -> Option<Negotiated> {
        self.lock().take_negotiated(token).map(|(_, negotiated)| negotiated)
    }

    /// Attaches a transport to a negotiated connection. `make` is called with the connection, if it has no transport.
    pub(crate) fn attach<T>(
        &self,
        token: &str,
        make: impl FnOnce(Negotiated) -> (Attached, T),
    ) -> Result<(T, Attachment), AttachError> {
        let mut table = self.lock();
        let Some((token, negotiated)) = table.take_negotiated(token) else {
            return Err(match table.find(token).map(|found| found.state) {
                Some(ConnectionState::Attached(attached)) => AttachError::Attached(attached),
                Some(ConnectionState::Negotiated) | None => AttachError::Unknown,
            });
        };
        let looked_for = negotiated.is_looked_for.then(|| negotiated.id.clone());
        let owner = negotiated.owner.clone();
        let (attached, made) = make(negotiated);
        table.attach(token.clone(), attached, owner);
        Ok((made, Attachment::new(self.clone(), token, looked_for)))
    }

    /// Adds a WebSocket that comes without a negotiation.
    pub(crate) fn attach_new(&self, id: &ConnectionId, owner: Owner) -> Attachment {
        let token = ConnectionToken::from(id);
        self.lock().attach(token.clone(), Attached::WebSocket(None), owner);
        Attachment::new(self.clone(), token, None)
    }

    pub(crate) fn find(&self, token: &str) -> Option<Found> {
        self.lock().find(token)
    }

    /// Starts a task that drops expired entries, unless one runs. It ends when nothing is pending, and is replaced if its
    /// runtime has gone.
    fn keep_swept(&self, table: &mut Table) {
        let now = Instant::now();
        if table.swept.is_some_and(|swept| now < swept + 3 * SWEEP_INTERVAL) {
            return;
        }
        table.sweep(now);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(sweep(Arc::downgrade(&self.0)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }
}

async fn sweep(connections: Weak<Shared>) {
    loop {
        sleep(SWEEP_INTERVAL).await;
        let Some(connections) = connections.upgrade() else { return };
        let mut table = connections.lock();
        table.sweep(Instant::now());
        if table.is_swept_clean() {
            table.swept = None;
            return;
        }
    }
}

impl WeakConnectionManager {
    pub(crate) fn upgrade(&self) -> Option<ConnectionManager> {
        self.0.upgrade().map(ConnectionManager)
    }
}

#[cfg(test)]
mod tests;
