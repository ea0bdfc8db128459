//! What a backplane counts.

use crate::Latencies;

/// Counts since the backplane was created. A message counts once for each of its targets.
///
/// Every message of this instance is in one of `published`, `queued`, `overflowed`, `refused` and `unknown`. Every
/// queued one is in `waiting`, or ends in `replayed`, `expired`, `refused` or `unknown`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Messages that the backplane has taken at once.
    pub published: u64,
    /// Messages put into the outbox because the link was down.
    pub queued: u64,
    /// Queued messages that were sent once the link was back.
    pub replayed: u64,
    /// Queued messages that were dropped as too old.
    pub expired: u64,
    /// Messages that reached this instance alone, because the outbox was full.
    pub overflowed: u64,
    /// Messages that were sent and never answered: the other instances may have received them or not.
    pub unknown: u64,
    /// Messages that were answered with an error, which reached this instance alone, or were over the limit of size, which
    /// reached no connection.
    pub refused: u64,
    /// Messages in the outbox now.
    pub waiting: u64,
    /// Size of the outbox now, in bytes.
    pub waiting_bytes: u64,
    /// Number of times that a lost link was restored.
    pub reconnects: u64,
    /// Payloads of other servers that could not be decoded.
    pub garbage: u64,
    /// How long messages took from the hub that sent them, through the queue and the backplane, until they were back at this instance, which is
    /// how long they take to the others. A sample: up to ten messages a second, of those that this instance's own connections are to get too.
    pub latencies: Latencies,
}
