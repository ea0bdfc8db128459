//! Connections that have been negotiated or are attached, by their token.

mod table;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use hubline_backplane::Fleet;
use hubline_pipe::{Accepted, Resumer};
use hubline_protocol::ConnectionId;
use hubline_protocol::negotiate::TransportKind;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::ConnectionToken;
use crate::authentication::Authentication;
use crate::gate::Refusal;
use crate::identity::{EndpointId, Identity};
use crate::inbox::Inbox;
use crate::long_polling::LongPolling;
use crate::relay::{Listening, Reachability, Relay, TokenKey};
use crate::statistics::ConnectionStatistics;
use table::{Table, Waiting};

/// How long a negotiated connection waits for its transport, and a long-polling one for its next poll.
pub(crate) const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Most connections that wait for a request of their client, whatever their number a second: about 30 MB.
/// Full means that further negotiations are refused until some have attached or expired.
const WAITING_LIMIT: usize = 100_000;

const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// All connections of a process, shared by its endpoints.
#[derive(Debug, Clone, Default)]
pub struct Connections(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    /// By their names.
    endpoints: Mutex<HashMap<EndpointId, Box<str>>>,
    relay: OnceLock<Arc<Relay>>,
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

/// [`WAITING_LIMIT`] is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyWaiting;

impl Connections {
    /// Those of one instance of a fleet, whose clients may send each request to any instance.
    ///
    /// `keys` sign connection tokens, the first new ones; all instances have the same. Without keys the instances
    /// agree on one. Needs a tokio runtime.
    pub fn in_fleet(fleet: Arc<dyn Fleet>, keys: Vec<TokenKey>) -> Self {
        let connections = Self::default();
        let relay = Relay::join(fleet, keys, WeakConnections(Arc::downgrade(&connections.0)));
        connections.0.relay.get_or_init(|| relay);
        connections
    }

    /// What has been counted since they were made, and how many there are.
    pub fn statistics(&self) -> ConnectionStatistics {
        self.lock().statistics.clone()
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
    pub(crate) fn add_endpoint(&self, name: &str) -> EndpointId {
        let id = EndpointId::named(name);
        match self.0.endpoints.lock().unwrap_or_else(PoisonError::into_inner).entry(id) {
            Entry::Vacant(free) => _ = free.insert(name.into()),
            Entry::Occupied(taken) => panic!(
                "two endpoints of one server are named `{name}` (the other one as `{}`), but a connection belongs to one: \
                 map them on different paths, or give one another name with EndpointOptions::name",
                taken.get()
            ),
        }
        id
    }

    /// Adds a connection that has [`DISCONNECT_TIMEOUT`] to attach its transport.
    pub(crate) fn negotiate(
        &self,
        token: ConnectionToken,
        negotiated: Negotiated,
    ) -> Result<(), TooManyWaiting> {
        let mut table = self.lock();
        if table.waiting() >= WAITING_LIMIT {
            return Err(TooManyWaiting);
        }
        table.wait(token, Waiting::Negotiated(negotiated), Instant::now() + DISCONNECT_TIMEOUT);
        self.keep_swept(&mut table);
        Ok(())
    }

    /// Adds a connection that was negotiated elsewhere, for the transport that has come in here.
    pub(crate) fn adopt(&self, token: &str, negotiated: Negotiated) {
        let mut table = self.lock();
        let expires = Instant::now() + DISCONNECT_TIMEOUT;
        table.wait(ConnectionToken::from_text(token), Waiting::Negotiated(negotiated), expires);
        self.keep_swept(&mut table);
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep(connections: Weak<Shared>) {
    loop {
        sleep(SWEEP_INTERVAL).await;
        let Some(connections) = connections.upgrade() else { return };
        let mut table = connections.lock();
        table.sweep(Instant::now());
        if table.waiting() == 0 {
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
    since: Instant,
}

impl Attachment {
    fn new(connections: Connections, token: ConnectionToken, looked_for: Option<ConnectionId>) -> Self {
        Self { connections, token, looked_for, listening: None, since: Instant::now() }
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
        if let Some(linger) = polling.linger()
            && table.waiting() < WAITING_LIMIT
        {
            let ended = Waiting::Ended { polling, owner, _listening: self.listening.take() };
            table.wait(self.token.clone(), ended, Instant::now() + linger);
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
mod tests {
    use super::*;
    use crate::token::random_id;

    fn of_nobody() -> Negotiated {
        let endpoint = EndpointId::named("/hub");
        let owner = Owner { endpoint, identity: Identity::NOBODY, authentication: None };
        Negotiated { id: random_id(), is_stateful: false, owner, is_looked_for: false }
    }

    fn negotiated(connections: &Connections) -> ConnectionToken {
        let token = ConnectionToken::random();
        connections.negotiate(token.clone(), of_nobody()).unwrap();
        token
    }

    fn attach(connections: &Connections, token: &ConnectionToken) -> Result<Attachment, AttachError> {
        connections.attach(token.as_str(), |_| (Attached::WebSocket(None), ())).map(|(_, place)| place)
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_attaches_once_and_is_forgotten_at_the_end() {
        let connections = Connections::default();
        let token = negotiated(&connections);
        let known = |token: &ConnectionToken| connections.find(token.as_str()).map(|found| found.known);
        assert!(matches!(known(&token), Some(Known::Negotiated)));
        let attachment = attach(&connections, &token).unwrap();
        assert!(matches!(known(&token), Some(Known::Attached(_))));
        assert!(matches!(attach(&connections, &token), Err(AttachError::Attached(_))));
        drop(attachment);
        assert!(matches!(attach(&connections, &token), Err(AttachError::Unknown)));
    }

    #[tokio::test(start_paused = true)]
    async fn connections_count_while_they_have_a_transport() {
        let connections = Connections::default();
        let tokens = [(); 2].map(|()| negotiated(&connections));
        assert_eq!(connections.statistics(), ConnectionStatistics::default());
        let [first, second] = tokens.map(|token| attach(&connections, &token).unwrap());
        assert_eq!(connections.statistics().web_sockets.active, 2);
        sleep(Duration::from_secs(3)).await;
        drop(first);
        connections.stopping();
        drop(second);
        let counted = connections.statistics().web_sockets;
        assert_eq!((counted.active, counted.normal_closure.count, counted.app_shutdown.count), (0, 1, 1));
        assert_eq!(counted.app_shutdown.sum, Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn abandoned_negotiations_are_dropped_unasked() {
        let connections = Connections::default();
        let old = negotiated(&connections);
        sleep(DISCONNECT_TIMEOUT - Duration::from_millis(1)).await;
        assert!(connections.find(old.as_str()).is_some());
        sleep(Duration::from_millis(1)).await;
        assert!(connections.find(old.as_str()).is_none());
        sleep(SWEEP_INTERVAL).await;
        assert_eq!(connections.lock().waiting(), 0);
        assert_eq!(connections.lock().swept, None, "the sweeper has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_may_wait() {
        let connections = Connections::default();
        let first = negotiated(&connections);
        for _ in 1..WAITING_LIMIT {
            negotiated(&connections);
        }
        let refused = connections.negotiate(ConnectionToken::random(), of_nobody());
        assert_eq!(refused, Err(TooManyWaiting));
        let attached = attach(&connections, &first).unwrap();
        negotiated(&connections);
        drop(attached);
    }
}
