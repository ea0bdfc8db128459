//! Connections that are handed over because their instance stops, and what they leave.

use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::outbox::Outbox;

/// A connection that is to be handed over to another instance; see [`HubContext::begin_drain`](crate::HubContext::begin_drain).
#[derive(Debug)]
pub struct DrainingConnection(pub(crate) Weak<Outbox>);

impl DrainingConnection {
    /// Sends the client to another instance, by a Close message with `allowReconnect`, as soon as none of its calls and streams runs
    /// and none of its results is waited for. It is served until then, and gets everything that was sent to it.
    pub fn hand_over(self) {
        if let Some(outbox) = self.0.upgrade() {
            outbox.drain();
        }
    }
}

/// What connections have left that were closed because the instance stops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// Calls that still run, whose results nobody gets.
    pub calls: usize,
    /// Streams for clients that were cut.
    pub streams: usize,
    /// Messages that were not sent to clients: those that do not read, or were away (stateful reconnect).
    pub messages: usize,
}

/// Counts [`Left`] as connections end.
#[derive(Debug, Default)]
pub(crate) struct LeftCounters {
    calls: AtomicUsize,
    streams: AtomicUsize,
    messages: AtomicUsize,
}

impl LeftCounters {
    pub(crate) fn add_running(&self, calls: usize, streams: usize) {
        self.calls.fetch_add(calls, Ordering::Relaxed);
        self.streams.fetch_add(streams, Ordering::Relaxed);
    }

    pub(crate) fn call_ended(&self) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }

    /// These are to be sent now.
    pub(crate) fn begin_sending(&self, messages: usize) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
    }

    /// So many of those have been.
    pub(crate) fn sent(&self, messages: usize) {
        self.messages.fetch_sub(messages, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Left {
        Left {
            calls: self.calls.load(Ordering::Relaxed),
            streams: self.streams.load(Ordering::Relaxed),
            messages: self.messages.load(Ordering::Relaxed),
        }
    }
}
