//! Ids and secrets of connections.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubline_protocol::{ConnectionId, random_bytes};

/// How long a negotiated connection waits for its transport, and a long-polling one for its next poll.
pub(crate) const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The secret that ties a client's later requests to its negotiation. Never shown in logs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ConnectionToken(Arc<str>);

impl ConnectionToken {
    pub(crate) fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The text that travels as the query parameter `id`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&ConnectionId> for ConnectionToken {
    /// In version 0, and without a negotiation, the id is its own token.
    fn from(id: &ConnectionId) -> Self {
        Self(id.as_str().into())
    }
}

impl std::borrow::Borrow<str> for ConnectionToken {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConnectionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionToken(..)")
    }
}

/// A new public id.
pub(crate) fn random_id() -> ConnectionId {
    random_text().into()
}

/// 16 random bytes as 22 characters of base64url, as ASP.NET Core makes them.
fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<16>())
}
