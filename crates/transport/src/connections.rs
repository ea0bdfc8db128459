//! Connections that are attached or wait for something, by their token. What was negotiated and not claimed is not among
//! them: its token is all there is of it.

mod claims;
mod table;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use hubline_backplane::Fleet;
use hubline_pipe::{Accepted, ConnectionInfo, Resumer};
use hubline_protocol::ConnectionId;
use hubline_protocol::negotiate::TransportKind;
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::address_limits::{AddressLimiter, Counted};
use crate::authentication::{Authentication, RefreshRules};
use crate::gate::{Refusal, Requester};
use crate::identity::{EndpointId, Identity};
use crate::inbox::Inbox;
use crate::long_polling::LongPolling;
use crate::relay::{Listening, Reachability, Relay};
use crate::statistics::ConnectionStatistics;
use crate::tickets::{Seal, Ticket, Tickets, TokenKey, Verified};
use crate::{AddressLimits, ConnectionToken};
use claims::Claim;
use table::{Table, Waiting, Why};

/// How long a negotiated connection waits for its transport, and a long-polling one for its next poll.
pub(crate) const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(15);

const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// All connections of a process, shared by its endpoints.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    tickets: Arc<Tickets>,
    table: Mutex<Table>,
    /// By their names.
    endpoints: Mutex<HashMap<EndpointId, Registered>>,
    relay: OnceLock<Arc<Relay>>,
    limiter: OnceLock<Arc<AddressLimiter>>,
}

/// An endpoint as the others know it.
#[derive(Debug)]
struct Registered {
    name: Box<str>,
    /// Where its clients may refresh their authentication.
    refresh_rules: Option<Arc<RefreshRules>>,
}

/// [`Connections`] that may be gone.
pub(crate) struct WeakConnections(Weak<Shared>);

/// Whom a connection belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) endpoint: EndpointId,
    /// Who has negotiated it, or opened it if nobody has.
    pub(crate) identity: Identity,
    /// Where the endpoint lets its clients refresh it; then the identity may be another one by now.
    pub(crate) authentication: Option<Arc<Authentication>>,
}

/// A connection without a transport.
#[derive(Debug)]
pub(crate) struct Negotiated {
    pub(crate) id: ConnectionId,
    /// Whether stateful reconnect was granted.
    pub(crate) is_stateful: bool,
    pub(crate) owner: Owner,
    /// Whether other instances cannot tell by the token that it is here.
    pub(crate) is_looked_for: bool,
}

/// What carries a connection.
#[derive(Debug, Clone)]
pub(crate) enum Attached {
    WebSocket(Option<Arc<Resumption>>),
    ServerSentEvents(Arc<Inbox>),
    LongPolling(Arc<LongPolling>),
}

/// How a WebSocket of a connection with stateful reconnect is followed by another.
#[derive(Debug)]
pub(crate) struct Resumption {
    pub(crate) id: ConnectionId,
    pub(crate) resumer: Resumer,
    /// When the authentication of the newest request ends, where connections end with it.
    expires: Mutex<Option<Instant>>,
}

/// What a request makes of when its connection's authentication ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// It ends then; `None`: never, or without an end of the connection.
    At(Option<Instant>),
    /// The request's own token has expired.
    Unchanged,
}

/// A connection that is here.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) known: Known,
    pub(crate) owner: Owner,
}

/// How far a connection has come.
#[derive(Debug)]
pub(crate) enum Known {
    Negotiated,
    Attached(Attached),
}

/// Why a transport cannot be attached.
#[derive(Debug)]
pub(crate) enum AttachError {
    /// Never negotiated, expired, or ended.
    Unknown,
    /// It has a transport already.
    Attached(Attached),
}

/// As many wait already as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyWaiting;

impl Resumption {
    pub(crate) fn new(id: ConnectionId, resumer: Resumer, expires: Option<Instant>) -> Self {
        Self { id, resumer, expires: Mutex::new(expires) }
    }

    /// When the authentication ends that a resumption leaves.
    pub(crate) fn expires(&self, expiry: Expiry) -> Option<Instant> {
        let mut expires = self.expires.lock();
        if let Expiry::At(newer) = expiry {
            *expires = newer;
        }
        *expires
    }
}

impl Connections {
    /// Those of one instance of a fleet, whose clients may send each request to any instance.
    ///
    /// `keys` sign connection tokens, the first new ones; all instances have the same. Without keys the instances
    /// agree on one. Needs a tokio runtime.
    pub fn in_fleet(fleet: Arc<dyn Fleet>, keys: Vec<TokenKey>) -> Self {
        let tickets = Arc::new(Tickets::of_fleet(fleet.instance(), keys));
        let connections = Self::with(Arc::clone(&tickets));
        let relay = Relay::join(fleet, tickets, WeakConnections(Arc::downgrade(&connections.0)));
        connections.0.relay.get_or_init(|| relay);
        connections
    }

    fn with(tickets: Arc<Tickets>) -> Self {
        Self(Arc::new(Shared {
            tickets,
            table: Mutex::default(),
            endpoints: Mutex::default(),
            relay: OnceLock::new(),
            limiter: OnceLock::new(),
        }))
    }

    /// What has been counted since they were made, and how many there are.
    pub fn statistics(&self) -> ConnectionStatistics {
        let mut statistics = self.lock().statistics.clone();
        if let Some(limiter) = self.limiter() {
            statistics.address_refusals = limiter.refusals();
        }
        statistics
    }

    /// Limits what each address may have and do from now on. The first call counts.
    pub fn limit_addresses(&self, limits: AddressLimits) {
        if let Some(limiter) = AddressLimiter::new(limits) {
            self.0.limiter.get_or_init(|| limiter);
        }
    }

    pub(crate) fn limiter(&self) -> Option<&Arc<AddressLimiter>> {
        self.0.limiter.get()
    }

    /// Says that the server is stopping: connections that end from now on count as ended by that.
    pub fn stopping(&self) {
        self.lock().is_stopping = true;
    }

    pub(crate) fn relay(&self) -> Option<&Arc<Relay>> {
        self.0.relay.get()
    }

    pub(crate) fn reach(&self) -> Option<Arc<Reachability>> {
        self.relay().map(|relay| Arc::clone(relay.reach()))
    }

    /// Takes a name for an endpoint.
    ///
    /// # Panics
    /// Another endpoint has it.
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
        self.0.tickets.read(token, requester, self.relay().map(|relay| relay.fleet())).await
    }

    /// Adds a connection of version 0, which has [`DISCONNECT_TIMEOUT`] to attach its transport.
    pub(crate) fn negotiate_version_0(&self, negotiated: Negotiated) -> Result<(), TooManyWaiting> {
        let token = ConnectionToken::from(&negotiated.id);
        self.wait(token, negotiated, Why::Version0)
    }

    /// Whether a connection was negotiated here that nobody has claimed yet.
    pub(crate) fn is_unclaimed(&self, ticket: &Ticket) -> bool {
        self.0.tickets.is_own_and_fresh(ticket) && !self.lock().claims.contains(ticket.seal)
    }

    /// Claims a connection for the transport that has come in here. If somebody else was faster he has it.
    pub(crate) fn claim(&self, token: &str, ticket: &Ticket, owner: Owner) -> Result<(), Refusal> {
        self.begin(token, ticket, owner, Why::Claimed)
    }

    /// The same for the instance where a transport has come in.
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

    /// The same for a refresh, before there is a transport: from now on the connection has an authentication of its own.
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
                id: ticket.id.clone(),
                is_id_secret: false,
                transport: TransportKind::WebSockets,
                principal: credentials.principal.clone(),
                path: Box::default(),
                query: credentials.query.clone(),
                remote_address: None,
            };
            Authentication::new(rules, info, true)
        });
        let owner = Owner { endpoint: ticket.endpoint, identity: requester.identity, authentication };
        self.begin(token, ticket, owner, Why::Refreshed)
    }

    fn begin(&self, token: &str, ticket: &Ticket, owner: Owner, why: Why) -> Result<(), Refusal> {
        let (id, is_stateful) = (ticket.id.clone(), ticket.is_stateful);
        match self.lock().claims.claim(ticket.seal, Instant::now()) {
            Claim::Granted => {}
            Claim::Taken => return Ok(()),
            Claim::Full => return Err(Refusal::TooMany),
        }
        let negotiated = Negotiated { id, is_stateful, owner, is_looked_for: false };
        self.wait(ConnectionToken::from_text(token), negotiated, why)
            .map_err(|TooManyWaiting| Refusal::TooMany)
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
        let waits = self.wait(ConnectionToken::from_text(token), negotiated, Why::Claimed);
        waits.map_err(|TooManyWaiting| Refusal::TooMany)
    }

    fn wait(&self, token: ConnectionToken, negotiated: Negotiated, why: Why) -> Result<(), TooManyWaiting> {
        let mut table = self.lock();
        let waits =
            table.wait(token, Waiting::Negotiated(negotiated), why, Instant::now() + DISCONNECT_TIMEOUT);
        self.keep_swept(&mut table);
        if waits.is_err() {
            table.statistics.refused += 1;
            if table.statistics.refused == 1 {
                tracing::warn!(
                    "as many connections of version 0, or refreshed before their transport came, wait as may: more get \
                     503 until some have come or 15 s have gone, and are counted. Others are not concerned; \
                     SignalR:MinimumProtocolVersion=1 (EndpointOptions::minimum_protocol_version) refuses version 0"
                );
            }
        }
        waits
    }

    /// Gives a connection without a transport to the instance that asks for it, and forgets it. `None` if there is
    /// none.
    pub(crate) fn hand_over(&self, token: &str) -> Option<Negotiated> {
        self.lock().take_negotiated(token).map(|(_, negotiated)| negotiated)
    }

    /// Puts a transport on a negotiated connection. `make` is called if it is there to be had.
    pub(crate) fn attach<T>(
        &self,
        token: &str,
        make: impl FnOnce(Negotiated) -> (Attached, T),
    ) -> Result<(T, Attachment), AttachError> {
        let mut table = self.lock();
        let Some((token, negotiated)) = table.take_negotiated(token) else {
            return Err(match table.find(token).map(|found| found.known) {
                Some(Known::Attached(attached)) => AttachError::Attached(attached),
                Some(Known::Negotiated) | None => AttachError::Unknown,
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

    /// Sees to it that what waits too long is dropped although nobody asks for it. The sweeper ends when
    /// nothing waits, and is replaced if its runtime has gone.
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

impl Default for Connections {
    /// Those of a server without a fleet.
    fn default() -> Self {
        Self::with(Arc::new(Tickets::of_process()))
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

/// Holds an attached connection's place; dropping it forgets the connection, or, if polls may still fetch
/// its last messages, lets it wait for them.
#[derive(Debug)]
pub(crate) struct Attachment {
    connections: Connections,
    token: ConnectionToken,
    /// Other instances cannot tell by the token that this connection is here.
    looked_for: Option<ConnectionId>,
    listening: Option<Listening>,
    /// What counts it for its address.
    counted: Option<Box<Counted>>,
    since: Instant,
}

impl Attachment {
    fn new(connections: Connections, token: ConnectionToken, looked_for: Option<ConnectionId>) -> Self {
        Self { connections, token, looked_for, listening: None, counted: None, since: Instant::now() }
    }

    /// Counts the connection for its address as long as it lasts.
    pub(crate) fn count(&mut self, counted: Option<Box<Counted>>) {
        self.counted = counted;
    }

    /// Lets other instances find the connection. To be awaited before its client learns that it is attached.
    pub(crate) async fn be_found(&mut self) {
        if let (Some(id), Some(relay)) = (self.looked_for.take(), self.connections.0.relay.get()) {
            self.listening = Some(relay.listen(&id).await);
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
            let ended = Waiting::Ended { polling, owner, _listening: self.listening.take() };
            // Where too many wait its last messages are lost with it.
            _ = table.wait(self.token.clone(), ended, Why::Ended, Instant::now() + linger);
            self.connections.keep_swept(&mut table);
        }
    }
}

impl WeakConnections {
    pub(crate) fn upgrade(&self) -> Option<Connections> {
        self.0.upgrade().map(Connections)
    }
}

impl Owner {
    /// The connection is opened: what the credentials of its transport mean is decided.
    pub(crate) fn open(self, accepted: Accepted) -> Accepted {
        match self.authentication {
            Some(authentication) => authentication.open(accepted),
            None => accepted,
        }
    }
}

impl AttachError {
    /// What the client is told whose `wanted` transport came too late.
    pub(crate) fn refusal(&self, wanted: TransportKind) -> Refusal {
        match self {
            Self::Unknown => Refusal::Unknown,
            Self::Attached(attached) if attached.transport() == wanted => Refusal::Attached,
            Self::Attached(_) => Refusal::TransportChanged,
        }
    }
}

impl Attached {
    /// Where POSTs go; `None` if their client has ended the connection, or sends for itself.
    pub(crate) fn inbox(&self) -> Option<Arc<Inbox>> {
        match self {
            Self::WebSocket(_) => None,
            Self::ServerSentEvents(inbox) => Some(Arc::clone(inbox)),
            Self::LongPolling(polling) => polling.inbox().cloned(),
        }
    }

    pub(crate) fn transport(&self) -> TransportKind {
        match self {
            Self::WebSocket(_) => TransportKind::WebSockets,
            Self::ServerSentEvents(_) => TransportKind::ServerSentEvents,
            Self::LongPolling(_) => TransportKind::LongPolling,
        }
    }
}

#[cfg(test)]
mod tests;
