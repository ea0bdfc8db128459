//! Connection tokens: who makes them, and what they say.
//!
//! A negotiation leaves nothing behind: its token says it all ([`ticket`]). A tag under the fleet's key ([`keys`]) tells
//! every instance that one of them made it. A seal under a key that never leaves the process tells the negotiator that it
//! did so itself: whoever knows the fleet's key alone can make no token that its negotiator would open a connection for.
//! State begins with the claim, when the first transport comes; where a connection is, it is known by its whole token.

mod keys;
mod ticket;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hubline_backplane::{Fleet, InstanceId, Unreachable};
use hubline_protocol::ConnectionId;
use tokio::time::Instant;

use self::keys::{Key, KeyRing};
use self::ticket::Unverified;
use crate::ConnectionToken;
use crate::identity::EndpointId;
use crate::refusal::Refusal;
use crate::requester::{Requester, UserMatch};
use crate::token::DISCONNECT_TIMEOUT;

pub use keys::{TokenKey, TokenKeyError};
pub(crate) use ticket::{Seal, Ticket};

/// How far the clocks of two machines may differ: counts only where the negotiator, by whose clock a token ages, is gone.
const CLOCK_ALLOWANCE: Duration = Duration::from_secs(5);

/// What a process makes connection tokens with.
pub(crate) struct Tickets {
    issuer: InstanceId,
    keys: KeyRing,
    /// Of this process alone.
    seal_key: Key,
    clock: Clock,
}

/// The time of day when the process began, and what has gone by since: setting the machine's clock changes no token's age.
struct Clock {
    began: Instant,
    at: SystemTime,
}

/// What a good token says, and how much of who negotiated it is in who asks.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    pub(crate) ticket: Ticket,
    pub(crate) user_match: UserMatch,
}

impl Tickets {
    /// Those of a server without a fleet: good in this process.
    pub(crate) fn of_process() -> Self {
        Self::new(InstanceId::random(), KeyRing::of(vec![Key::random()]))
    }

    /// Those of an instance. Without configured keys the fleet agrees on one.
    pub(crate) fn of_fleet(instance: InstanceId, configured: Vec<TokenKey>) -> Self {
        Self::new(instance, KeyRing::of(configured))
    }

    fn new(issuer: InstanceId, keys: KeyRing) -> Self {
        let clock = Clock { began: Instant::now(), at: SystemTime::now() };
        Self { issuer, keys, seal_key: Key::random(), clock }
    }

    /// A token for a connection that is negotiated now.
    pub(crate) fn issue(
        &self,
        id: &ConnectionId,
        is_stateful: bool,
        requester: &Requester,
    ) -> ConnectionToken {
        self.try_issue(id, is_stateful, requester)
            .unwrap_or_else(|| unreachable!("ids of ours have 16 bytes"))
    }

    /// What a token tells; `None` if it is forged, no token at all, or another endpoint's. A key that is not known here is
    /// asked for in the `fleet`.
    pub(crate) async fn read(
        &self,
        token: &str,
        requester: &Requester,
        fleet: Option<&dyn Fleet>,
    ) -> Option<Verified> {
        let unverified = Unverified::read(token)?;
        if let Some(fleet) = fleet
            && self.keys.find(unverified.key()).is_none()
        {
            self.keys.look_up(unverified.key(), fleet).await;
        }
        let ticket = self.verify(&unverified)?;
        if ticket.endpoint != requester.endpoint {
            return None;
        }
        let user_match = ticket.user_match(&self.keys, requester)?;
        Some(Verified { ticket, user_match })
    }

    /// The id of the connection that a token is for, if it is a good one of this endpoint. Only the keys that are known here count.
    pub(crate) fn id_in(&self, token: &str, endpoint: EndpointId) -> Option<ConnectionId> {
        let ticket = self.verify(&Unverified::read(token)?)?;
        (ticket.endpoint == endpoint).then_some(ticket.id)
    }

    /// Whether a connection may begin here with this token, unless one has: this process made it, 15 s ago at most.
    pub(crate) fn is_own_and_fresh(&self, ticket: &Ticket) -> bool {
        ticket.is_sealed_here
            && self.clock.seconds().saturating_sub(ticket.issued) <= seconds(DISCONNECT_TIMEOUT)
    }

    /// Whether the connection may be opened where its negotiator is not; then, whether stateful reconnect was granted.
    pub(crate) fn may_open(&self, Verified { ticket, user_match }: &Verified) -> Result<bool, Refusal> {
        let age = seconds(since_1970(SystemTime::now())).abs_diff(ticket.issued);
        if age > seconds(DISCONNECT_TIMEOUT + CLOCK_ALLOWANCE) || !self.keys.may_open(ticket.key) {
            return Err(Refusal::Unknown);
        }
        match user_match {
            UserMatch::Same => Ok(ticket.is_stateful),
            UserMatch::SameUserId | UserMatch::Other => Err(Refusal::AnotherUser),
        }
    }

    /// Whether the fleet agrees on a key, because none are configured.
    pub(crate) fn are_agreed(&self) -> bool {
        self.keys.is_agreed()
    }

    /// Signs with the fleet's key from now on; see [`KeyRing::agree`].
    pub(crate) async fn agree(&self, fleet: &dyn Fleet) -> Result<(), Unreachable> {
        self.keys.agree(fleet).await
    }
}

impl Clock {
    fn seconds(&self) -> u32 {
        seconds(since_1970(self.at) + self.began.elapsed())
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets")
            .field("issuer", &self.issuer)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
