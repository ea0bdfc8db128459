//! Requests that reach another instance than the one with their connection.
//!
//! Load balancers send each request anywhere. Every instance can read a connection's token ([`crate::tickets`]): it names
//! the instance that negotiated, and nobody else can make one. So a request for a connection that is not
//! here is either forged, or sent on ([`client`]) and carried out by the instance with the connection ([`server`]):
//!
//! - A request that brings a transport gets the connection itself handed over: a connection is where its
//!   WebSocket, its event stream or its first poll came in. A connection that has moved so listens at an
//!   address of its own; all others are found at their negotiator.
//! - Polls, POSTs and DELETEs are carried out where the connection is, and get its reply.
//! - If the negotiator is gone, whoever asks first claims the connection, which the token describes whole.
//!   While no instance can be reached at all, the transport is served where it came in.
//!
//! With version 0 the token is the public id and says nothing: such connections always listen at their own
//! address, and a record in the fleet's store tells for 15 s which instance has negotiated.

mod client;
mod message;
mod negotiation_record;
mod rate_limit;
mod server;
mod tunnel;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubline_backplane::{Address, Fleet, FleetInbox, InstanceId, NotUnderstood, Status, Unreachable};
use hubline_protocol::ConnectionId;
use hubline_supervision::{Vital, supervise};
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use self::client::RelayClient;
use self::message::Message;
use self::negotiation_record::NegotiationRecord;
use self::rate_limit::RateLimit;
use self::server::RelayServer;
use crate::connection_manager::{ConnectionManager, WeakConnectionManager};
use crate::reachability::Reachability;
use crate::refusal::Refusal;
use crate::requester::Requester;
use crate::tickets::{Seal, Tickets, Verified};
use crate::token::DISCONNECT_TIMEOUT;

pub(crate) use client::{Exchange, RelayError};
pub(crate) use message::{Operation, RefreshedPrincipal, Reply, milliseconds};
pub(crate) use tunnel::TunnelEnd;

/// Between looks at whether the fleet still signs with the same key.
const BETWEEN_AGREEMENTS: u32 = 10;
const TICK: Duration = Duration::from_secs(1);
/// How long a negotiation waits until its record is stored.
const RECORD_PATIENCE: Duration = Duration::from_secs(1);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// An older socket may take 5 s to close, and an application 10 s to judge the newer principal.
const RESUME_PATIENCE: Duration = Duration::from_secs(16);
/// A claim outlives the token by far.
const CLAIMED_FOR: Duration = Duration::from_secs(60);
const NEGOTIATION_PREFIX: &str = "negotiated:";
const CLAIM_PREFIX: &str = "claimed:";

/// Carries requests to the instances with their connections, and carries out those of other instances.
pub(crate) struct Relay {
    fleet: Arc<dyn Fleet>,
    tickets: Arc<Tickets>,
    client: Arc<RelayClient>,
    server: RelayServer,
    /// For requests at a connection's own address, where anybody may have made it up.
    rate_limit: RateLimit,
    reach: Arc<Reachability>,
    key_agreement: watch::Sender<Status>,
}

/// A connection that a client has shown a good token of, and that is not here.
#[derive(Debug, Clone)]
pub(crate) struct RemoteConnection {
    pub(crate) token: String,
    id: ConnectionId,
    /// `None` in version 0.
    ticket: Option<Verified>,
    /// Who asks for it.
    pub(crate) requester: Requester,
}

/// A connection that another instance has given to this one.
#[derive(Debug)]
pub(crate) struct HandedOver {
    pub(crate) id: ConnectionId,
    pub(crate) is_stateful: bool,
    /// Its principal, if it was refreshed there.
    pub(crate) refreshed: Option<RefreshedPrincipal>,
}

/// What became of an operation.
#[derive(Debug)]
pub(crate) enum RelayOutcome {
    /// The connection has no transport and belongs here now.
    HandedOver(HandedOver),
    /// It is at another instance, which has replied.
    Replied(Reply),
    /// The request is not let through to it.
    Refused(Refusal),
    /// There is no such connection.
    Unknown,
    /// It cannot be known.
    Unreachable,
}

struct Inbox {
    relay: Weak<Relay>,
    connections: WeakConnectionManager,
}

impl Relay {
    /// Joins the fleet of these connections, `None` if they have none. Needs a tokio runtime then.
    pub(crate) fn join(connections: &ConnectionManager) -> Option<Arc<Self>> {
        let (fleet, reach) = connections.fleet().cloned().zip(connections.reachability().cloned())?;
        let client = RelayClient::new(Arc::clone(&fleet));
        let relay = Arc::new(Self {
            tickets: Arc::clone(connections.tickets()),
            rate_limit: RateLimit::new(),
            server: RelayServer::new(Arc::clone(&fleet), Arc::clone(&client)),
            key_agreement: watch::Sender::new(match connections.tickets().are_agreed() {
                true => Status::Disconnected("connecting".to_owned()),
                false => Status::Alone,
            }),
            client,
            reach,
            fleet,
        });
        relay
            .fleet
            .join(Arc::new(Inbox { relay: Arc::downgrade(&relay), connections: connections.downgrade() }));
        tokio::spawn(supervise(RelayTask(Arc::downgrade(&relay))));
        Some(relay)
    }

    /// Stores for other instances where a connection of version 0 was negotiated, for as long as it may wait for its
    /// transport.
    pub(crate) async fn record_negotiation(
        &self,
        id: &ConnectionId,
        is_stateful: bool,
        requester: &Requester,
    ) {
        let note = NegotiationRecord::of(self.fleet.instance(), is_stateful, requester).to_bytes();
        let name = format!("{NEGOTIATION_PREFIX}{id}");
        let left = self.fleet.put_if_absent(&name, note, Some(DISCONNECT_TIMEOUT));
        if !matches!(timeout(RECORD_PATIENCE, left).await, Ok(Ok(_))) {
            // Its id is its token.
            tracing::debug!("no other instance can be told of a connection of version 0");
        }
    }

    /// Where to ask for a connection that is not here: by what its token tells, or else by what may be an id of version 0.
    /// `None` if it is neither.
    pub(crate) fn remote_connection(
        &self,
        token: &str,
        verified: Option<Verified>,
        requester: &Requester,
    ) -> Option<RemoteConnection> {
        let is_id = || token.len() == 22 && URL_SAFE_NO_PAD.decode(token).is_ok();
        let id = match &verified {
            Some(verified) => verified.ticket.id.clone(),
            None => is_id().then(|| token.into())?,
        };
        Some(RemoteConnection { token: token.to_owned(), id, ticket: verified, requester: requester.clone() })
    }

    /// Has an operation carried out by the instance with the connection. The exchange is for the further pieces of a body.
    pub(crate) async fn request(
        &self,
        remote: &RemoteConnection,
        operation: Operation,
        patience: Option<Duration>,
    ) -> (RelayOutcome, Option<Exchange>) {
        let wants_transport = matches!(operation, Operation::Connect | Operation::Poll { .. });
        // A poll may be the first one or not.
        let is_first = operation == Operation::Connect;
        let was_found = self.client.place_of(&remote.token).is_some();
        let is_expired = remote.requester.is_expired;
        match self.try_request(remote, operation, patience).await {
            // What nobody has would begin here.
            Err(RelayError::Unreachable) if is_first && is_expired => {
                (RelayOutcome::Refused(Refusal::Expired), None)
            }
            Err(RelayError::Unreachable) if is_first => (self.serve_alone(remote), None),
            Err(RelayError::NoListener) if wants_transport && !was_found && is_expired => {
                (RelayOutcome::Refused(Refusal::Expired), None)
            }
            Err(RelayError::NoListener) if wants_transport && !was_found => (self.claim(remote).await, None),
            Err(RelayError::NoListener) => (RelayOutcome::Unknown, None),
            Err(RelayError::Unreachable | RelayError::TimedOut) => (RelayOutcome::Unreachable, None),
            Err(RelayError::Busy) => (RelayOutcome::Replied(Reply::Busy), None),
            Ok((Reply::Unknown, _)) => (RelayOutcome::Unknown, None),
            Ok((Reply::Refused(refusal), _)) => (RelayOutcome::Refused(refusal), None),
            Ok((Reply::HandedOver { is_stateful, refreshed }, _)) => {
                (RelayOutcome::HandedOver(HandedOver { id: remote.id.clone(), is_stateful, refreshed }), None)
            }
            Ok((reply, exchange)) => (RelayOutcome::Replied(reply), Some(exchange)),
        }
    }

    /// Resumes a connection, which [`Relay::request`] has found, with a WebSocket of this instance.
    pub(crate) async fn resume(
        &self,
        remote: &RemoteConnection,
        operation: Operation,
    ) -> Result<(Reply, TunnelEnd), RelayError> {
        let place = self.client.place_of(&remote.token).ok_or(RelayError::NoListener)?;
        let address = Address::Instance(place);
        let requester = Some(remote.requester.clone());
        let mut exchange = self.client.begin(address.clone(), &remote.token, requester)?;
        let end = self.server.tunnels.open(exchange.id, &self.client, address);
        Ok((exchange.request(operation, Some(RESUME_PATIENCE)).await?, end))
    }

    /// Asks where the connection was found last, else its negotiator, else at its own address. [`RelayError::NoListener`]
    /// means that its negotiator is gone.
    async fn try_request(
        &self,
        remote: &RemoteConnection,
        operation: Operation,
        patience: Option<Duration>,
    ) -> Result<(Reply, Exchange), RelayError> {
        if let Some(place) = self.client.place_of(&remote.token) {
            match self.request_at(Address::Instance(place), remote, &operation, patience).await {
                Err(RelayError::NoListener) => {}
                Ok((Reply::Unknown, _)) => self.client.forget_place(&remote.token),
                outcome => return outcome,
            }
        }
        let negotiator = remote.ticket.as_ref().map(|verified| verified.ticket.negotiator);
        let own_address = Address::Connection(remote.id.clone());
        let asked = match negotiator {
            Some(negotiator) => self.request_at_negotiator(negotiator, remote, &operation, patience).await,
            None => Err(RelayError::NoListener),
        };
        match asked {
            Ok((Reply::Unknown, _)) | Err(RelayError::NoListener) => {}
            outcome => return outcome,
        }
        self.rate_limit.acquire().await.map_err(|_| RelayError::Busy)?;
        match self.request_at(own_address.clone(), remote, &operation, patience).await {
            Err(RelayError::NoListener) => {}
            outcome => return outcome,
        }
        match (asked, negotiator) {
            // Its negotiator is there, and nobody has it.
            (Ok(unknown), _) => Ok(unknown),
            (_, Some(_)) => Err(RelayError::NoListener),
            (_, None) => match self.negotiation_record(remote).await.map_err(|_| RelayError::Unreachable)? {
                Some(record) => {
                    self.request_at_negotiator(record.negotiator(), remote, &operation, patience).await
                }
                None => Ok((Reply::Unknown, self.client.begin(own_address, &remote.token, None)?)),
            },
        }
    }

    async fn request_at_negotiator(
        &self,
        negotiator: InstanceId,
        remote: &RemoteConnection,
        operation: &Operation,
        patience: Option<Duration>,
    ) -> Result<(Reply, Exchange), RelayError> {
        if negotiator == self.fleet.instance() {
            let exchange = self.client.begin(Address::Instance(negotiator), &remote.token, None)?;
            return Ok((Reply::Unknown, exchange));
        }
        self.request_at(Address::Instance(negotiator), remote, operation, patience).await
    }

    async fn request_at(
        &self,
        address: Address,
        remote: &RemoteConnection,
        operation: &Operation,
        patience: Option<Duration>,
    ) -> Result<(Reply, Exchange), RelayError> {
        // Of version 0, which has no tokens, anybody can make up an id.
        let may_be_made_up = remote.ticket.is_none() && matches!(address, Address::Connection(_));
        let requester = Some(remote.requester.clone());
        let mut exchange = self.client.begin(address, &remote.token, requester)?;
        if may_be_made_up {
            exchange.listener_patience = Duration::ZERO;
        }
        let patience = if *operation == Operation::Connect { Some(CONNECT_PATIENCE) } else { patience };
        let reply = exchange.request(operation.clone(), patience).await?;
        Ok((reply, exchange))
    }

    /// The record of a connection of version 0.
    async fn negotiation_record(
        &self,
        remote: &RemoteConnection,
    ) -> Result<Option<NegotiationRecord>, Unreachable> {
        let record = self.fleet.get(&format!("{NEGOTIATION_PREFIX}{}", remote.id)).await?;
        Ok(record.and_then(|record| NegotiationRecord::from_bytes(&record)))
    }

    /// The negotiator is gone: the first who says so has the connection.
    async fn claim(&self, remote: &RemoteConnection) -> RelayOutcome {
        let negotiated = match &remote.ticket {
            Some(verified) => self.tickets.may_open(verified),
            None => match self.negotiation_record(remote).await {
                Ok(record) => {
                    record.ok_or(Refusal::Unknown).and_then(|record| record.may_open(&remote.requester))
                }
                Err(_) => return RelayOutcome::Unreachable,
            },
        };
        let is_stateful = match negotiated {
            Ok(is_stateful) => is_stateful,
            Err(refusal) => return RelayOutcome::Refused(refusal),
        };
        let name = format!("{CLAIM_PREFIX}{}", remote.id);
        let own = self.fleet.instance().to_bytes().to_vec();
        match self.fleet.put_if_absent(&name, own, Some(CLAIMED_FOR)).await {
            Ok(None) => {
                RelayOutcome::HandedOver(HandedOver { id: remote.id.clone(), is_stateful, refreshed: None })
            }
            // It had a transport at somebody who is gone too, or has one that came in this instant.
            Ok(Some(_)) => RelayOutcome::Unknown,
            Err(_) => RelayOutcome::Unreachable,
        }
    }

    /// Serves a connection here while no instance can be asked whether it has a transport already. That is unlikely, and
    /// refusing it would serve nobody while Redis is away.
    fn serve_alone(&self, remote: &RemoteConnection) -> RelayOutcome {
        match remote.ticket.as_ref().map(|verified| self.tickets.may_open(verified)) {
            Some(Ok(is_stateful)) => {
                RelayOutcome::HandedOver(HandedOver { id: remote.id.clone(), is_stateful, refreshed: None })
            }
            Some(Err(_)) | None => RelayOutcome::Unreachable,
        }
    }
}

impl RemoteConnection {
    /// Refuses what the token alone proves wrong.
    pub(crate) fn check_token(&self) -> Result<(), Refusal> {
        match &self.ticket {
            Some(verified) => self.requester.check_token(verified.user_match),
            None => Ok(()),
        }
    }

    /// What tells the token from all others; `None` in version 0, where it is no secret.
    pub(crate) fn seal(&self) -> Option<Seal> {
        self.ticket.as_ref().map(|verified| verified.ticket.seal)
    }
}

struct RelayTask(Weak<Relay>);

impl Vital for RelayTask {
    const NAME: &'static str = "part in the fleet";

    async fn run(&mut self) {
        maintain(self.0.clone()).await;
    }
}

/// Sends acknowledgements, drops old exchanges and agrees on token keys, as long as the relay is there.
async fn maintain(relay: Weak<Relay>) {
    let Some((mut status, client)) =
        relay.upgrade().map(|relay| (relay.fleet.status(), Arc::clone(&relay.client)))
    else {
        return;
    };
    let mut tick = interval(TICK);
    let mut ticks = 0;
    loop {
        let (has_changed, is_due) = tokio::select! {
            changed = status.changed() => match changed {
                Ok(()) => (true, true),
                Err(_) => return,
            },
            () = client.acknowledgements_due.notified() => (false, false),
            _ = tick.tick() => {
                ticks += 1;
                (false, ticks % BETWEEN_AGREEMENTS == 1)
            }
        };
        let Some(relay) = relay.upgrade() else { return };
        if !relay.reach.is_up() {
            relay.cannot_agree(&status.borrow());
            continue;
        }
        if has_changed {
            relay.reach.came_up();
        }
        if is_due {
            relay.agree().await;
        }
        relay.client.send_acknowledgements().await;
        relay.server.sweep(&relay.reach);
    }
}

impl Relay {
    /// Agrees on the key for connection tokens, if none are configured.
    async fn agree(&self) {
        if !self.tickets.are_agreed() {
            return;
        }
        let now = match self.tickets.agree(&*self.fleet).await {
            Ok(()) => Status::Connected,
            Err(error) => Status::Disconnected(error.to_string()),
        };
        let is_new = self.key_agreement.send_replace(now.clone()) != now;
        if let (true, Status::Disconnected(error)) = (is_new, now) {
            tracing::warn!(
                error,
                "the instances cannot agree on a key for connection tokens: requests that land on another instance may get 404. Configured token keys need no agreement"
            );
        }
    }

    /// The other instances cannot be reached; what has been agreed on before stays.
    fn cannot_agree(&self, backplane: &Status) {
        self.key_agreement.send_if_modified(|agreement| {
            let are_away =
                matches!((&*agreement, backplane), (Status::Disconnected(_), Status::Disconnected(_)));
            let changes = are_away && agreement != backplane;
            if changes {
                agreement.clone_from(backplane);
            }
            changes
        });
    }

    /// Whether the instances have agreed on a key for connection tokens; [`Status::Alone`] if keys are configured.
    pub(crate) fn key_agreement(&self) -> watch::Receiver<Status> {
        self.key_agreement.subscribe()
    }
}

impl FleetInbox for Inbox {
    fn received(&self, message: &[u8]) -> Result<(), NotUnderstood> {
        let (Some(relay), Some(connections)) = (self.relay.upgrade(), self.connections.upgrade()) else {
            return Ok(());
        };
        match Message::from_bytes(message).ok_or(NotUnderstood)? {
            Message::Request(request) => relay.server.receive_request(request, connections),
            Message::Reply(piece) => relay.client.receive_reply(piece),
            Message::InProgress { exchange } => relay.client.receive_progress(exchange),
            Message::Acknowledged { exchanges } => relay.server.acknowledged(&exchanges),
            Message::Cancelled { exchange } => relay.server.cancelled(exchange),
        }
        Ok(())
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("fleet", &self.fleet)
            .field("tickets", &self.tickets)
            .finish_non_exhaustive()
    }
}
