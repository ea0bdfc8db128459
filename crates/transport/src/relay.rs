//! Requests that reach another instance than the one with their connection.
//!
//! Load balancers send each request anywhere. Every instance can read a connection's token ([`crate::tickets`]): it names
//! the instance that negotiated, and nobody else can make one. So a request for a connection that is not
//! here is either forged, or asked on ([`asking`]) and carried out where the connection is ([`answering`]):
//!
//! - A request that brings a transport gets the connection itself handed over: a connection is where its
//!   WebSocket, its event stream or its first poll came in. A connection that has moved so listens at an
//!   address of its own; all others are found at their negotiator.
//! - Polls, POSTs and DELETEs are carried out where the connection is, and get its answer.
//! - If the negotiator is gone, whoever asks first claims the connection, which the token describes whole.
//!   While no instance can be reached at all, the transport is served where it came in.
//!
//! With version 0 the token is the public id and says nothing: such connections always listen at their own
//! address, and a note tells for 15 s who has negotiated.

mod answering;
mod asking;
mod message;
mod note;
mod pace;
mod tunnel;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubline_backplane::{Address, Fleet, FleetInbox, InstanceId, NotUnderstood, Unreachable};
use hubline_protocol::ConnectionId;
use hubline_supervision::{Vital, supervise};
use tokio::time::{interval, timeout};

use self::answering::Answering;
use self::asking::Asking;
use self::message::Message;
use self::note::Note;
use self::pace::Pace;
use crate::connection_manager::{ConnectionManager, WeakConnectionManager};
use crate::reachability::Reachability;
use crate::refusal::Refusal;
use crate::requester::Requester;
use crate::tickets::{Seal, Tickets, Verified};
use crate::token::DISCONNECT_TIMEOUT;

pub(crate) use asking::{AskError, Exchange};
pub(crate) use message::{Answer, InForce, Wish, milliseconds};
pub(crate) use tunnel::TunnelEnd;

/// Between looks at whether the fleet still signs with the same key.
const BETWEEN_AGREEMENTS: u32 = 10;
const TICK: Duration = Duration::from_secs(1);
/// How long a negotiation waits until its note is left, and an answer of its negotiator may take.
const NOTE_PATIENCE: Duration = Duration::from_secs(1);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// An older socket may take 5 s to close, and an application 10 s to judge the newer principal.
const RESUME_PATIENCE: Duration = Duration::from_secs(16);
/// A claim outlives the token by far.
const CLAIMED_FOR: Duration = Duration::from_secs(60);
const WHERE_NEGOTIATED: &str = "negotiated:";
const WHO_CLAIMED: &str = "claimed:";

/// One instance's part in a fleet.
pub(crate) struct Relay {
    fleet: Arc<dyn Fleet>,
    tickets: Arc<Tickets>,
    asking: Arc<Asking>,
    answering: Answering,
    /// For questions at a connection's own address, where anybody may have made it up.
    pace: Pace,
    reach: Arc<Reachability>,
}

/// A connection that a client has shown a good token of, and that is not here.
#[derive(Debug, Clone)]
pub(crate) struct Elsewhere {
    pub(crate) token: String,
    id: ConnectionId,
    /// `None` in version 0.
    ticket: Option<Verified>,
    /// Who asks for it.
    pub(crate) requester: Requester,
}

/// How a connection that was elsewhere can be served here.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) id: ConnectionId,
    pub(crate) is_stateful: bool,
    /// Its principal, if it was refreshed there.
    pub(crate) refreshed: Option<InForce>,
}

/// Where a wish has led.
#[derive(Debug)]
pub(crate) enum Reached {
    /// The connection has no transport and belongs here now.
    Moved(Moved),
    /// It is elsewhere, and this is what became of the wish.
    Answered(Answer),
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
        let asking = Asking::new(Arc::clone(&fleet));
        let relay = Arc::new(Self {
            tickets: Arc::clone(connections.tickets()),
            pace: Pace::new(),
            answering: Answering::new(Arc::clone(&fleet), Arc::clone(&asking)),
            asking,
            reach,
            fleet,
        });
        relay
            .fleet
            .join(Arc::new(Inbox { relay: Arc::downgrade(&relay), connections: connections.downgrade() }));
        tokio::spawn(supervise(Attendant(Arc::downgrade(&relay))));
        Some(relay)
    }

    /// Leaves a note of where a connection of version 0 was negotiated.
    pub(crate) async fn announce(&self, id: &ConnectionId, is_stateful: bool, requester: &Requester) {
        let note = Note::of(self.fleet.instance(), is_stateful, requester).to_bytes();
        let name = format!("{WHERE_NEGOTIATED}{id}");
        let left = self.fleet.put_if_absent(&name, note, Some(DISCONNECT_TIMEOUT));
        if !matches!(timeout(NOTE_PATIENCE, left).await, Ok(Ok(_))) {
            // Its id is its token.
            tracing::debug!("no other instance can be told of a connection of version 0");
        }
    }

    /// Where to ask for a connection that is not here: by what its token tells, or else by what may be an id of version 0.
    /// `None` if it is neither.
    pub(crate) fn elsewhere(
        &self,
        token: &str,
        verified: Option<Verified>,
        requester: &Requester,
    ) -> Option<Elsewhere> {
        let is_id = || token.len() == 22 && URL_SAFE_NO_PAD.decode(token).is_ok();
        let id = match &verified {
            Some(verified) => verified.ticket.id.clone(),
            None => is_id().then(|| token.into())?,
        };
        Some(Elsewhere { token: token.to_owned(), id, ticket: verified, requester: requester.clone() })
    }

    /// Brings a wish to where the connection is. The exchange goes on for the further pieces of a body.
    pub(crate) async fn request(
        &self,
        elsewhere: &Elsewhere,
        wish: Wish,
        patience: Option<Duration>,
    ) -> (Reached, Option<Exchange>) {
        let wants_transport = matches!(wish, Wish::Connect | Wish::Poll { .. });
        // A poll may be the first one or not.
        let is_first = wish == Wish::Connect;
        let was_found = self.asking.place_of(&elsewhere.token).is_some();
        let is_expired = elsewhere.requester.is_expired;
        match self.try_request(elsewhere, wish, patience).await {
            // What nobody has would begin here.
            Err(AskError::Unreachable) if is_first && is_expired => {
                (Reached::Refused(Refusal::Expired), None)
            }
            Err(AskError::Unreachable) if is_first => (self.serve_alone(elsewhere), None),
            Err(AskError::Nobody) if wants_transport && !was_found && is_expired => {
                (Reached::Refused(Refusal::Expired), None)
            }
            Err(AskError::Nobody) if wants_transport && !was_found => (self.claim(elsewhere).await, None),
            Err(AskError::Nobody) => (Reached::Unknown, None),
            Err(AskError::Unreachable | AskError::Silent) => (Reached::Unreachable, None),
            Err(AskError::Busy) => (Reached::Answered(Answer::Busy), None),
            Ok((Answer::Unknown, _)) => (Reached::Unknown, None),
            Ok((Answer::Refused(refusal), _)) => (Reached::Refused(refusal), None),
            Ok((Answer::HandedOver { is_stateful, refreshed }, _)) => {
                (Reached::Moved(Moved { id: elsewhere.id.clone(), is_stateful, refreshed }), None)
            }
            Ok((answer, exchange)) => (Reached::Answered(answer), Some(exchange)),
        }
    }

    /// Claims the place of a lost WebSocket for one that has come in here, where [`Relay::request`] has found the
    /// connection.
    pub(crate) async fn resume(
        &self,
        elsewhere: &Elsewhere,
        wish: Wish,
    ) -> Result<(Answer, TunnelEnd), AskError> {
        let place = self.asking.place_of(&elsewhere.token).ok_or(AskError::Nobody)?;
        let address = Address::Instance(place);
        let requester = Some(elsewhere.requester.clone());
        let mut exchange = self.asking.begin(address.clone(), &elsewhere.token, requester)?;
        let end = self.answering.tunnels.open(exchange.id, &self.asking, address);
        Ok((exchange.ask(wish, Some(RESUME_PATIENCE)).await?, end))
    }

    /// Asks where the connection was found last, else its negotiator, else at its own address. [`AskError::Nobody`]
    /// means that its negotiator is gone.
    async fn try_request(
        &self,
        elsewhere: &Elsewhere,
        wish: Wish,
        patience: Option<Duration>,
    ) -> Result<(Answer, Exchange), AskError> {
        if let Some(place) = self.asking.place_of(&elsewhere.token) {
            match self.ask(Address::Instance(place), elsewhere, &wish, patience).await {
                Err(AskError::Nobody) => {}
                Ok((Answer::Unknown, _)) => self.asking.forget_place(&elsewhere.token),
                outcome => return outcome,
            }
        }
        let negotiator = elsewhere.ticket.as_ref().map(|verified| verified.ticket.negotiator);
        let own_address = Address::Connection(elsewhere.id.clone());
        let asked = match negotiator {
            Some(negotiator) => self.ask_negotiator(negotiator, elsewhere, &wish, patience).await,
            None => Err(AskError::Nobody),
        };
        match asked {
            Ok((Answer::Unknown, _)) | Err(AskError::Nobody) => {}
            outcome => return outcome,
        }
        self.pace.turn().await.map_err(|_| AskError::Busy)?;
        match self.ask(own_address.clone(), elsewhere, &wish, patience).await {
            Err(AskError::Nobody) => {}
            outcome => return outcome,
        }
        match (asked, negotiator) {
            // Its negotiator is there, and nobody has it.
            (Ok(unknown), _) => Ok(unknown),
            (_, Some(_)) => Err(AskError::Nobody),
            (_, None) => match self.note(elsewhere).await.map_err(|_| AskError::Unreachable)? {
                Some(note) => self.ask_negotiator(note.negotiator(), elsewhere, &wish, patience).await,
                None => Ok((Answer::Unknown, self.asking.begin(own_address, &elsewhere.token, None)?)),
            },
        }
    }

    async fn ask_negotiator(
        &self,
        negotiator: InstanceId,
        elsewhere: &Elsewhere,
        wish: &Wish,
        patience: Option<Duration>,
    ) -> Result<(Answer, Exchange), AskError> {
        if negotiator == self.fleet.instance() {
            let exchange = self.asking.begin(Address::Instance(negotiator), &elsewhere.token, None)?;
            return Ok((Answer::Unknown, exchange));
        }
        self.ask(Address::Instance(negotiator), elsewhere, wish, patience).await
    }

    async fn ask(
        &self,
        address: Address,
        elsewhere: &Elsewhere,
        wish: &Wish,
        patience: Option<Duration>,
    ) -> Result<(Answer, Exchange), AskError> {
        // Of version 0, which has no tokens, anybody can make up an id.
        let may_be_made_up = elsewhere.ticket.is_none() && matches!(address, Address::Connection(_));
        let requester = Some(elsewhere.requester.clone());
        let mut exchange = self.asking.begin(address, &elsewhere.token, requester)?;
        if may_be_made_up {
            exchange.nobody_patience = Duration::ZERO;
        }
        let patience = if *wish == Wish::Connect { Some(CONNECT_PATIENCE) } else { patience };
        let answer = exchange.ask(wish.clone(), patience).await?;
        Ok((answer, exchange))
    }

    /// What is noted of a connection of version 0.
    async fn note(&self, elsewhere: &Elsewhere) -> Result<Option<Note>, Unreachable> {
        let note = self.fleet.get(&format!("{WHERE_NEGOTIATED}{}", elsewhere.id)).await?;
        Ok(note.and_then(|note| Note::from_bytes(&note)))
    }

    /// The negotiator is gone: the first who says so has the connection.
    async fn claim(&self, elsewhere: &Elsewhere) -> Reached {
        let negotiated = match &elsewhere.ticket {
            Some(verified) => self.tickets.may_open(verified),
            None => match self.note(elsewhere).await {
                Ok(note) => note.ok_or(Refusal::Unknown).and_then(|note| note.may_open(&elsewhere.requester)),
                Err(_) => return Reached::Unreachable,
            },
        };
        let is_stateful = match negotiated {
            Ok(is_stateful) => is_stateful,
            Err(refusal) => return Reached::Refused(refusal),
        };
        let name = format!("{WHO_CLAIMED}{}", elsewhere.id);
        let own = self.fleet.instance().to_bytes().to_vec();
        match self.fleet.put_if_absent(&name, own, Some(CLAIMED_FOR)).await {
            Ok(None) => Reached::Moved(Moved { id: elsewhere.id.clone(), is_stateful, refreshed: None }),
            // It had a transport at somebody who is gone too, or has one that came in this instant.
            Ok(Some(_)) => Reached::Unknown,
            Err(_) => Reached::Unreachable,
        }
    }

    /// Nobody can be asked whether it has a transport already. That it has not is all but certain, and to
    /// refuse it would be to serve nobody while Redis is away.
    fn serve_alone(&self, elsewhere: &Elsewhere) -> Reached {
        match elsewhere.ticket.as_ref().map(|verified| self.tickets.may_open(verified)) {
            Some(Ok(is_stateful)) => {
                Reached::Moved(Moved { id: elsewhere.id.clone(), is_stateful, refreshed: None })
            }
            Some(Err(_)) | None => Reached::Unreachable,
        }
    }
}

impl Elsewhere {
    /// Refuses what the token alone proves wrong.
    pub(crate) fn judged_by_token(&self) -> Result<(), Refusal> {
        match &self.ticket {
            Some(verified) => self.requester.judged_by_token(verified.resemblance),
            None => Ok(()),
        }
    }

    /// What tells the token from all others; `None` in version 0, where it is no secret.
    pub(crate) fn seal(&self) -> Option<Seal> {
        self.ticket.as_ref().map(|verified| verified.ticket.seal)
    }
}

struct Attendant(Weak<Relay>);

impl Vital for Attendant {
    const NAME: &'static str = "part in the fleet";

    async fn run(&mut self) {
        attend(self.0.clone()).await;
    }
}

/// Keeps an instance's part in the fleet in order, as long as it is there.
async fn attend(relay: Weak<Relay>) {
    let Some((mut status, asking)) =
        relay.upgrade().map(|relay| (relay.fleet.status(), Arc::clone(&relay.asking)))
    else {
        return;
    };
    let mut tick = interval(TICK);
    let mut ticks = 0;
    let mut has_agreed = true;
    loop {
        let (has_changed, is_due) = tokio::select! {
            changed = status.changed() => match changed {
                Ok(()) => (true, true),
                Err(_) => return,
            },
            () = asking.has_farewells.notified() => (false, false),
            _ = tick.tick() => {
                ticks += 1;
                (false, ticks % BETWEEN_AGREEMENTS == 1)
            }
        };
        let Some(relay) = relay.upgrade() else { return };
        if !relay.reach.is_up() {
            continue;
        }
        if has_changed {
            relay.reach.came_up();
        }
        if is_due {
            match relay.tickets.agree(&*relay.fleet).await {
                Ok(()) => has_agreed = true,
                Err(error) if std::mem::take(&mut has_agreed) => tracing::warn!(
                    %error,
                    "the instances cannot agree on a key for connection tokens: requests that land on another instance may get 404. Configured token keys need no agreement"
                ),
                Err(error) => tracing::debug!(%error, "still no agreement on a key for connection tokens"),
            }
        }
        relay.asking.say_farewells().await;
        relay.answering.sweep(&relay.reach);
    }
}

impl FleetInbox for Inbox {
    fn received(&self, message: &[u8]) -> Result<(), NotUnderstood> {
        let (Some(relay), Some(connections)) = (self.relay.upgrade(), self.connections.upgrade()) else {
            return Ok(());
        };
        match Message::from_bytes(message).ok_or(NotUnderstood)? {
            Message::Question(question) => relay.answering.asked(question, connections),
            Message::Answer(piece) => relay.asking.answered(piece),
            Message::Heard { exchange } => relay.asking.heard(exchange),
            Message::Finished { exchanges } => relay.answering.finished(&exchanges),
            Message::Cancelled { exchange } => relay.answering.cancelled(exchange),
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
