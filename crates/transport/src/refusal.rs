//! Why a request is refused.

use serde::{Deserialize, Serialize};

/// Why a request gets no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    /// There is no such connection at this endpoint.
    Unknown,
    /// The endpoint does not offer this transport.
    NotOffered,
    /// A POST has come before a transport.
    NoTransport,
    /// A WebSocket sends for itself.
    NoPost,
    /// Only long polling is ended by DELETE.
    NoDelete,
    /// It has another transport.
    TransportChanged,
    /// It has that transport already.
    Attached,
    /// It belongs to another user.
    AnotherUser,
    /// The token's time is over, and what is asked for is more than to go on with a connection of one's own.
    Expired,
    /// A poll of another user, whose client may not know yet that it has to refresh its authentication first.
    RefreshRequired,
    /// There is no secret: with version 0, or without a negotiation.
    NotRefreshable,
    /// The application does not want the newer principal.
    Rejected,
    /// What the application says about it could not be had.
    Failed,
    /// More connections wait for their transports than this instance bears.
    TooMany,
}
