//! How much is kept while Redis cannot be reached.

use std::time::Duration;

/// Bounds of the outbox, for each Redis node. It keeps what hubs send while the link is down, for the other
/// instances; the connections of this one get it at once.
///
/// A full outbox refuses what comes: what was told to be queued keeps its place until it is sent or too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxOptions {
    /// Messages that may wait; a message counts once for each of its targets. 0: nothing is kept.
    /// Default: 10,000.
    pub limit_messages: usize,
    /// What they may take in bytes, in both hub protocols, with some 100 bytes for each message. Default: 32 MiB.
    pub limit_bytes: usize,
    /// How long a message may wait before it is dropped: later it would be of no use to those who get it.
    /// Default: 60 s.
    pub max_age: Duration,
}

impl Default for OutboxOptions {
    fn default() -> Self {
        Self { limit_messages: 10_000, limit_bytes: 32 * 1024 * 1024, max_age: Duration::from_secs(60) }
    }
}
