//! Who makes a request, at which endpoint, and for what.

use hubline_protocol::negotiate::TransportKind;
use serde::{Deserialize, Serialize};

use crate::authentication::Credentials;
use crate::identity::{EndpointId, Identity};

/// What a request of a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// A GET that brings this transport: it opens the connection, polls it or resumes it.
    Transport(TransportKind),
    /// A POST.
    Send,
    Delete,
    /// A newer principal.
    Refresh,
}

/// Who asks, where, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Requester {
    pub(crate) purpose: Purpose,
    pub(crate) endpoint: EndpointId,
    pub(crate) identity: Identity,
    /// By the hub's user id, where that may count: on other instances than the one with the connection.
    pub(crate) user: Option<Identity>,
    /// Where the endpoint lets its clients refresh their authentication, for whatever may do so.
    pub(crate) credentials: Option<Box<Credentials>>,
    /// Whether the time of its token is over, where that leaves somebody more than nobody has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_expired: bool,
}

/// How much of who negotiated a connection is in who asks for it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resemblance {
    Same,
    /// Another issuer perhaps. Enough for a refresh, so only the instance with the connection knows.
    SameUserId,
    Another,
}
