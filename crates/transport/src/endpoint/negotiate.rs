//! Negotiations.

use http::request::Parts;
use http::{Response, StatusCode};
use hubline_pipe::{LifecycleEvent, LifecycleKind};
use hubline_protocol::negotiate::{self, NegotiateResponse, TransportKind};

use super::Shared;
use crate::address_limits::OverLimit;
use crate::connection_manager::{Negotiated, TooManyPending};
use crate::request::{is_true, query_values};
use crate::requester::Purpose;
use crate::response::{because, draining, json, too_many_negotiations, too_many_pending};
use crate::token::random_id;
use crate::{Body, ConnectionToken};

impl Shared {
    pub(super) async fn negotiate(&self, parts: &Parts) -> Response<Body> {
        // Who is sent away anyway does not wait for that.
        if self.connections.refuses_negotiation() {
            return draining();
        }
        if let Err(OverLimit) = self.count_negotiation(parts) {
            return too_many_negotiations();
        }
        self.connections.turn().await;
        if self.connections.refuses_negotiation() {
            return draining();
        }
        let query = parts.uri.query().unwrap_or_default();
        let requested: Vec<_> = query_values(query, "negotiateVersion").collect();
        let requested = requested.iter().map(|value| &**value);
        let version = match negotiate::version(requested, self.options.minimum_protocol_version) {
            Ok(version) => version,
            Err(error) => return because("negotiate_version", json(StatusCode::OK, error.to_json())),
        };
        let is_stateful = self.options.allow_stateful_reconnects && is_true(query, "useStatefulReconnect");
        let transport = self.options.transports.first().copied().unwrap_or(TransportKind::WebSockets);
        let mut requester = self.requester(parts, Purpose::Transport(transport));
        requester.user = self.user(parts);
        let id = random_id();
        let token = match version {
            0 => ConnectionToken::from(&id),
            _ => self.connections.issue(&id, is_stateful, &requester),
        };
        if let Some(observer) = self.connections.observer() {
            let info = self.info(parts, id.clone(), token.as_str(), transport);
            let kind = LifecycleKind::negotiated(&info.path, info.remote_address);
            observer.observe(&LifecycleEvent::new(&info.public_id(), kind));
        }
        let response = NegotiateResponse {
            use_stateful_reconnect: is_stateful,
            version,
            connection_id: &id,
            connection_token: token.as_str(),
            transports: &self.options.transports,
            token_lifetime_seconds: self.token_lifetime_seconds(parts),
        };
        let body = response.to_json();
        if version == 0 {
            let owner =
                self.owner(&requester, || self.info(parts, id.clone(), token.as_str(), transport), false);
            let negotiated = Negotiated { id: id.clone(), is_stateful, owner, is_looked_for: true };
            if let Err(TooManyPending) = self.connections.negotiate_version_0(negotiated) {
                return too_many_pending();
            }
            if let Some(relay) = self.relay.as_deref() {
                relay.record_negotiation(&id, is_stateful, &requester).await;
            }
        }
        json(StatusCode::OK, body)
    }
}
