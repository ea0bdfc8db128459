//! The two maps behind the lock.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Attached, Found, Known, Negotiated, Owner};
use crate::ConnectionToken;
use crate::long_polling::LongPolling;
use crate::relay::Listening;
use crate::statistics::{ConnectionStatistics, EndStatus};

#[derive(Debug, Default)]
pub(super) struct Table {
    attached: HashMap<ConnectionToken, (Attached, Owner)>,
    waiting: HashMap<ConnectionToken, (Waiting, Instant)>,
    pub(super) statistics: ConnectionStatistics,
    /// Whether what ends now ends with the server.
    pub(super) is_stopping: bool,
    /// When what waits was last searched for what has expired; `None` without a sweeper.
    pub(super) swept: Option<Instant>,
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

impl Table {
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn wait(&mut self, token: ConnectionToken, waiting: Waiting, expires: Instant) {
        self.waiting.insert(token, (waiting, expires));
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
            (Waiting::Negotiated(_), expires) if *expires > Instant::now() => {}
            _ => return None,
        }
        match self.waiting.remove_entry(token)? {
            (token, (Waiting::Negotiated(negotiated), _)) => Some((token, negotiated)),
            _ => None,
        }
    }

    pub(super) fn find(&self, token: &str) -> Option<Found> {
        let (attached, owner) = match (self.attached.get(token), self.waiting.get(token)) {
            (Some((attached, owner)), _) => (attached.clone(), owner),
            (None, Some((_, expires))) if *expires <= Instant::now() => return None,
            (None, Some((Waiting::Negotiated(negotiated), _))) => {
                return Some(Found { known: Known::Negotiated, owner: negotiated.owner.clone() });
            }
            (None, Some((Waiting::Ended { polling, owner, .. }, _))) => {
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
        self.waiting.retain(|_, (_, expires)| *expires > now);
    }
}
