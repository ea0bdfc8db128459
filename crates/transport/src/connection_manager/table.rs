//! The tables of connections, behind the lock of the connection manager.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::claims::Claims;
use super::listening::Listening;
use super::{Attached, ConnectionState, Found, Negotiated, Owner, TooManyPending};
use crate::ConnectionToken;
use crate::long_polling::LongPolling;
use crate::statistics::{ConnectionStatistics, EndStatus};
use crate::token::DISCONNECT_TIMEOUT;

/// A token is good for a second more than its 15 at most, by the rounding of its time.
const CLAIMED_FOR: Duration = DISCONNECT_TIMEOUT.saturating_add(Duration::from_secs(2));
/// What was claimed of other instances: by whichever clock, their tokens are older then than they may be.
const ADOPTED_FOR: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Table {
    attached: HashMap<ConnectionToken, (Attached, Owner)>,
    pending: HashMap<ConnectionToken, Entry>,
    /// Number of pending connections by reason.
    counts: [usize; PendingReason::COUNT],
    /// Tokens of this instance.
    pub(super) claims: Claims,
    /// Tokens of others, for connections that have come here.
    pub(super) adopted: Claims,
    pub(super) statistics: ConnectionStatistics,
    /// Whether the server is stopping: connections that end now count as ended by that.
    pub(super) is_stopping: bool,
    /// When expired entries were last removed; `None` without a sweeper.
    pub(super) swept: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    pending: Pending,
    reason: PendingReason,
    expires: Instant,
}

/// A connection that is forgotten unless its client makes its next request in time.
#[derive(Debug)]
pub(super) enum Pending {
    Negotiated(Negotiated),
    /// The hub is done with it, but polls may fetch its last messages.
    Ended {
        polling: Arc<LongPolling>,
        owner: Owner,
        _listening: Option<Listening>,
    },
}

/// Why a connection is pending, which decides how many may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PendingReason {
    /// Its token tells nothing.
    Version0,
    /// Its authentication was refreshed before its transport came.
    Refreshed,
    /// Its transport has come, and takes it in this instant, unless that fails.
    Claimed,
    Ended,
}

impl PendingReason {
    const COUNT: usize = 4;

    /// Most connections that are pending for this reason. 10,000 take about 3 MB, and the last messages of those that have
    /// ended.
    fn limit(self) -> usize {
        match self {
            Self::Version0 | Self::Refreshed => 10_000,
            Self::Claimed | Self::Ended => 100_000,
        }
    }
}

impl Default for Table {
    fn default() -> Self {
        Self {
            attached: HashMap::new(),
            pending: HashMap::new(),
            counts: [0; PendingReason::COUNT],
            claims: Claims::kept_for(CLAIMED_FOR),
            adopted: Claims::kept_for(ADOPTED_FOR),
            statistics: ConnectionStatistics::default(),
            is_stopping: false,
            swept: None,
        }
    }
}

impl Table {
    /// Whether there is nothing that would have to be forgotten.
    pub(super) fn is_swept_clean(&self) -> bool {
        self.pending.is_empty() && self.claims.is_empty() && self.adopted.is_empty()
    }

    pub(super) fn add_pending(
        &mut self,
        token: ConnectionToken,
        pending: Pending,
        reason: PendingReason,
        expires: Instant,
    ) -> Result<(), TooManyPending> {
        if self.counts[reason as usize] >= reason.limit() {
            return Err(TooManyPending);
        }
        self.counts[reason as usize] += 1;
        if let Some(before) = self.pending.insert(token, Entry { pending, reason, expires }) {
            self.counts[before.reason as usize] -= 1;
        }
        Ok(())
    }

    pub(super) fn attach(&mut self, token: ConnectionToken, attached: Attached, owner: Owner) {
        self.statistics.began(attached.transport());
        self.attached.insert(token, (attached, owner));
    }

    /// Takes out a connection that has been attached since `since`.
    pub(super) fn detach(&mut self, token: &ConnectionToken, since: Instant) -> Option<(Attached, Owner)> {
        let (attached, owner) = self.attached.remove(token)?;
        let status = match &attached {
            Attached::LongPolling(polling) if polling.was_abandoned() => EndStatus::Timeout,
            _ if self.is_stopping => EndStatus::AppShutdown,
            _ => EndStatus::NormalClosure,
        };
        self.statistics.ended(attached.transport(), status, since.elapsed());
        Some((attached, owner))
    }

    pub(super) fn take_negotiated(&mut self, token: &str) -> Option<(ConnectionToken, Negotiated)> {
        match self.pending.get(token)? {
            Entry { pending: Pending::Negotiated(_), expires, .. } if *expires > Instant::now() => {}
            _ => return None,
        }
        let (token, Entry { pending, reason, .. }) = self.pending.remove_entry(token)?;
        self.counts[reason as usize] -= 1;
        match pending {
            Pending::Negotiated(negotiated) => Some((token, negotiated)),
            Pending::Ended { .. } => None,
        }
    }

    pub(super) fn find(&self, token: &str) -> Option<Found> {
        let (attached, owner) = match (self.attached.get(token), self.pending.get(token)) {
            (Some((attached, owner)), _) => (attached.clone(), owner),
            (None, Some(Entry { expires, .. })) if *expires <= Instant::now() => return None,
            (None, Some(Entry { pending: Pending::Negotiated(negotiated), .. })) => {
                return Some(Found { state: ConnectionState::Negotiated, owner: negotiated.owner.clone() });
            }
            (None, Some(Entry { pending: Pending::Ended { polling, owner, .. }, .. })) => {
                (Attached::LongPolling(Arc::clone(polling)), owner)
            }
            (None, None) => return None,
        };
        match &attached {
            Attached::LongPolling(polling) if polling.is_over() => None,
            _ => Some(Found { state: ConnectionState::Attached(attached), owner: owner.clone() }),
        }
    }

    /// Drops what has expired.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.swept = Some(now);
        let Self { pending, counts, .. } = self;
        pending.retain(|_, entry| {
            let is_kept = entry.expires > now;
            counts[entry.reason as usize] -= usize::from(!is_kept);
            is_kept
        });
        self.claims.sweep(now);
        self.adopted.sweep(now);
    }
}
