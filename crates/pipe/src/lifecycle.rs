//! What happens in the life of connections, for who keeps a record of it.

use std::fmt;
use std::net::IpAddr;

use hubline_protocol::negotiate::TransportKind;
use hubline_protocol::{ConnectionId, HubProtocol, UserId};

/// Is told what happens in the life of the connections of this instance, as it happens: what an operator asks who wants to know why a
/// client has gone.
///
/// Nothing is told of single messages, and a connection tells 16 things at most between its beginning and its end, so what a client does
/// cannot make it many. A server without an observer does nothing for it.
///
/// ```
/// use hubline_pipe::{LifecycleEvent, LifecycleKind, LifecycleObserver};
///
/// #[derive(Debug)]
/// struct Journal;
///
/// impl LifecycleObserver for Journal {
///     fn observe(&self, event: &LifecycleEvent<'_>) {
///         if let LifecycleKind::Closed { reason, calls, .. } = event.kind {
///             println!("{} closed: {reason}, after {calls} calls", event.connection);
///         }
///     }
/// }
/// ```
pub trait LifecycleObserver: fmt::Debug + Send + Sync + 'static {
    /// Takes note of an event. It is called on the thread of the connection, which waits for it, and perhaps with locks held: it has to
    /// be quick, and must not call the server.
    fn observe(&self, event: &LifecycleEvent<'_>);

    /// Takes note of a request that was refused: nothing was done for it. Anybody may send as many of these as he likes, so an observer
    /// that keeps them bounds what it keeps. It is called as [`observe`](Self::observe) is. The default does nothing.
    fn refused(&self, request: &RefusedRequest<'_>) {
        _ = request;
    }
}

/// A negotiation, or another request of a client, that was refused.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RefusedRequest<'a> {
    /// The path of the request, with `/negotiate` if it is one.
    pub path: &'a str,
    /// Why, such as `another_user`: one of a fixed number of names, all of which the program's `docs/console-hub.md` lists.
    pub reason: &'static str,
    /// Whom its token names, which was believed, or has been until it expired.
    pub user: Option<&'a UserId>,
    /// Where it came from, if the host tells.
    pub address: Option<IpAddr>,
    /// What others may be shown in the place of the id of its connection, if it named one that was negotiated here or in the fleet.
    pub connection: Option<&'a ConnectionId>,
}

impl<'a> RefusedRequest<'a> {
    /// A request of an unknown client, for parts that refuse some.
    pub fn new(path: &'a str, reason: &'static str) -> Self {
        Self { path, reason, user: None, address: None, connection: None }
    }

    /// Sets [`RefusedRequest::user`].
    #[must_use]
    pub fn user(self, user: Option<&'a UserId>) -> Self {
        Self { user, ..self }
    }

    /// Sets [`RefusedRequest::address`].
    #[must_use]
    pub fn address(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// Sets [`RefusedRequest::connection`].
    #[must_use]
    pub fn connection(self, connection: Option<&'a ConnectionId>) -> Self {
        Self { connection, ..self }
    }
}

/// What has happened to a connection.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct LifecycleEvent<'a> {
    /// What others may be shown in the place of its id ([`ConnectionInfo::public_id`](crate::ConnectionInfo::public_id)).
    pub connection: &'a ConnectionId,
    /// What has happened.
    pub kind: LifecycleKind<'a>,
}

/// What may happen to a connection.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum LifecycleKind<'a> {
    /// Its negotiation was answered, here; the transport may come to another instance.
    #[non_exhaustive]
    Negotiated {
        /// The path of the request, with `/negotiate`.
        path: &'a str,
        /// Where the request came from, if the host tells.
        address: Option<IpAddr>,
    },
    /// A transport came, and the handshake failed.
    #[non_exhaustive]
    HandshakeFailed {
        /// The hub's name.
        hub: &'a str,
        /// `handshake_refused`, or `handshake_lost` if the transport ended first.
        reason: &'static str,
        /// Where the request that brought the transport came from.
        address: Option<IpAddr>,
    },
    /// The handshake is over.
    #[non_exhaustive]
    Connected {
        /// The hub's name.
        hub: &'a str,
        /// Whom the connection belongs to.
        user: Option<&'a UserId>,
        /// Its transport.
        transport: TransportKind,
        /// Its hub protocol.
        protocol: HubProtocol,
        /// Where the request that brought the transport came from.
        address: Option<IpAddr>,
    },
    /// The transport was lost, and the client may come back (stateful reconnect).
    TransportLost,
    /// The client has come back with another transport.
    #[non_exhaustive]
    Resumed {
        /// Where that came from.
        address: Option<IpAddr>,
    },
    /// More than half of what may wait for the client does.
    Slow,
    /// A call has failed, before its method or in it.
    #[non_exhaustive]
    CallFailed {
        /// The method's name; of one that does not exist as the client has spelled it, which may be long.
        method: &'a str,
    },
    /// The connection has ended.
    #[non_exhaustive]
    Closed {
        /// Why, as metrics call it (`CloseReason::metric_label`).
        reason: &'static str,
        /// Calls that the client has made.
        calls: u32,
        /// How many of these have failed.
        failed_calls: u32,
    },
}

impl<'a> LifecycleEvent<'a> {
    /// An event, for parts that report some.
    pub fn new(connection: &'a ConnectionId, kind: LifecycleKind<'a>) -> Self {
        Self { connection, kind }
    }
}

impl<'a> LifecycleKind<'a> {
    /// [`Negotiated`](Self::Negotiated).
    pub fn negotiated(path: &'a str, address: Option<IpAddr>) -> Self {
        Self::Negotiated { path, address }
    }

    /// [`HandshakeFailed`](Self::HandshakeFailed).
    pub fn handshake_failed(hub: &'a str, reason: &'static str, address: Option<IpAddr>) -> Self {
        Self::HandshakeFailed { hub, reason, address }
    }

    /// [`Connected`](Self::Connected).
    pub fn connected(
        hub: &'a str,
        user: Option<&'a UserId>,
        transport: TransportKind,
        protocol: HubProtocol,
        address: Option<IpAddr>,
    ) -> Self {
        Self::Connected { hub, user, transport, protocol, address }
    }

    /// [`Resumed`](Self::Resumed).
    pub fn resumed(address: Option<IpAddr>) -> Self {
        Self::Resumed { address }
    }

    /// [`CallFailed`](Self::CallFailed).
    pub fn call_failed(method: &'a str) -> Self {
        Self::CallFailed { method }
    }

    /// [`Closed`](Self::Closed).
    pub fn closed(reason: &'static str, calls: u32, failed_calls: u32) -> Self {
        Self::Closed { reason, calls, failed_calls }
    }
}
