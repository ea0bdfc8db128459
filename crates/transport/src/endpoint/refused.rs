//! What an observer is told of requests that are refused.

use http::Response;
use http::request::Parts;
use hubline_pipe::{LifecycleObserver, RefusedRequest};
use hubline_protocol::ConnectionId;
use hubline_protocol::negotiate::TransportKind;

use super::Shared;
use crate::identity::Presented;
use crate::request::{refresh_token_of, token_of};
use crate::response::Because;
use crate::{Body, RemoteAddress};

impl Shared {
    /// Tells the observer, if there is one, that the request with this response was refused, if it was.
    pub(super) fn tell_refused(&self, parts: &Parts, response: &Response<Body>) {
        if let Some(Because(reason)) = response.extensions().get()
            && let Some(observer) = self.connections.observer()
        {
            self.tell(observer, parts, reason);
        }
    }

    fn tell(&self, observer: &dyn LifecycleObserver, parts: &Parts, reason: &'static str) {
        let principal = match Presented::of(parts) {
            Presented::Known(principal) | Presented::Expired(principal) => Some(principal),
            Presented::Nobody => None,
        };
        let user = principal.as_ref().and_then(|principal| principal.name_identifier.as_ref());
        let token = token_of(parts).or_else(|| refresh_token_of(parts));
        let connection = token.and_then(|token| self.connection_named_by(parts, &token));
        let refused = RefusedRequest::new(parts.uri.path(), reason)
            .user(user)
            .address(parts.extensions.get::<RemoteAddress>().map(|address| address.0))
            .connection(connection.as_ref());
        observer.refused(&refused);
    }

    /// The public id of the connection with this token, if an instance of the fleet has made it. Nobody else is asked.
    fn connection_named_by(&self, parts: &Parts, token: &str) -> Option<ConnectionId> {
        let id = self.connections.tickets().id_in(token, self.id);
        // Of version 0 the token is the id, and anybody can make one up.
        let id = id.or_else(|| self.connections.find(token).map(|_| ConnectionId::from(token)))?;
        // Its transport is none of the public id's business.
        Some(self.info(parts, id, token, TransportKind::WebSockets).public_id())
    }
}
