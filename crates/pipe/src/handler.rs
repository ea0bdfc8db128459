//! Who takes the connections that a transport accepts.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hubline_protocol::negotiate::TransportKind;
use hubline_protocol::{ConnectionId, UserId};

use crate::{Pipe, Principal, Resumable};

/// Takes over accepted connections, each for its whole life.
pub trait ConnectionHandler: Send + Sync + 'static {
    /// Runs the connection to its end.
    fn run(&self, accepted: Accepted) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Whom a connection belongs to, by what its request says (ASP.NET Core's `IUserIdProvider`). Default: the
    /// principal's name identifier.
    ///
    /// Where authentication refresh is on, a principal may replace another one if both give the same user id. It is
    /// asked from the negotiation on, when `transport` is not decided yet and names the first one that is offered.
    fn user_id(&self, info: &ConnectionInfo) -> Option<UserId> {
        info.principal.as_ref()?.name_identifier.clone()
    }
}

/// A connection whose transport is attached and which nobody has spoken on.
pub struct Accepted {
    /// Its bytes.
    pub pipe: Box<dyn Pipe>,
    /// Who it is and how it came.
    pub info: ConnectionInfo,
    /// With stateful reconnect granted: where the pipes come from that take the place of this one. On a
    /// transport that cannot be resumed there is one too, because messages are counted and acknowledged as
    /// everywhere, but no claim ever comes through it.
    pub resumable: Option<Resumable>,
}

/// What is known of a connection from its HTTP request.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// The public id.
    pub id: ConnectionId,
    /// What carries it.
    pub transport: TransportKind,
    /// Who it was authenticated as by the host application, if anyone.
    pub principal: Option<Arc<Principal>>,
    /// Path of the request that attached the transport.
    pub path: Box<str>,
    /// Its query without the question mark and without the token parameters `id` and `access_token`.
    pub query: Box<str>,
}

impl ConnectionInfo {
    /// The first value of a query parameter, decoded.
    pub fn query_value(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted").field("info", &self.info).finish_non_exhaustive()
    }
}
