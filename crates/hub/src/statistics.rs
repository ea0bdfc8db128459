//! What a hub counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::connection::METRIC_LABELS;

/// What a hub counts on one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubStatistics {
    /// The name other servers know the hub by.
    pub name: String,
    /// Connections that are there now, past their handshake.
    pub connections: usize,
    /// How many connections have ended since the start, by the [label](crate::CloseReason::metric_label) of the
    /// reason; every label is there. Those that got no further than the handshake are `handshake_refused`, and
    /// `handshake_lost` if nobody refused them.
    pub closed: BTreeMap<&'static str, u64>,
}

/// Counts connections that end.
#[derive(Debug)]
pub(crate) struct Closed(Mutex<BTreeMap<&'static str, u64>>);

impl Closed {
    pub(crate) fn count(&self, label: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        debug_assert!(counts.contains_key(label), "{label} is not among the labels");
        *counts.entry(label).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Default for Closed {
    /// All labels are there from the start, so that whoever watches a rate sees the first one.
    fn default() -> Self {
        Self(Mutex::new(METRIC_LABELS.into_iter().map(|label| (label, 0)).collect()))
    }
}
