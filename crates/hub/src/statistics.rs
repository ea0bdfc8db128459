//! What a hub counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::call_durations::{DurationCounters, MethodStatistics};
use crate::callback::Callback;
use crate::connection::METRIC_LABELS;
use crate::striped::Striped;

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
    /// How often an invocation has waited because clients that its sender sent to had too much to read
    /// ([`HubOptions::sender_hold_timeout`](crate::HubOptions::sender_hold_timeout)).
    pub senders_held: u64,
    /// How many of those went on because the time was over, and not because there was room.
    pub sender_holds_timed_out: u64,
    /// How often a client met one of the [`HubLimits`](crate::HubLimits), by the limit's name there; every name is there.
    pub limited: BTreeMap<&'static str, u64>,
    /// How many invocations named a method that the hub does not have. The first is logged as a warning.
    pub unknown_methods: u64,
    /// How many invocations failed because their arguments did not fit the parameters of the method, in number or in type,
    /// or because only one of the two streams. The first of each method is logged as a warning.
    pub binding_failures: u64,
    /// How often a method or a callback of the hub kept its thread for more than 100 ms without an await, while the other
    /// connections of the thread waited. The first time of each method is logged as a warning.
    pub blocking_polls: u64,
    /// Messages that were handed to the transports of connections since the start: invocations, completions and items of streams,
    /// counted once for each connection. What belongs to the connection itself (handshakes, pings, acknowledgements, what is
    /// repeated after a stateful reconnect) is not among them.
    pub messages_sent: u64,
    /// The hub's methods, in the order of their names.
    pub methods: Vec<MethodStatistics>,
}

/// What is counted of one method.
#[derive(Debug, Default)]
pub(crate) struct MethodCounters {
    pub(crate) durations: DurationCounters,
    pub(crate) binding_failures: AtomicU64,
    pub(crate) blocking_polls: AtomicU64,
}

/// A limit of [`HubLimits`](crate::HubLimits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    MessagesPerSecond,
    BytesPerSecond,
    GroupsPerConnection,
    GroupNameBytes,
    MethodNameBytes,
}

impl Limit {
    const ALL: [Self; 5] = [
        Self::MessagesPerSecond,
        Self::BytesPerSecond,
        Self::GroupsPerConnection,
        Self::GroupNameBytes,
        Self::MethodNameBytes,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::MessagesPerSecond => "messages_per_second",
            Self::BytesPerSecond => "bytes_per_second",
            Self::GroupsPerConnection => "groups_per_connection",
            Self::GroupNameBytes => "group_name_bytes",
            Self::MethodNameBytes => "method_name_bytes",
        }
    }

    /// What the standalone program's setting is called, and this limit in texts.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::MessagesPerSecond => "Limits:MessagesPerSecond",
            Self::BytesPerSecond => "Limits:BytesPerSecond",
            Self::GroupsPerConnection => "Limits:GroupsPerConnection",
            Self::GroupNameBytes => "Limits:GroupNameBytes",
            Self::MethodNameBytes => "Limits:MethodNameBytes",
        }
    }
}

/// Counts what happens seldom, or is counted for many at once.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    messages_sent: Striped<AtomicU64>,
    senders_held: AtomicU64,
    sender_holds_timed_out: AtomicU64,
    limited: [AtomicU64; Limit::ALL.len()],
    unknown_methods: AtomicU64,
    blocking_polls: [AtomicU64; Callback::ALL.len()],
}

impl Counters {
    /// Returns how often that had happened before.
    pub(crate) fn sender_held(&self) -> u64 {
        self.senders_held.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn hold_timed_out(&self) {
        self.sender_holds_timed_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how often that had happened before.
    pub(crate) fn limited(&self, limit: Limit) -> u64 {
        self.limited[limit as usize].fetch_add(1, Ordering::Relaxed)
    }

    /// Returns how often that had happened before.
    pub(crate) fn unknown_method(&self) -> u64 {
        self.unknown_methods.fetch_add(1, Ordering::Relaxed)
    }

    /// How often a callback blocked its thread.
    pub(crate) fn blocking_polls(&self, callback: Callback) -> &AtomicU64 {
        &self.blocking_polls[callback as usize]
    }

    /// So many messages were handed to a transport together.
    pub(crate) fn messages_sent(&self, count: usize) {
        self.messages_sent.mine().fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn write(&self, statistics: &mut HubStatistics) {
        statistics.blocking_polls += sum(&self.blocking_polls);
        statistics.messages_sent = sum(self.messages_sent.iter());
        statistics.unknown_methods = self.unknown_methods.load(Ordering::Relaxed);
        statistics.senders_held = self.senders_held.load(Ordering::Relaxed);
        statistics.sender_holds_timed_out = self.sender_holds_timed_out.load(Ordering::Relaxed);
        let counts = self.limited.iter().map(|count| count.load(Ordering::Relaxed));
        statistics.limited = Limit::ALL.into_iter().map(Limit::label).zip(counts).collect();
    }
}

pub(crate) fn sum<'a>(counts: impl IntoIterator<Item = &'a AtomicU64>) -> u64 {
    counts.into_iter().map(|count| count.load(Ordering::Relaxed)).sum()
}

/// Counts connections that end.
#[derive(Debug)]
pub(crate) struct Closed(Mutex<BTreeMap<&'static str, u64>>);

impl Closed {
    /// Returns how many there were before.
    pub(crate) fn count(&self, label: &'static str) -> u64 {
        let mut counts = self.0.lock();
        debug_assert!(counts.contains_key(label), "{label} is not among the labels");
        let count = counts.entry(label).or_default();
        *count += 1;
        *count - 1
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().clone()
    }
}

impl Default for Closed {
    /// All labels are there from the start, so that whoever watches a rate sees the first one.
    fn default() -> Self {
        Self(Mutex::new(METRIC_LABELS.into_iter().map(|label| (label, 0)).collect()))
    }
}
