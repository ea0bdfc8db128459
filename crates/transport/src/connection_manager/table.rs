//! The maps behind the lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::claims::Claims;
use super::listening::Listening;
use super::{Attached, Found, Known, Negotiated, Owner, TooManyWaiting};
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
    waiting: HashMap<ConnectionToken, Entry>,
    /// How many wait for each reason.
    counts: [usize; Why::COUNT],
    /// Tokens of this instance.
    pub(super) claims: Claims,
    /// Tokens of others, for connections that have come here.
    pub(super) adopted: Claims,
    pub(super) statistics: ConnectionStatistics,
    /// Whether what ends now ends with the server.
    pub(super) is_stopping: bool,
    /// When what waits was last searched for what has expired; `None` without a sweeper.
    pub(super) swept: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    waiting: Waiting,
    why: Why,
    expires: Instant,
}

/// A connection that is forgotten unless its client comes in time.
#[derive(Debug)]
pub(super) enum Waiting {
    Negotiated(Negotiated),
    /// The hub is done with it, but polls may fetch its last messages.
    Ended {
        polling: Arc<LongPolling>,
        owner: Owner,
        _listening: Option<Listening>,
    },
}

/// Why something waits, which says how much of it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Its token tells nothing.
    Version0,
    /// Its authentication was refreshed before its transport came.
    Refreshed,
    /// Its transport has come, and takes it in this instant, unless that fails.
    Claimed,
    Ended,
}

impl Why {
    const COUNT: usize = 4;

    /// Most that wait for this reason: about 3 MB for 10,000, and what those have to tell that have ended.
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
            waiting: HashMap::new(),
            counts: [0; Why::COUNT],
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
        self.waiting.is_empty() && self.claims.is_empty() && self.adopted.is_empty()
    }

    pub(super) fn wait(
        &mut self,
        token: ConnectionToken,
        waiting: Waiting,
        why: Why,
        expires: Instant,
    ) -> Result<(), TooManyWaiting> {
        if self.counts[why as usize] >= why.limit() {
            return Err(TooManyWaiting);
        }
        self.counts[why as usize] += 1;
        if let Some(before) = self.waiting.insert(token, Entry { waiting, why, expires }) {
            self.counts[before.why as usize] -= 1;
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
        match self.waiting.get(token)? {
            Entry { waiting: Waiting::Negotiated(_), expires, .. } if *expires > Instant::now() => {}
            _ => return None,
        }
        let (token, Entry { waiting, why, .. }) = self.waiting.remove_entry(token)?;
        self.counts[why as usize] -= 1;
        match waiting {
            Waiting::Negotiated(negotiated) => Some((token, negotiated)),
            Waiting::Ended { .. } => None,
        }
    }

    pub(super) fn find(&self, token: &str) -> Option<Found> {
        let (attached, owner) = match (self.attached.get(token), self.waiting.get(token)) {
            (Some((attached, owner)), _) => (attached.clone(), owner),
            (None, Some(Entry { expires, .. })) if *expires <= Instant::now() => return None,
            (None, Some(Entry { waiting: Waiting::Negotiated(negotiated), .. })) => {
                return Some(Found { known: Known::Negotiated, owner: negotiated.owner.clone() });
            }
            (None, Some(Entry { waiting: Waiting::Ended { polling, owner, .. }, .. })) => {
                (Attached::LongPolling(Arc::clone(polling)), owner)
            }
            (None, None) => return None,
        };
        match &attached {
            Attached::LongPolling(polling) if polling.is_over() => None,
            _ => Some(Found { known: Known::Attached(attached), owner: owner.clone() }),
        }
    }

    /// Drops what has expired.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.swept = Some(now);
        let Self { waiting, counts, .. } = self;
        waiting.retain(|_, entry| {
            let is_kept = entry.expires > now;
            counts[entry.why as usize] -= usize::from(!is_kept);
            is_kept
        });
        self.claims.sweep(now);
        self.adopted.sweep(now);
    }
}
