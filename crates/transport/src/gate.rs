//! The checks of every request of a connection, before anything is done for it, in the order in which ASP.NET Core 11
//! answers.
//!
//! The instance with the connection makes them, for relayed requests too. Another instance refuses only what the token
//! alone proves wrong, and sends no message for it.

use hubline_protocol::negotiate::TransportKind;

use crate::authentication::RefreshTrigger;
use crate::connection_manager::{Attached, ConnectionState, Found};
use crate::refusal::Refusal;
use crate::requester::{Purpose, Requester, UserMatch};

impl Requester {
    /// Checks on an instance without the connection, by its token alone.
    pub(crate) fn check_token(&self, user_match: UserMatch) -> Result<(), Refusal> {
        if self.is_expired {
            return if user_match == UserMatch::Same { Ok(()) } else { Err(Refusal::Expired) };
        }
        let may_refresh = self.credentials.is_some();
        match (user_match, self.purpose) {
            (UserMatch::Same | UserMatch::SameUserId, _) => Ok(()),
            (UserMatch::Other, Purpose::Transport(TransportKind::LongPolling)) if may_refresh => {
                Err(Refusal::RefreshRequired)
            }
            (UserMatch::Other, _) => Err(Refusal::AnotherUser),
        }
    }

    /// Checks on the instance with the connection.
    ///
    /// # Cancel safety
    /// Dropped while the application is asked about a newer principal, nothing has changed.
    pub(crate) async fn check(&self, found: &Found) -> Result<(), Refusal> {
        if found.owner.endpoint != self.endpoint {
            return Err(Refusal::Unknown);
        }
        self.fits_transport(&found.state)?;
        if self.is_expired
            && (self.purpose == Purpose::Refresh || matches!(found.state, ConnectionState::Negotiated))
        {
            return Err(Refusal::Expired);
        }
        let refreshes = found.owner.authentication.as_ref().zip(self.trigger(&found.state));
        if let Some((authentication, trigger)) = refreshes
            && let Some(credentials) = &self.credentials
        {
            let taken = authentication.take(trigger, self.identity, credentials).await;
            if taken == Err(Refusal::Rejected) && trigger != RefreshTrigger::Refresh {
                found.end().await;
            }
            return taken;
        }
        let is_same_user = match &found.owner.authentication {
            Some(authentication) => authentication.is_of(self.identity),
            None => found.owner.identity == self.identity,
        };
        match is_same_user {
            true => Ok(()),
            false if self.is_expired => Err(Refusal::Expired),
            false => Err(Refusal::AnotherUser),
        }
    }

    /// Checks for a connection that nobody has claimed, of which nothing but its token is there.
    pub(crate) fn check_unclaimed(&self, user_match: UserMatch) -> Result<(), Refusal> {
        self.fits_transport(&ConnectionState::Negotiated)?;
        if self.is_expired {
            return Err(Refusal::Expired);
        }
        match user_match {
            UserMatch::Same => Ok(()),
            UserMatch::SameUserId | UserMatch::Other => Err(Refusal::AnotherUser),
        }
    }

    /// How this request may refresh the connection's authentication, if it may.
    fn trigger(&self, state: &ConnectionState) -> Option<RefreshTrigger> {
        match (self.purpose, state) {
            (Purpose::Refresh, _) => Some(RefreshTrigger::Refresh),
            (Purpose::Transport(TransportKind::LongPolling), ConnectionState::Attached(_)) => {
                Some(RefreshTrigger::Poll)
            }
            (Purpose::Transport(TransportKind::WebSockets), ConnectionState::Attached(_)) => {
                Some(RefreshTrigger::Resume)
            }
            _ => None,
        }
    }

    fn fits_transport(&self, state: &ConnectionState) -> Result<(), Refusal> {
        match (self.purpose, state) {
            (Purpose::Send, ConnectionState::Negotiated) => Err(Refusal::NoTransport),
            (Purpose::Send, ConnectionState::Attached(Attached::WebSocket(_))) => Err(Refusal::NoPost),
            (Purpose::Delete, ConnectionState::Attached(Attached::LongPolling(_))) => Ok(()),
            (Purpose::Delete, _) => Err(Refusal::NoDelete),
            (Purpose::Transport(wanted), ConnectionState::Attached(attached)) => match attached {
                _ if attached.transport() != wanted => Err(Refusal::TransportChanged),
                Attached::WebSocket(None) | Attached::ServerSentEvents(_) => Err(Refusal::Attached),
                Attached::WebSocket(Some(_)) | Attached::LongPolling(_) => Ok(()),
            },
            (Purpose::Transport(_), ConnectionState::Negotiated)
            | (Purpose::Send, ConnectionState::Attached(_))
            | (Purpose::Refresh, _) => Ok(()),
        }
    }
}

impl Found {
    /// Ends a connection whose newer principal the application has refused.
    async fn end(&self) {
        match &self.state {
            ConnectionState::Attached(Attached::LongPolling(polling)) => polling.end(),
            ConnectionState::Attached(Attached::WebSocket(Some(resumption))) => {
                // Nothing to end if it has ended meanwhile.
                if let Ok(permit) = resumption.resumer.request().await {
                    permit.abort();
                }
            }
            _ => {}
        }
    }
}
