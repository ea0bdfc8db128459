//! What a backplane counts.

/// Counts since the backplane was made, a message once for each of its targets; and what waits now.
///
/// Every message of this instance is in one of `published`, `queued`, `overflowed`, `refused` and `unknown`, and
/// every queued one still waits or ends in `replayed`, `expired`, `refused` or `unknown`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Taken by the backplane at once.
    pub published: u64,
    /// Put into the outbox, because the link was down.
    pub queued: u64,
    /// Of the queued, those sent once the link was back.
    pub replayed: u64,
    /// Of the queued, those that grew too old.
    pub expired: u64,
    /// Not queued, because the outbox was full: they reached this instance alone.
    pub overflowed: u64,
    /// Sent, and never answered: the other instances may have got them or not.
    pub unknown: u64,
    /// Answered with an error: they reached this instance alone. Or too large to be sent at all: they reached nobody.
    pub refused: u64,
    /// In the outbox now.
    pub waiting: u64,
    /// What they take, in bytes.
    pub waiting_bytes: u64,
    /// How often a lost link was restored.
    pub reconnects: u64,
    /// Payloads of others that could not be used.
    pub garbage: u64,
}
