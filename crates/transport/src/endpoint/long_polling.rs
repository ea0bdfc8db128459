//! Polls, and the DELETE that ends them.

use std::collections::VecDeque;
use std::sync::Arc;

use http::request::Parts;
use http::{Response, StatusCode};
use hubline_pipe::Accepted;
use hubline_protocol::negotiate::TransportKind;

use super::elsewhere::cannot_delete;
use super::{Shared, info, never_resumed};
use crate::Body;
use crate::connections::{AttachError, Attached, Known};
use crate::long_polling::{LongPolling, LongPollingPipe, Polled};
use crate::request::token_of;
use crate::response::{found, id_required, text, transport_changed, unknown_id};

impl Shared {
    pub(super) async fn poll(&self, parts: &Parts) -> Response<Body> {
        let Some(token) = token_of(parts) else { return id_required() };
        let known = self.connections.find(&token);
        let elsewhere = if known.is_none() { self.elsewhere(&token).await } else { None };
        if known.is_none() && elsewhere.is_none() {
            return unknown_id();
        }
        if !self.options.offers(TransportKind::LongPolling) {
            let reason = "LongPolling transport not supported by this end point type";
            return text(StatusCode::NOT_FOUND, reason);
        }
        if let Some((relay, elsewhere)) = elsewhere
            && let Some(answer) = Box::pin(self.poll_elsewhere(parts, relay, &elsewhere)).await
        {
            return answer;
        }
        let known = known.unwrap_or(Known::Negotiated);
        let attached = match known {
            Known::Attached(attached) => attached,
            Known::Negotiated => match self.begin_polling(parts, &token).await {
                Ok(answer) => return answer,
                Err(AttachError::Attached(attached)) => attached,
                Err(AttachError::Unknown) => return unknown_id(),
            },
        };
        match attached {
            Attached::LongPolling(polling) => {
                let timeout = self.options.long_polling_poll_timeout;
                answer(polling.poll(timeout, self.expires(parts)).await)
            }
            Attached::WebSocket(_) | Attached::ServerSentEvents(_) => transport_changed(),
        }
    }

    /// The first poll starts the connection and is answered at once.
    async fn begin_polling(&self, parts: &Parts, token: &str) -> Result<Response<Body>, AttachError> {
        let ((negotiated, polling), mut place) = self.connections.attach(token, |mut negotiated| {
            let inbox = negotiated.inbox(self.options.application_max_buffer_size);
            let buffer_size = self.options.transport_max_buffer_size;
            let polling =
                Arc::new(LongPolling::new(inbox, buffer_size, self.expires(parts), self.connections.reach()));
            (Attached::LongPolling(Arc::clone(&polling)), (negotiated, polling))
        })?;
        let accepted = Accepted {
            pipe: Box::new(LongPollingPipe::new(polling)),
            info: info(parts, negotiated.id, TransportKind::LongPolling),
            resumable: negotiated.is_stateful.then(never_resumed),
        };
        place.be_found().await;
        self.start(accepted, place);
        Ok(found(VecDeque::new()))
    }

    pub(super) async fn delete(&self, parts: &Parts) -> Response<Body> {
        let Some(token) = token_of(parts) else { return id_required() };
        match self.connections.find(&token) {
            None => Box::pin(self.delete_elsewhere(&token)).await,
            Some(Known::Attached(Attached::LongPolling(polling))) => {
                if polling.delete() {
                    text(StatusCode::ACCEPTED, "")
                } else {
                    unknown_id()
                }
            }
            Some(_) => cannot_delete(),
        }
    }
}

fn answer(polled: Polled) -> Response<Body> {
    match polled {
        Polled::Found(pieces) => found(pieces),
        Polled::TimedOut => text(StatusCode::OK, ""),
        Polled::NoMore => text(StatusCode::NO_CONTENT, ""),
        Polled::Conflict => text(StatusCode::CONFLICT, ""),
        Polled::Gone => unknown_id(),
    }
}
