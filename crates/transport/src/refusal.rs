//! Why a request is refused.

use serde::{Deserialize, Serialize};

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    /// There is no such connection at this endpoint.
    Unknown,
    /// The endpoint does not offer this transport.
    NotOffered,
    /// A POST has come before a transport.
    NoTransport,
    /// A POST to a connection with a WebSocket.
    NoPost,
    /// A DELETE to a connection without long polling.
    NoDelete,
    /// The connection has another transport.
    TransportChanged,
    /// The connection has this transport already.
    Attached,
    /// The connection belongs to another user.
    AnotherUser,
    /// The token has expired, and the request does more than go on with the user's own connection.
    Expired,
    /// A poll of another user, whose client may not know yet that it has to refresh its authentication first.
    RefreshRequired,
    /// The connection token is no secret: with version 0, or without a negotiation.
    NotRefreshable,
    /// The application does not want the newer principal.
    Rejected,
    /// The application could not decide about the newer principal.
    Failed,
    /// As many connections wait for their transports as may on this instance.
    TooMany,
}

impl Refusal {
    /// What an observer is told; `None` where it is a step that the protocol has, which the client follows.
    pub(crate) fn reason(self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown => "unknown_connection",
            Self::NotOffered => "transport_not_offered",
            Self::NoTransport => "no_transport",
            Self::NoPost | Self::NoDelete | Self::TransportChanged => "other_transport",
            Self::Attached => "connected_already",
            Self::AnotherUser => "another_user",
            Self::Expired => "expired",
            Self::RefreshRequired => return None,
            Self::NotRefreshable => "not_refreshable",
            Self::Rejected => "refresh_rejected",
            Self::Failed => "refresh_failed",
            Self::TooMany => "too_many_pending",
        })
    }
}
