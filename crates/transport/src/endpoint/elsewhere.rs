//! Transports for connections that another instance has.

use http::Response;
use http::request::Parts;
use hubline_protocol::negotiate::TransportKind;
use tokio::time::Instant;

use super::Shared;
use crate::Body;
use crate::connection_manager::Negotiated;
use crate::refusal::Refusal;
use crate::relay::{Answer, Elsewhere, InForce, Moved, Reached, Relay, Wish, milliseconds};
use crate::response::unreachable_now;

/// How a transport fares whose connection is not here.
pub(super) enum Brought {
    /// The connection is here now.
    Here,
    /// It has a WebSocket there that this one may follow.
    Resumable,
    Refused(Refusal),
    /// It cannot be had.
    Unreachable(Response<Body>),
}

impl Shared {
    /// Brings a connection here for the transport that has come in.
    pub(super) async fn bring(
        &self,
        parts: &Parts,
        relay: &Relay,
        elsewhere: &Elsewhere,
        transport: TransportKind,
    ) -> Brought {
        match relay.request(elsewhere, Wish::Connect, None).await.0 {
            Reached::Moved(moved) => match self.adopt(parts, elsewhere, moved, transport) {
                Ok(()) => Brought::Here,
                Err(refusal) => Brought::Refused(refusal),
            },
            Reached::Answered(Answer::Resumable) => Brought::Resumable,
            Reached::Refused(refusal) => Brought::Refused(refusal),
            Reached::Unknown => Brought::Refused(Refusal::Unknown),
            Reached::Answered(_) | Reached::Unreachable => Brought::Unreachable(unreachable_now()),
        }
    }

    pub(super) fn adopt(
        &self,
        parts: &Parts,
        elsewhere: &Elsewhere,
        moved: Moved,
        transport: TransportKind,
    ) -> Result<(), Refusal> {
        let Moved { id, is_stateful, refreshed } = moved;
        let info = || self.info(parts, id.clone(), &elsewhere.token, transport);
        let owner = self.owner(&elsewhere.requester, info, elsewhere.seal().is_some());
        if let (Some(InForce(principal)), Some(authentication)) = (refreshed, &owner.authentication) {
            authentication.begin(principal);
        }
        let negotiated = Negotiated { id, is_stateful, owner, is_looked_for: true };
        self.connections.adopt(&elsewhere.token, elsewhere.seal(), negotiated)
    }

    /// How long the authentication of this request lasts, if connections end with it.
    pub(super) fn expires_ms(&self, parts: &Parts) -> Option<u64> {
        let expires = self.expires(parts)?;
        Some(milliseconds(expires.saturating_duration_since(Instant::now())))
    }
}
