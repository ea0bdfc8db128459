//! What becomes of a request that brings a transport: the one decision for WebSockets, event streams and polls.

use std::time::Duration;

use http::request::Parts;
use hubline_protocol::negotiate::TransportKind;
use tokio::time::Instant;

use super::{Admitted, Shared};
use crate::connection_manager::{Attached, ConnectionState, Found, Negotiated, Owner};
use crate::refusal::Refusal;
use crate::relay::{
    HandedOver, Operation, RefreshedPrincipal, Relay, RelayOutcome, RemoteConnection, Reply, milliseconds,
};
use crate::requester::Purpose;

/// What a request that brings a transport does.
pub(super) enum Decision<'a> {
    /// It opens the connection, which has no transport and is here.
    Attach,
    /// It goes on with the transport that the connection has here: it resumes a WebSocket, or polls.
    Resume(Attached, Owner),
    /// It goes on with the transport that the connection has at another instance, which has replied.
    Remote(&'a Relay, Box<RemoteConnection>, Reply),
}

/// Why a request that brings a transport does nothing.
pub(super) enum NotDecided {
    Refused(Refusal),
    /// The instance that may have the connection cannot be asked.
    Unreachable,
}

impl From<Refusal> for NotDecided {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Shared {
    /// Lets the request through to its connection and decides what it does there. A connection without a transport that
    /// is at another instance is brought here.
    ///
    /// `operation` is what another instance is asked for, which has `patience` to reply.
    pub(super) async fn decide(
        &self,
        parts: &Parts,
        transport: TransportKind,
        token: &str,
        operation: Operation,
        patience: Option<Duration>,
    ) -> Result<Decision<'_>, NotDecided> {
        let (relay, remote) = match self.admit(parts, Purpose::Transport(transport), token).await? {
            Admitted::Here(Found { state: ConnectionState::Negotiated, .. }) => return Ok(Decision::Attach),
            Admitted::Here(Found { state: ConnectionState::Attached(attached), owner }) => {
                return Ok(Decision::Resume(attached, owner));
            }
            Admitted::Remote(relay, remote) => (relay, remote),
        };
        match Box::pin(relay.request(&remote, operation, patience)).await.0 {
            RelayOutcome::HandedOver(handed_over) => {
                self.adopt(parts, &remote, handed_over, transport)?;
                Ok(Decision::Attach)
            }
            RelayOutcome::Replied(reply) => Ok(Decision::Remote(relay, remote, reply)),
            RelayOutcome::Refused(refusal) => Err(refusal.into()),
            RelayOutcome::Unknown => Err(Refusal::Unknown.into()),
            RelayOutcome::Unreachable => Err(NotDecided::Unreachable),
        }
    }

    fn adopt(
        &self,
        parts: &Parts,
        remote: &RemoteConnection,
        handed_over: HandedOver,
        transport: TransportKind,
    ) -> Result<(), Refusal> {
        let HandedOver { id, is_stateful, refreshed } = handed_over;
        let info = || self.info(parts, id.clone(), &remote.token, transport);
        let owner = self.owner(&remote.requester, info, remote.seal().is_some());
        if let (Some(RefreshedPrincipal(principal)), Some(authentication)) =
            (refreshed, &owner.authentication)
        {
            authentication.begin(principal);
        }
        let negotiated = Negotiated { id, is_stateful, owner, is_looked_for: true };
        self.connections.adopt(&remote.token, remote.seal(), negotiated)
    }

    /// How long the authentication of this request lasts, if connections end with it.
    pub(super) fn expires_ms(&self, parts: &Parts) -> Option<u64> {
        let expires = self.expires(parts)?;
        Some(milliseconds(expires.saturating_duration_since(Instant::now())))
    }
}
