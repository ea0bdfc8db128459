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
