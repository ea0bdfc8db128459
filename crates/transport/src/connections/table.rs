//! The two maps behind the lock.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Attached, Known, Negotiated};
use crate::ConnectionToken;
use crate::long_polling::LongPolling;
use crate::refresh::Refresh;
use crate::relay::Listening;
use crate::statistics::{ConnectionStatistics, EndStatus};

#[derive(Debug, Default)]
pub(super) struct Table {
    attached: HashMap<ConnectionToken, Attached>,
    waiting: HashMap<ConnectionToken, (Waiting, Instant)>,
    /// Of attached connections where it is switched on.
    refreshes: HashMap<ConnectionToken, Arc<Refresh>>,
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

    pub(super) fn attach(&mut self, token: ConnectionToken, attached: Attached) {
        self.statistics.began(attached.transport());
        self.attached.insert(token, attached);
    }

    /// Takes out a connection that has been attached since `since`.
    pub(super) fn detach(&mut self, token: &ConnectionToken, since: Instant) -> Option<Attached> {
        self.refreshes.remove(token);
        let attached = self.attached.remove(token)?;
        let status = match &attached {
            Attached::LongPolling(polling) if polling.was_abandoned() => EndStatus::Timeout,
            _ if self.is_stopping => EndStatus::AppShutdown,
            _ => EndStatus::NormalClosure,
        };
        self.statistics.ended(attached.transport(), status, since.elapsed());
        Some(attached)
    }

    pub(super) fn refresh_by(&mut self, token: ConnectionToken, refresh: Arc<Refresh>) {
        self.refreshes.insert(token, refresh);
    }

    pub(super) fn refresh(&self, token: &str) -> Option<Arc<Refresh>> {
        self.refreshes.get(token).cloned()
    }

    pub(super) fn negotiated(&mut self, token: &str) -> Option<&mut Negotiated> {
        match self.waiting.get_mut(token)? {
            (Waiting::Negotiated(negotiated), expires) if *expires > Instant::now() => Some(negotiated),
            _ => None,
        }
    }

    pub(super) fn take_negotiated(&mut self, token: &str) -> Option<(ConnectionToken, Negotiated)> {
        self.negotiated(token)?;
        match self.waiting.remove_entry(token)? {
            (token, (Waiting::Negotiated(negotiated), _)) => Some((token, negotiated)),
            _ => None,
        }
    }

    pub(super) fn find(&self, token: &str) -> Option<Known> {
        let attached = match (self.attached.get(token), self.waiting.get(token)) {
            (Some(attached), _) => attached.clone(),
            (None, Some((_, expires))) if *expires <= Instant::now() => return None,
            (None, Some((Waiting::Negotiated(_), _))) => return Some(Known::Negotiated),
            (None, Some((Waiting::Ended { polling, .. }, _))) => Attached::LongPolling(Arc::clone(polling)),
            (None, None) => return None,
        };
        match &attached {
            Attached::LongPolling(polling) if polling.is_over() => None,
            _ => Some(Known::Attached(attached)),
        }
    }

    /// Drops what has expired.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.swept = Some(now);
        for (_, (waiting, _)) in self.waiting.extract_if(|_, (_, expires)| *expires <= now) {
            if let Waiting::Negotiated(negotiated) = waiting {
                negotiated.expire();
            }
        }
    }
}
