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

/// Most negotiated connections that wait for their transport, whatever their number a second: about 30 MB.
/// Full means that further negotiations are refused until some have attached or expired.
const WAITING_LIMIT: usize = 100_000;

/// All connections of a process, shared by its endpoints: a token negotiated on one path opens on any.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    inner: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    records: HashMap<ConnectionToken, Record>,
    /// How many of the records have no transport yet.
    waiting: usize,
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

/// [`WAITING_LIMIT`] is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyWaiting;

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
    pub(crate) fn negotiate(&self, id: ConnectionId, token: ConnectionToken) -> Result<(), TooManyWaiting> {
        let now = Instant::now();
        let mut table = self.lock();
        table.sweep(now);
        if table.waiting >= WAITING_LIMIT {
            return Err(TooManyWaiting);
        }
        table.waiting += 1;
        table.records.insert(token, Record::Negotiated { id, expires: now + ATTACH_TIMEOUT });
        Ok(())
    }

    /// Claims a negotiated connection for a transport.
    pub(crate) fn attach(&self, token: &str) -> Result<(ConnectionId, Attachment), AttachError> {
        let mut table = self.lock();
        table.sweep(Instant::now());
        let (token, record) = table.records.remove_entry(token).ok_or(AttachError::Unknown)?;
        let claimed = match record {
            Record::Negotiated { id, expires } => {
                table.waiting -= 1;
                if expires <= Instant::now() {
                    return Err(AttachError::Unknown);
                }
                Ok(id)
            }
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
        let before = self.records.len();
        let is_over =
            |record: &Record| matches!(record, Record::Negotiated { expires, .. } if *expires <= now);
        self.records.retain(|_, record| !is_over(record));
        self.waiting -= before - self.records.len();
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
        connections.negotiate(random_id(), token.clone()).unwrap();
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

    #[tokio::test(start_paused = true)]
    async fn only_so_many_may_wait() {
        let connections = Connections::default();
        let first = negotiated(&connections);
        for _ in 1..WAITING_LIMIT {
            negotiated(&connections);
        }
        let refused = connections.negotiate(random_id(), ConnectionToken::random());
        assert_eq!(refused, Err(TooManyWaiting));
        let attached = connections.attach(first.as_str()).unwrap();
        negotiated(&connections);
        tokio::time::advance(ATTACH_TIMEOUT).await;
        negotiated(&connections);
        assert_eq!(connections.lock().waiting, 1);
        drop(attached);
    }
}
