//! Requests for a WebSocket.

use std::sync::Arc;

use http::request::Parts;
use http::{Response, StatusCode};
use hubline_pipe::{Accepted, ConnectionInfo, Resumable, ResumeError, ResumePermit, resumption};
use hubline_protocol::negotiate::TransportKind;
use tokio::time::Instant;

use super::Shared;
use super::transport::{Decision, NotDecided};
use crate::Body;
use crate::address_limits::OverLimit;
use crate::authentication::Authentication;
use crate::connection_manager::{Attached, Attachment, Negotiated, Owner, Resumption};
use crate::refusal::Refusal;
use crate::relay::{Operation, Relay, RemoteConnection, Reply};
use crate::request::{public_query, token_of};
use crate::requester::Purpose;
use crate::response::{because, ended_meanwhile, refused, text, too_many_connections, unreachable_now};
use crate::token::random_id;
use crate::upgrade::Upgrade;
use crate::web_socket::Settings;

const PURPOSE: Purpose = Purpose::Transport(TransportKind::WebSockets);

impl Shared {
    pub(super) async fn web_socket(self: &Arc<Self>, parts: &mut Parts) -> Response<Body> {
        let Some(token) = token_of(parts) else { return self.open_unnegotiated(parts).await };
        let transport = TransportKind::WebSockets;
        match self.decide(parts, transport, &token, Operation::Connect, None).await {
            Ok(Decision::Attach) => self.open_negotiated(parts, &token).await,
            Ok(Decision::Resume(Attached::WebSocket(Some(resumption)), owner)) => {
                self.resume(parts, &token, &resumption, owner).await
            }
            Ok(Decision::Resume(..)) => refused(Refusal::Attached, PURPOSE),
            Ok(Decision::Remote(relay, remote, Reply::Resumable)) => {
                Box::pin(self.resume_remotely(parts, relay, &remote)).await
            }
            Ok(Decision::Remote(..)) | Err(NotDecided::Unreachable) => unreachable_now(),
            Err(NotDecided::Refused(refusal)) => refused(refusal, PURPOSE),
        }
    }

    async fn open_negotiated(self: &Arc<Self>, parts: &mut Parts, token: &str) -> Response<Body> {
        if let Err(refusal) = self.may_open(parts) {
            return refused(refusal, PURPOSE);
        }
        let counted = match self.count(parts) {
            Ok(counted) => counted,
            Err(OverLimit) => return too_many_connections(),
        };
        let expires = self.expires(parts);
        let upgrade = Upgrade::begin(parts, &self.options);
        let attached = self.connections.attach(token, |negotiated| with_web_socket(negotiated, expires));
        let ((negotiated, resumable), mut place) = match attached {
            Ok(attached) => attached,
            Err(error) => return refused(error.refusal(TransportKind::WebSockets), PURPOSE),
        };
        place.count(counted);
        let info = self.info(parts, negotiated.id, token, TransportKind::WebSockets);
        self.open(upgrade, self.settings(expires), info, resumable, negotiated.owner, place).await
    }

    /// Opens a connection that comes without a negotiation.
    async fn open_unnegotiated(self: &Arc<Self>, parts: &mut Parts) -> Response<Body> {
        if !self.options.offers(TransportKind::WebSockets) {
            return refused(Refusal::NotOffered, PURPOSE);
        }
        self.connections.turn().await;
        let counted = match self.count(parts) {
            Ok(counted) => counted,
            Err(OverLimit) => return too_many_connections(),
        };
        let upgrade = Upgrade::begin(parts, &self.options);
        let id = random_id();
        let info = self.info(parts, id.clone(), id.as_str(), TransportKind::WebSockets);
        let owner = self.owner(&self.requester(parts, PURPOSE), || info.clone(), false);
        let mut place = self.connections.attach_new(&info.id, owner.clone());
        place.count(counted);
        self.open(upgrade, self.settings(self.expires(parts)), info, None, owner, place).await
    }

    async fn open(
        self: &Arc<Self>,
        upgrade: Option<(Upgrade, Response<Body>)>,
        settings: Settings,
        info: ConnectionInfo,
        resumable: Option<Resumable>,
        owner: Owner,
        mut place: Attachment,
    ) -> Response<Body> {
        let Some((upgrade, response)) = upgrade else { return cannot_upgrade() };
        place.be_found().await;
        let shared = Arc::clone(self);
        // In a box that is gone once the pipe is there: the task of an idle connection stays small.
        let opening = Box::pin(accepted(upgrade, settings, info, resumable));
        self.tasks.spawn(async move {
            if let Some(accepted) = opening.await {
                let connection = shared.handler.run(owner.open(accepted));
                connection.await;
            }
            drop(place);
        });
        response
    }

    /// Puts a new WebSocket in the place of a connection's older one.
    async fn resume(
        &self,
        parts: &mut Parts,
        token: &str,
        resumption: &Resumption,
        owner: Owner,
    ) -> Response<Body> {
        let Some((upgrade, response)) = Upgrade::begin(parts, &self.options) else {
            return cannot_upgrade();
        };
        let permit = match resumption.resumer.request().await {
            Ok(permit) => permit,
            Err(ResumeError::NotResumable) => return refused(Refusal::Attached, PURPOSE),
            Err(ResumeError::Ended) => return ended_meanwhile(),
        };
        let info = self.info(parts, resumption.id.clone(), token, TransportKind::WebSockets);
        let expires = resumption.expires(self.expiry(parts));
        let opening = accepted(upgrade, self.settings(expires), info, None);
        self.tasks.spawn(finish_resume(permit, opening, owner.authentication));
        response
    }

    /// The same for a connection of another instance.
    async fn resume_remotely(
        &self,
        parts: &mut Parts,
        relay: &Relay,
        remote: &RemoteConnection,
    ) -> Response<Body> {
        let Some((upgrade, response)) = Upgrade::begin(parts, &self.options) else {
            return cannot_upgrade();
        };
        let operation = Operation::Resume {
            path: parts.uri.path().to_owned(),
            query: public_query(parts.uri.query().unwrap_or_default()).into(),
            expires_ms: self.expires_ms(parts),
        };
        let end = match relay.resume(remote, operation).await {
            Ok((Reply::Resumed, end)) => end,
            Ok((Reply::Refused(refusal), _)) => return refused(refusal, PURPOSE),
            Ok((Reply::Unknown | Reply::EndedMeanwhile, _)) => return ended_meanwhile(),
            Ok(_) | Err(_) => return unreachable_now(),
        };
        let settings = self.settings(self.expires(parts));
        self.tasks.spawn(async move {
            match upgrade.finish(settings).await {
                Ok(pipe) => end.serve(pipe).await,
                Err(error) => tracing::debug!(%error, "the upgrade to a WebSocket failed"),
            }
        });
        response
    }

    fn settings(&self, expires: Option<Instant>) -> Settings {
        Settings { options: Arc::clone(&self.options), expires }
    }
}

fn with_web_socket(
    negotiated: Negotiated,
    expires: Option<Instant>,
) -> (Attached, (Negotiated, Option<Resumable>)) {
    if !negotiated.is_stateful {
        return (Attached::WebSocket(None), (negotiated, None));
    }
    let (resumer, resumable) = resumption();
    let resumption = Resumption::new(negotiated.id.clone(), resumer, expires);
    (Attached::WebSocket(Some(Arc::new(resumption))), (negotiated, Some(resumable)))
}

/// Waits for the response to be sent; then the WebSocket is there.
async fn accepted(
    upgrade: Upgrade,
    settings: Settings,
    info: ConnectionInfo,
    resumable: Option<Resumable>,
) -> Option<Accepted> {
    match upgrade.finish(settings).await {
        Ok(pipe) => Some(Accepted { pipe, info, resumable }),
        Err(error) => {
            tracing::debug!(connection = %info.public_id(), %error, "the upgrade to a WebSocket failed");
            None
        }
    }
}

async fn finish_resume(
    permit: ResumePermit,
    opening: impl Future<Output = Option<Accepted>>,
    authentication: Option<Arc<Authentication>>,
) {
    let Some(accepted) = opening.await else { return };
    permit.finish(match authentication {
        Some(authentication) => authentication.wrap(accepted),
        None => accepted,
    });
}

fn cannot_upgrade() -> Response<Body> {
    let response = text(StatusCode::BAD_REQUEST, "The request cannot be upgraded to a WebSocket");
    because("not_upgraded", response)
}
