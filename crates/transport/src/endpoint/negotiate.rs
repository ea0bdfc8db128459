//! Negotiations.

use http::request::Parts;
use http::{Response, StatusCode};
use hubline_protocol::negotiate::{self, NegotiateResponse, TransportKind};

use super::{Shared, info};
use crate::connections::{Negotiated, TooManyWaiting};
use crate::gate::Purpose;
use crate::request::{is_true, query_values};
use crate::response::{json, text};
use crate::token::random_id;
use crate::{Body, ConnectionToken};

impl Shared {
    pub(super) async fn negotiate(&self, parts: &Parts) -> Response<Body> {
        let query = parts.uri.query().unwrap_or_default();
        let requested: Vec<_> = query_values(query, "negotiateVersion").collect();
        let requested = requested.iter().map(|value| &**value);
        let version = match negotiate::version(requested, self.options.minimum_protocol_version) {
            Ok(version) => version,
            Err(error) => return json(StatusCode::OK, error.to_json()),
        };
        let is_stateful = self.options.allow_stateful_reconnects && is_true(query, "useStatefulReconnect");
        let transport = self.options.transports.first().copied().unwrap_or(TransportKind::WebSockets);
        let requester = self.requester(parts, Purpose::Transport(transport));
        let id = random_id();
        let relay = self.connections.relay();
        let token = match relay {
            _ if version == 0 => ConnectionToken::from(&id),
            Some(relay) => relay.issue(&id, is_stateful, &requester),
            None => ConnectionToken::random(),
        };
        let response = NegotiateResponse {
            use_stateful_reconnect: is_stateful,
            version,
            connection_id: &id,
            connection_token: token.as_str(),
            transports: &self.options.transports,
            token_lifetime_seconds: self.token_lifetime_seconds(parts),
        };
        let body = response.to_json();
        let owner = self.owner(&requester, || info(parts, id.clone(), transport), version > 0);
        let negotiated = Negotiated { id: id.clone(), is_stateful, owner, is_looked_for: version == 0 };
        if let Err(TooManyWaiting) = self.connections.negotiate(token, negotiated) {
            return text(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many negotiated connections wait for their transport",
            );
        }
        if version == 0
            && let Some(relay) = relay
        {
            relay.announce(&id, is_stateful, &requester).await;
        }
        json(StatusCode::OK, body)
    }
}
