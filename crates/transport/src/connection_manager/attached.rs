//! What is known of a connection that is here.

use std::sync::Arc;

use hubline_pipe::{Accepted, Resumer};
use hubline_protocol::ConnectionId;
use hubline_protocol::negotiate::TransportKind;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::authentication::{Authentication, Expiry};
use crate::identity::{EndpointId, Identity};
use crate::inbox::Inbox;
use crate::long_polling::LongPolling;
use crate::refusal::Refusal;

/// The endpoint and the user that a connection belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) endpoint: EndpointId,
    /// The user who has negotiated it, or opened it without a negotiation.
    pub(crate) identity: Identity,
    /// Where the endpoint allows authentication refresh; then the identity in force may be another one.
    pub(crate) authentication: Option<Arc<Authentication>>,
}

/// A connection without a transport.
#[derive(Debug)]
pub(crate) struct Negotiated {
    pub(crate) id: ConnectionId,
    /// Whether stateful reconnect was granted.
    pub(crate) is_stateful: bool,
    pub(crate) owner: Owner,
    /// Whether other instances cannot tell by the token that it is here.
    pub(crate) is_looked_for: bool,
}

/// The transport of a connection.
#[derive(Debug, Clone)]
pub(crate) enum Attached {
    WebSocket(Option<Arc<Resumption>>),
    ServerSentEvents(Arc<Inbox>),
    LongPolling(Arc<LongPolling>),
}

/// How a WebSocket of a connection with stateful reconnect is followed by another.
#[derive(Debug)]
pub(crate) struct Resumption {
    pub(crate) id: ConnectionId,
    pub(crate) resumer: Resumer,
    /// When the authentication of the newest request ends, where connections end with it.
    expires: Mutex<Option<Instant>>,
}

/// A connection that is here.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) state: ConnectionState,
    pub(crate) owner: Owner,
}

/// Whether a connection has its transport.
#[derive(Debug)]
pub(crate) enum ConnectionState {
    Negotiated,
    Attached(Attached),
}

/// Why a transport cannot be attached.
#[derive(Debug)]
pub(crate) enum AttachError {
    /// Never negotiated, expired, or ended.
    Unknown,
    /// It has a transport already.
    Attached(Attached),
}

impl Resumption {
    pub(crate) fn new(id: ConnectionId, resumer: Resumer, expires: Option<Instant>) -> Self {
        Self { id, resumer, expires: Mutex::new(expires) }
    }

    /// When the authentication ends that a resumption leaves.
    pub(crate) fn expires(&self, expiry: Expiry) -> Option<Instant> {
        let mut expires = self.expires.lock();
        if let Expiry::At(newer) = expiry {
            *expires = newer;
        }
        *expires
    }
}

impl Owner {
    /// Puts the credentials of the transport's request in force, where authentication refresh is on.
    pub(crate) fn open(self, accepted: Accepted) -> Accepted {
        match self.authentication {
            Some(authentication) => authentication.open(accepted),
            None => accepted,
        }
    }
}

impl AttachError {
    /// The refusal of a `wanted` transport that came too late.
    pub(crate) fn refusal(&self, wanted: TransportKind) -> Refusal {
        match self {
            Self::Unknown => Refusal::Unknown,
            Self::Attached(attached) if attached.transport() == wanted => Refusal::Attached,
            Self::Attached(_) => Refusal::TransportChanged,
        }
    }
}

impl Attached {
    /// The inbox of POSTs; `None` if the client has ended the connection, or sends over a WebSocket.
    pub(crate) fn inbox(&self) -> Option<Arc<Inbox>> {
        match self {
            Self::WebSocket(_) => None,
            Self::ServerSentEvents(inbox) => Some(Arc::clone(inbox)),
            Self::LongPolling(polling) => polling.inbox().cloned(),
        }
    }

    pub(crate) fn transport(&self) -> TransportKind {
        match self {
            Self::WebSocket(_) => TransportKind::WebSockets,
            Self::ServerSentEvents(_) => TransportKind::ServerSentEvents,
            Self::LongPolling(_) => TransportKind::LongPolling,
        }
    }
}
