//! Connections that have been negotiated or are attached, by their token.

mod table;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use hubline_backplane::Fleet;
use hubline_pipe::{PipeEnd, Resumer};
use hubline_protocol::ConnectionId;
use hubline_protocol::negotiate::TransportKind;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use crate::ConnectionToken;
use crate::inbox::Inbox;
use crate::long_polling::LongPolling;
use crate::refresh::Refresh;
use crate::relay::{Answer, Carrier, Listening, Moved, Reachability, Relay, TokenKey};
use crate::statistics::ConnectionStatistics;
use crate::token::random_id;
use table::{Table, Waiting};

/// How long a negotiated connection waits for its transport, and a long-polling one for its next poll.
pub(crate) const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Most connections that wait for a request of their client, whatever their number a second: about 30 MB.
/// Full means that further negotiations are refused until some have attached or expired.
const WAITING_LIMIT: usize = 100_000;

/// Most bytes that were posted to connections without a transport, over all of them. Full means that such
/// POSTs are refused; no client posts before it has attached its transport.
const EARLY_LIMIT_BYTES: usize = 16 * 1024 * 1024;

const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// All connections of a process, shared by its endpoints: a token negotiated on one path opens on any.
#[derive(Debug, Clone, Default)]
pub struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    early_budget: Arc<Semaphore>,
    relay: OnceLock<Arc<Relay>>,
}

/// [`Connections`] that may be gone.
pub(crate) struct WeakConnections(Weak<Shared>);

/// A connection without a transport.
#[derive(Debug)]
pub(crate) struct Negotiated {
    pub(crate) id: ConnectionId,
    /// Whether stateful reconnect was granted.
    pub(crate) is_stateful: bool,
    /// What has been posted already; it waits for the transport.
    pub(crate) early: Option<Arc<Inbox>>,
    /// Whether other instances cannot tell by the token that it is here.
    is_looked_for: bool,
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

/// What is known of a token.
#[derive(Debug)]
pub(crate) enum Known {
    Negotiated,
    Attached(Attached),
}

/// Where a POST goes.
#[derive(Debug)]
pub(crate) enum Mailbox {
    Inbox(Arc<Inbox>),
    LongPolling(Arc<LongPolling>),
    /// Nowhere, these connections send for themselves.
    WebSocket,
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

    /// Adds a connection that has [`DISCONNECT_TIMEOUT`] to attach its transport.
    pub(crate) fn negotiate(
        &self,
        id: ConnectionId,
        token: ConnectionToken,
        is_stateful: bool,
    ) -> Result<(), TooManyWaiting> {
        let mut table = self.lock();
        if table.waiting() >= WAITING_LIMIT {
            return Err(TooManyWaiting);
        }
        let is_looked_for = token.is(&id);
        let negotiated = Waiting::Negotiated(Negotiated { id, is_stateful, early: None, is_looked_for });
        table.wait(token, negotiated, Instant::now() + DISCONNECT_TIMEOUT);
        self.keep_swept(&mut table);
        Ok(())
    }

    /// Adds a connection that was negotiated elsewhere, for the transport that has come in here; its inbox has
    /// `limit` bytes.
    pub(crate) fn adopt(&self, token: &str, moved: Moved, limit: usize) {
        let Moved { id, is_stateful, early } = moved;
        let early = (!early.is_empty()).then(|| Arc::new(Inbox::holding(&early, limit)));
        let negotiated = Waiting::Negotiated(Negotiated { id, is_stateful, early, is_looked_for: true });
        let mut table = self.lock();
        table.wait(ConnectionToken::from_text(token), negotiated, Instant::now() + DISCONNECT_TIMEOUT);
        self.keep_swept(&mut table);
    }

    /// Gives a connection without a transport to the instance that asks for it, and forgets it.
    pub(crate) fn hand_over(&self, token: &str) -> Answer {
        let mut table = self.lock();
        if let Some((_, negotiated)) = table.take_negotiated(token) {
            let is_stateful = negotiated.is_stateful;
            let early = negotiated.early.map(|early| early.give_away().into());
            return Answer::HandedOver { is_stateful, early };
        }
        match table.find(token) {
            Some(Known::Attached(attached)) => Answer::Attached(attached.carrier()),
            Some(Known::Negotiated) | None => Answer::Unknown,
        }
    }

    /// Puts a transport on a negotiated connection. `make` is called if it is there to be had.
    pub(crate) fn attach<T>(
        &self,
        token: &str,
        make: impl FnOnce(Negotiated) -> (Attached, T),
    ) -> Result<(T, Attachment), AttachError> {
        let mut table = self.lock();
        let Some((token, negotiated)) = table.take_negotiated(token) else {
            return Err(match table.find(token) {
                Some(Known::Attached(attached)) => AttachError::Attached(attached),
                Some(Known::Negotiated) | None => AttachError::Unknown,
            });
        };
        let looked_for = negotiated.is_looked_for.then(|| negotiated.id.clone());
        let (attached, made) = make(negotiated);
        table.attach(token.clone(), attached);
        Ok((made, Attachment::new(self.clone(), token, looked_for)))
    }

    /// Adds a WebSocket that comes without a negotiation.
    pub(crate) fn attach_new(&self) -> (ConnectionId, Attachment) {
        let id = random_id();
        let token = ConnectionToken::from(&id);
        self.lock().attach(token.clone(), Attached::WebSocket(None));
        (id, Attachment::new(self.clone(), token, None))
    }

    pub(crate) fn find(&self, token: &str) -> Option<Known> {
        self.lock().find(token)
    }

    /// Where a POST to this connection goes. Without a transport it gets an inbox of `limit` bytes.
    pub(crate) fn mailbox(&self, token: &str, limit: usize) -> Option<Mailbox> {
        let mut table = self.lock();
        if let Some(negotiated) = table.negotiated(token) {
            let early = || Arc::new(Inbox::early(limit, Arc::clone(&self.0.early_budget)));
            return Some(Mailbox::Inbox(Arc::clone(negotiated.early.get_or_insert_with(early))));
        }
        match table.find(token)? {
            Known::Negotiated => None,
            Known::Attached(Attached::WebSocket(_)) => Some(Mailbox::WebSocket),
            Known::Attached(Attached::ServerSentEvents(inbox)) => Some(Mailbox::Inbox(inbox)),
            Known::Attached(Attached::LongPolling(polling)) => Some(Mailbox::LongPolling(polling)),
        }
    }

    /// How the principal of this connection is renewed; `None` if it is not, or has no transport.
    pub(crate) fn refresh(&self, token: &str) -> Option<Arc<Refresh>> {
        self.lock().refresh(token)
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

impl Default for Shared {
    fn default() -> Self {
        let early_budget = Arc::new(Semaphore::new(EARLY_LIMIT_BYTES));
        Self { table: Mutex::default(), early_budget, relay: OnceLock::new() }
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

    /// Lets the connection's principal be renewed.
    pub(crate) fn refresh_by(&self, refresh: Arc<Refresh>) {
        self.connections.lock().refresh_by(self.token.clone(), refresh);
    }

    /// Whether the token is the public id, as in version 0 and without a negotiation.
    pub(crate) fn is_public(&self, id: &ConnectionId) -> bool {
        self.token.is(id)
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let mut table = self.connections.lock();
        let Some(Attached::LongPolling(polling)) = table.detach(&self.token, self.since) else { return };
        if let Some(linger) = polling.linger()
            && table.waiting() < WAITING_LIMIT
        {
            let ended = Waiting::Ended { polling, _listening: self.listening.take() };
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

impl Attached {
    pub(crate) fn transport(&self) -> TransportKind {
        match self {
            Self::WebSocket(_) => TransportKind::WebSockets,
            Self::ServerSentEvents(_) => TransportKind::ServerSentEvents,
            Self::LongPolling(_) => TransportKind::LongPolling,
        }
    }

    pub(crate) fn carrier(&self) -> Carrier {
        match self {
            Self::WebSocket(resumption) => Carrier::WebSocket { is_resumable: resumption.is_some() },
            Self::ServerSentEvents(_) => Carrier::ServerSentEvents,
            Self::LongPolling(_) => Carrier::LongPolling,
        }
    }
}

impl Negotiated {
    /// The inbox for a transport whose client sends by POST.
    pub(crate) fn inbox(&mut self, limit: usize) -> Arc<Inbox> {
        let inbox = self.early.take().unwrap_or_else(|| Arc::new(Inbox::new(limit)));
        inbox.attach();
        inbox
    }

    /// Nobody attached in time.
    fn expire(self) {
        if let Some(early) = self.early {
            early.end(PipeEnd::Lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(connections: &Connections) -> ConnectionToken {
        let token = ConnectionToken::random();
        connections.negotiate(random_id(), token.clone(), false).unwrap();
        token
    }

    fn attach(connections: &Connections, token: &ConnectionToken) -> Result<Attachment, AttachError> {
        connections.attach(token.as_str(), |_| (Attached::WebSocket(None), ())).map(|(_, place)| place)
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_attaches_once_and_is_forgotten_at_the_end() {
        let connections = Connections::default();
        let token = negotiated(&connections);
        assert!(matches!(connections.find(token.as_str()), Some(Known::Negotiated)));
        let attachment = attach(&connections, &token).unwrap();
        assert!(matches!(connections.find(token.as_str()), Some(Known::Attached(_))));
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
        let refused = connections.negotiate(random_id(), ConnectionToken::random(), false);
        assert_eq!(refused, Err(TooManyWaiting));
        let attached = attach(&connections, &first).unwrap();
        negotiated(&connections);
        drop(attached);
    }
}
