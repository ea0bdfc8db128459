//! The one gate: what is checked of every request of a connection before anything is done, in the order in which
//! ASP.NET Core 11 answers.
//!
//! The instance with the connection judges, whether the request came to it or was relayed. Another instance refuses
//! what the token alone proves wrong, without a word to anybody.

use hubline_protocol::negotiate::TransportKind;

use crate::authentication::Occasion;
use crate::connection_manager::{Attached, Found, Known};
use crate::refusal::Refusal;
use crate::requester::{Purpose, Requester, Resemblance};

impl Requester {
    /// What another instance than the one with the connection refuses.
    pub(crate) fn judged_by_token(&self, resemblance: Resemblance) -> Result<(), Refusal> {
        if self.is_expired {
            return if resemblance == Resemblance::Same { Ok(()) } else { Err(Refusal::Expired) };
        }
        let may_refresh = self.credentials.is_some();
        match (resemblance, self.purpose) {
            (Resemblance::Same | Resemblance::SameUserId, _) => Ok(()),
            (Resemblance::Another, Purpose::Transport(TransportKind::LongPolling)) if may_refresh => {
                Err(Refusal::RefreshRequired)
            }
            (Resemblance::Another, _) => Err(Refusal::AnotherUser),
        }
    }

    /// What the instance with the connection lets through.
    ///
    /// # Cancel safety
    /// Dropped while the application is asked about a newer principal, nothing has changed.
    pub(crate) async fn judged_by(&self, found: &Found) -> Result<(), Refusal> {
        if found.owner.endpoint != self.endpoint {
            return Err(Refusal::Unknown);
        }
        self.fits_transport(&found.known)?;
        if self.is_expired && (self.purpose == Purpose::Refresh || matches!(found.known, Known::Negotiated)) {
            return Err(Refusal::Expired);
        }
        let refreshes = found.owner.authentication.as_ref().zip(self.occasion(&found.known));
        if let Some((authentication, occasion)) = refreshes
            && let Some(credentials) = &self.credentials
        {
            let taken = authentication.take(occasion, self.identity, credentials).await;
            if taken == Err(Refusal::Rejected) && occasion != Occasion::Refresh {
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

    /// The same where nobody has claimed the connection, so that its token is all there is of it.
    pub(crate) fn judged_unclaimed(&self, resemblance: Resemblance) -> Result<(), Refusal> {
        self.fits_transport(&Known::Negotiated)?;
        if self.is_expired {
            return Err(Refusal::Expired);
        }
        match resemblance {
            Resemblance::Same => Ok(()),
            Resemblance::SameUserId | Resemblance::Another => Err(Refusal::AnotherUser),
        }
    }

    /// On which occasion this request may refresh the connection's authentication.
    fn occasion(&self, known: &Known) -> Option<Occasion> {
        match (self.purpose, known) {
            (Purpose::Refresh, _) => Some(Occasion::Refresh),
            (Purpose::Transport(TransportKind::LongPolling), Known::Attached(_)) => Some(Occasion::Poll),
            (Purpose::Transport(TransportKind::WebSockets), Known::Attached(_)) => Some(Occasion::Resume),
            _ => None,
        }
    }

    fn fits_transport(&self, known: &Known) -> Result<(), Refusal> {
        match (self.purpose, known) {
            (Purpose::Send, Known::Negotiated) => Err(Refusal::NoTransport),
            (Purpose::Send, Known::Attached(Attached::WebSocket(_))) => Err(Refusal::NoPost),
            (Purpose::Delete, Known::Attached(Attached::LongPolling(_))) => Ok(()),
            (Purpose::Delete, _) => Err(Refusal::NoDelete),
            (Purpose::Transport(wanted), Known::Attached(attached)) => match attached {
                _ if attached.transport() != wanted => Err(Refusal::TransportChanged),
                Attached::WebSocket(None) | Attached::ServerSentEvents(_) => Err(Refusal::Attached),
                Attached::WebSocket(Some(_)) | Attached::LongPolling(_) => Ok(()),
            },
            (Purpose::Transport(_), Known::Negotiated)
            | (Purpose::Send, Known::Attached(_))
            | (Purpose::Refresh, _) => Ok(()),
        }
    }
}

impl Found {
    /// Ends a connection whose new principal the application has refused.
    async fn end(&self) {
        match &self.known {
            Known::Attached(Attached::LongPolling(polling)) => polling.end(),
            Known::Attached(Attached::WebSocket(Some(resumption))) => {
                // Nothing to end if it has ended meanwhile.
                if let Ok(permit) = resumption.resumer.request().await {
                    permit.abort();
                }
            }
            _ => {}
        }
    }
}
