//! Requests for an event stream.

use std::sync::Arc;

use http::request::Parts;
use http::{Response, StatusCode};
use hubline_pipe::Accepted;
use hubline_protocol::negotiate::TransportKind;

use super::elsewhere::Brought;
use super::{Shared, info, never_resumed};
use crate::Body;
use crate::connections::{AttachError, Attached};
use crate::relay::Carrier;
use crate::request::token_of;
use crate::response::{events, id_required, text, transport_changed, unknown_id};
use crate::server_sent_events;

impl Shared {
    pub(super) async fn server_sent_events(&self, parts: &Parts) -> Response<Body> {
        let Some(token) = token_of(parts) else { return id_required() };
        let is_here = self.connections.find(&token).is_some();
        let elsewhere = if is_here { None } else { self.elsewhere(&token).await };
        if !is_here && elsewhere.is_none() {
            return unknown_id();
        }
        if !self.options.offers(TransportKind::ServerSentEvents) {
            let reason = "ServerSentEvents transport not supported by this end point type";
            return text(StatusCode::NOT_FOUND, reason);
        }
        if let Some((relay, elsewhere)) = elsewhere {
            match Box::pin(self.bring(relay, &elsewhere)).await {
                Brought::Here => {}
                Brought::Unknown => return unknown_id(),
                Brought::Attached(Carrier::ServerSentEvents) => return text(StatusCode::CONFLICT, ""),
                Brought::Attached(_) => return transport_changed(),
                Brought::Refused(response) => return response,
            }
        }
        let attached = self.connections.attach(&token, |mut negotiated| {
            let inbox = negotiated.inbox(self.options.application_max_buffer_size);
            (Attached::ServerSentEvents(Arc::clone(&inbox)), (negotiated, inbox))
        });
        let ((negotiated, inbox), mut place) = match attached {
            Ok(attached) => attached,
            Err(AttachError::Unknown) => return unknown_id(),
            Err(AttachError::Attached(Attached::ServerSentEvents(_))) => {
                return text(StatusCode::CONFLICT, "");
            }
            Err(AttachError::Attached(_)) => return transport_changed(),
        };
        let (pipe, stream) = server_sent_events::open(
            inbox,
            self.options.transport_max_buffer_size,
            self.options.web_sockets_close_timeout,
            self.expires(parts),
            self.connections.reach(),
        );
        let accepted = Accepted {
            pipe: Box::new(pipe),
            info: info(parts, negotiated.id, TransportKind::ServerSentEvents),
            resumable: negotiated.is_stateful.then(never_resumed),
        };
        place.be_found().await;
        self.start(accepted, place);
        events(stream)
    }
}
