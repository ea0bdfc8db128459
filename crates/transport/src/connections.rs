//! Connections that have been negotiated or are attached, by their token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hubline_protocol::ConnectionId;
use tokio::time::Instant;

use crate::ConnectionToken;
use crate::token::random_id;

/// How long a negotiated connection waits for its transport (ASP.NET Core's `DisconnectTimeout`).
const ATTACH_TIMEOUT: Duration = Duration::from_secs(15);

/// All connections of a process, shared by its endpoints: a token negotiated on one path opens on any.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    inner: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    records: HashMap<ConnectionToken, Record>,
    /// When the records were last searched for expired ones.
    swept: Option<Instant>,
}

#[derive(Debug)]
enum Record {
    Negotiated { id: ConnectionId, expires: Instant },
    Attached,
}

/// Why a transport cannot be attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttachError {
    /// Never negotiated, expired, or ended.
    Unknown,
    /// It has a transport already.
    AlreadyAttached,
}

/// What is known of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Negotiated, no transport yet.
    Waiting,
    /// Carried by a WebSocket.
    Attached,
}

impl Connections {
    /// Adds a connection that has [`ATTACH_TIMEOUT`] to attach its transport.
    pub(crate) fn negotiate(&self, id: ConnectionId, token: ConnectionToken) {
        let now = Instant::now();
        let mut table = self.lock();
        table.sweep(now);
        table.records.insert(token, Record::Negotiated { id, expires: now + ATTACH_TIMEOUT });
    }

    /// Claims a negotiated connection for a transport.
    pub(crate) fn attach(&self, token: &str) -> Result<(ConnectionId, Attachment), AttachError> {
        let mut table = self.lock();
        table.sweep(Instant::now());
        let (token, record) = table.records.remove_entry(token).ok_or(AttachError::Unknown)?;
        let claimed = match record {
            Record::Negotiated { id, expires } if expires > Instant::now() => Ok(id),
            Record::Negotiated { .. } => return Err(AttachError::Unknown),
            Record::Attached => Err(AttachError::AlreadyAttached),
        };
        table.records.insert(token.clone(), Record::Attached);
        drop(table);
        claimed.map(|id| (id, Attachment { connections: self.clone(), token }))
    }

    /// Adds a connection that comes without a negotiation.
    pub(crate) fn attach_new(&self) -> (ConnectionId, Attachment) {
        let id = random_id();
        let token = ConnectionToken::from(&id);
        self.lock().records.insert(token.clone(), Record::Attached);
        (id, Attachment { connections: self.clone(), token })
    }

    pub(crate) fn find(&self, token: &str) -> Option<Known> {
        match self.lock().records.get(token)? {
            Record::Negotiated { expires, .. } => (*expires > Instant::now()).then_some(Known::Waiting),
            Record::Attached => Some(Known::Attached),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Drops what has expired, at most once a second, so that abandoned negotiations cannot pile up.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now < swept + Duration::from_secs(1)) {
            return;
        }
        self.swept = Some(now);
        self.records
            .retain(|_, record| !matches!(record, Record::Negotiated { expires, .. } if *expires <= now));
    }
}

/// Holds an attached connection's place; dropping it forgets the connection.
#[derive(Debug)]
pub(crate) struct Attachment {
    connections: Connections,
    token: ConnectionToken,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.connections.lock().records.remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(connections: &Connections) -> ConnectionToken {
        let token = ConnectionToken::random();
        connections.negotiate(random_id(), token.clone());
        token
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_attaches_once_and_is_forgotten_at_the_end() {
        let connections = Connections::default();
        let token = negotiated(&connections);
        assert_eq!(connections.find(token.as_str()), Some(Known::Waiting));
        let (_, attachment) = connections.attach(token.as_str()).unwrap();
        assert_eq!(connections.find(token.as_str()), Some(Known::Attached));
        assert_eq!(connections.attach(token.as_str()).unwrap_err(), AttachError::AlreadyAttached);
        drop(attachment);
        assert_eq!(connections.attach(token.as_str()).unwrap_err(), AttachError::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn abandoned_negotiations_do_not_pile_up() {
        let connections = Connections::default();
        let old = negotiated(&connections);
        tokio::time::advance(ATTACH_TIMEOUT).await;
        assert_eq!(connections.attach(old.as_str()).unwrap_err(), AttachError::Unknown);
        negotiated(&connections);
        assert_eq!(connections.lock().records.len(), 1);
    }
}
