//! The seam above transports: who runs the connections that they accept.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubline_identity::Principal;
use hubline_protocol::negotiate::TransportKind;
use hubline_protocol::{ConnectionId, UserId};
use sha2::{Digest, Sha256};

use crate::{Pipe, RequestContext, Resumable};

/// Runs accepted connections.
pub trait ConnectionHandler: Send + Sync + 'static {
    /// Runs the connection to its end.
    fn run(&self, accepted: Accepted) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// The user id of a connection (ASP.NET Core's `IUserIdProvider`); `None` for an anonymous user. Default: the
    /// principal's name identifier.
    ///
    /// Where authentication refresh is on, a principal may replace another one if both give the same user id. Then it is
    /// called from the negotiation on, when `transport` is not known yet and is the first one that is offered.
    fn user_id(&self, info: &ConnectionInfo) -> Option<UserId> {
        info.principal.as_ref()?.name_identifier.clone()
    }
}

/// A connection whose transport is attached, before its first message.
pub struct Accepted {
    /// The connection's bytes.
    pub pipe: Box<dyn Pipe>,
    /// What its HTTP request said.
    pub info: ConnectionInfo,
    /// Where later pipes of the connection come from; `None` unless stateful reconnect was negotiated. A transport that
    /// cannot be resumed has one too, because messages are counted and acknowledged there as well, but no request to resume
    /// ever comes through it.
    pub resumable: Option<Resumable>,
}

/// What is known of a connection from its HTTP request.
#[derive(Clone)]
pub struct ConnectionInfo {
    /// The connection's id.
    pub id: ConnectionId,
    /// Whether the id is the connection token too: after a negotiation of version 0, and without a negotiation. Such an id
    /// lets others take part in the connection, so show them only the [`public_id`](Self::public_id).
    pub is_id_secret: bool,
    /// The connection's transport.
    pub transport: TransportKind,
    /// The principal that the host has authenticated; `None` for an anonymous user.
    pub principal: Option<Arc<Principal>>,
    /// Path of the request that attached the transport.
    pub path: Box<str>,
    /// Query of that request, without the question mark and without the token parameters `id` and `access_token`.
    pub query: Box<str>,
    /// Where that request came from: the client, or the last proxy that the host application does not look behind. `None` if the host
    /// does not tell, and once the connection was resumed through another instance.
    pub remote_address: Option<IpAddr>,
    /// The parts of the request that opened the connection which its endpoint keeps; `None` if it keeps none. With long
    /// polling that is the first poll. A WebSocket that takes the place of a lost one (stateful reconnect) brings those of
    /// its own request, unless it comes in at another instance.
    pub request: Option<Arc<RequestContext>>,
}

impl ConnectionInfo {
    /// A connection of which nothing else is known: no principal, an empty path and query.
    pub fn new(id: impl Into<ConnectionId>, transport: TransportKind) -> Self {
        Self {
            id: id.into(),
            is_id_secret: false,
            transport,
            principal: None,
            path: Box::default(),
            query: Box::default(),
            remote_address: None,
            request: None,
        }
    }

    /// What others may be shown in the place of the id: the id itself, unless that is a secret, else a name of the same
    /// length that is derived from it. It is the same as long as the connection lasts, and on all instances; nobody can
    /// tell the id by it, nor send to the connection by it.
    pub fn public_id(&self) -> ConnectionId {
        match self.is_id_secret {
            true => public_id_of(&self.id),
            false => self.id.clone(),
        }
    }

    /// The first value of a header of the request that opened the connection; `None` if there is none, if it is not UTF-8, or
    /// if the endpoint keeps no headers (`EndpointOptions::keep_headers`).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.as_ref()?.header(name)
    }

    /// The first value of a query parameter, decoded.
    pub fn query_value(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// Stands for an id that is a secret. Ids have 128 random bits, so nobody can try them out.
fn public_id_of(id: &ConnectionId) -> ConnectionId {
    let digest = Sha256::new_with_prefix("hubline public id\0").chain_update(id.as_str()).finalize();
    URL_SAFE_NO_PAD.encode(&digest[..16]).into()
}

impl fmt::Debug for ConnectionInfo {
    /// A secret id is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionInfo")
            .field("id", &self.public_id())
            .field("is_id_secret", &self.is_id_secret)
            .field("transport", &self.transport)
            .field("principal", &self.principal)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("request", &self.request)
            .finish()
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted").field("info", &self.info).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(id: &str, is_id_secret: bool) -> ConnectionInfo {
        ConnectionInfo { is_id_secret, ..ConnectionInfo::new(id, TransportKind::WebSockets) }
    }

    #[test]
    fn a_secret_id_is_shown_to_nobody() {
        let id = "AAECAwQFBgcICQoLDA0ODw";
        assert_eq!(info(id, false).public_id().as_str(), id);
        let secret = info(id, true);
        // The same on all instances, of whatever version.
        assert_eq!(secret.public_id().as_str(), "T1s9OUOB-4fLJP53XrPyFw");
        assert_ne!(secret.public_id(), info("AAECAwQFBgcICQoLDA0OD0", true).public_id());
        assert!(!format!("{secret:?}").contains(id), "{secret:?}");
    }
}
