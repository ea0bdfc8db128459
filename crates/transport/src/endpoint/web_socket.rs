//! Requests for a WebSocket.

use std::sync::Arc;

use http::request::Parts;
use http::{Response, StatusCode, header};
use hubline_pipe::{Accepted, ClaimError, ConnectionInfo, Resumable, Seat, resumption};
use hubline_protocol::ConnectionId;
use hubline_protocol::negotiate::TransportKind;

use super::elsewhere::Brought;
use super::{Shared, info};
use crate::Body;
use crate::connections::{AttachError, Attached, Negotiated, Resumption};
use crate::early::EarlyInbox;
use crate::refresh::{Refresh, refreshed};
use crate::relay::{Carrier, Elsewhere, Relay};
use crate::request::token_of;
use crate::response::{ended_meanwhile, text, transport_changed, unknown_id};
use crate::upgrade::Upgrade;
use crate::web_socket::Settings;

/// What a connection brings along from its negotiation.
#[derive(Default)]
struct Dowry {
    resumable: Option<Resumable>,
    early: Option<EarlyInbox>,
}

impl Shared {
    pub(super) async fn web_socket(self: &Arc<Self>, mut parts: Parts) -> Response<Body> {
        let token = token_of(&parts);
        let is_here = token.as_ref().is_none_or(|token| self.connections.find(token).is_some());
        let elsewhere = match &token {
            Some(token) if !is_here => self.elsewhere(token).await,
            _ => None,
        };
        if !is_here && elsewhere.is_none() {
            return unknown_without_type();
        }
        if !self.options.offers(TransportKind::WebSockets) {
            return text(StatusCode::NOT_FOUND, "WebSockets transport not supported by this end point type");
        }
        if let Some((relay, elsewhere)) = &elsewhere {
            match Box::pin(self.bring(relay, elsewhere)).await {
                Brought::Here => {}
                Brought::Unknown => return unknown_without_type(),
                Brought::Attached(Carrier::WebSocket { is_resumable: true }) => {
                    return Box::pin(self.resume_elsewhere(parts, relay, elsewhere)).await;
                }
                Brought::Attached(Carrier::WebSocket { .. }) => return text(StatusCode::CONFLICT, ""),
                Brought::Attached(_) => return transport_changed(),
                Brought::Refused(response) => return response,
            }
        }
        let upgrade = Upgrade::begin(&mut parts);
        let (info, dowry, mut place) = match &token {
            None => {
                let (id, place) = self.connections.attach_new();
                (info(&parts, id, TransportKind::WebSockets), Dowry::default(), place)
            }
            Some(token) => match self.connections.attach(token, with_web_socket) {
                Ok(((id, dowry), place)) => (info(&parts, id, TransportKind::WebSockets), dowry, place),
                Err(AttachError::Unknown) => return unknown_without_type(),
                Err(AttachError::Attached(Attached::WebSocket(resumption))) => {
                    return self.resume(&parts, token, resumption, upgrade).await;
                }
                Err(AttachError::Attached(_)) => return transport_changed(),
            },
        };
        let Some((upgrade, response)) = upgrade else { return cannot_upgrade() };
        place.be_found().await;
        let shared = Arc::clone(self);
        // In a box that is gone once the pipe is there: the task of an idle connection stays small.
        let opening = Box::pin(open(upgrade, self.settings(&parts), info, dowry));
        self.tasks.spawn(async move {
            let opened = opening.await.map(|accepted| shared.make_refreshable(accepted, &place));
            if let Some(accepted) = opened {
                let connection = shared.handler.run(accepted);
                connection.await;
            }
            drop(place);
        });
        response
    }

    /// Puts a new WebSocket in the place of a connection's older one.
    async fn resume(
        &self,
        parts: &Parts,
        token: &str,
        resumption: Option<Arc<Resumption>>,
        upgrade: Option<(Upgrade, Response<Body>)>,
    ) -> Response<Body> {
        let Some(resumption) = resumption else { return text(StatusCode::CONFLICT, "") };
        let Some((upgrade, response)) = upgrade else { return cannot_upgrade() };
        let seat = match resumption.resumer.claim().await {
            Ok(seat) => seat,
            Err(ClaimError::NotResumable) => return text(StatusCode::CONFLICT, ""),
            Err(ClaimError::Ended) => return ended_meanwhile(),
        };
        let info = info(parts, resumption.id.clone(), TransportKind::WebSockets);
        let opening = open(upgrade, self.settings(parts), info, Dowry::default());
        self.tasks.spawn(sit_down(seat, opening, self.connections.refresh(token)));
        response
    }

    /// The same for a connection of another instance.
    async fn resume_elsewhere(
        &self,
        mut parts: Parts,
        relay: &Relay,
        elsewhere: &Elsewhere,
    ) -> Response<Body> {
        let Some((upgrade, response)) = Upgrade::begin(&mut parts) else { return cannot_upgrade() };
        let end = match self.claim_elsewhere(&parts, relay, elsewhere).await {
            Ok(end) => end,
            Err(refusal) => return refusal,
        };
        let settings = self.settings(&parts);
        self.tasks.spawn(async move {
            match upgrade.finish(settings).await {
                Ok(pipe) => end.serve(pipe).await,
                Err(error) => tracing::debug!(%error, "the upgrade to a WebSocket failed"),
            }
        });
        response
    }

    fn settings(&self, parts: &Parts) -> Settings {
        Settings { options: Arc::clone(&self.options), expires: self.expires(parts) }
    }
}

fn with_web_socket(negotiated: Negotiated) -> (Attached, (ConnectionId, Dowry)) {
    let Negotiated { id, is_stateful, early, .. } = negotiated;
    let early = early.map(EarlyInbox::attach);
    let (resumption, resumable) = if is_stateful {
        let (resumer, resumable) = resumption();
        (Some(Arc::new(Resumption { id: id.clone(), resumer })), Some(resumable))
    } else {
        (None, None)
    };
    (Attached::WebSocket(resumption), (id, Dowry { resumable, early }))
}

/// Waits for the response to be sent; then the WebSocket is there.
async fn open(upgrade: Upgrade, settings: Settings, info: ConnectionInfo, dowry: Dowry) -> Option<Accepted> {
    match upgrade.finish(settings).await {
        Ok(pipe) => {
            let pipe = match dowry.early {
                Some(early) => early.before(pipe),
                None => pipe,
            };
            Some(Accepted { pipe, info, resumable: dowry.resumable })
        }
        Err(error) => {
            tracing::debug!(connection = %info.id, %error, "the upgrade to a WebSocket failed");
            None
        }
    }
}

async fn sit_down(
    seat: Seat,
    opening: impl Future<Output = Option<Accepted>>,
    refresh: Option<Arc<Refresh>>,
) {
    let Some(accepted) = opening.await else { return };
    seat.take(match refresh {
        Some(refresh) => refreshed(accepted, refresh),
        None => accepted,
    });
}

fn cannot_upgrade() -> Response<Body> {
    text(StatusCode::BAD_REQUEST, "The request cannot be upgraded to a WebSocket")
}

/// A refused upgrade carries the text without a content type.
fn unknown_without_type() -> Response<Body> {
    let mut response = unknown_id();
    response.headers_mut().remove(header::CONTENT_TYPE);
    response
}
