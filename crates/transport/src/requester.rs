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

/// Who makes a request, at which endpoint, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Requester {
    pub(crate) purpose: Purpose,
    pub(crate) endpoint: EndpointId,
    pub(crate) identity: Identity,
    /// By the hub's user id, where authentication refresh is on. Used on instances without the connection.
    pub(crate) user: Option<Identity>,
    /// What the request may refresh the connection's authentication with, where the endpoint allows that.
    pub(crate) credentials: Option<Box<Credentials>>,
    /// Whether its token has expired, where the endpoint lets it go on with its own connections.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_expired: bool,
}

/// How the user of a request compares with the user who negotiated the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UserMatch {
    Same,
    /// The same user id, perhaps of another issuer. Enough for a refresh, which only the instance with the connection judges.
    SameUserId,
    Other,
}
