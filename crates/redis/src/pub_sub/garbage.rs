//! Payloads that cannot be used: counted, and logged once a second at most.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const BETWEEN_LINES: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Garbage {
    count: AtomicU64,
    last_line: Mutex<Option<LastLine>>,
}

#[derive(Debug)]
struct LastLine {
    at: Instant,
    count: u64,
}

impl Garbage {
    pub(crate) fn found(&self, channel: &str, reason: &dyn fmt::Display) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut last_line = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match &*last_line {
            Some(last) if last.at.elapsed() < BETWEEN_LINES => return,
            Some(last) => last.count,
            None => 0,
        };
        *last_line = Some(LastLine { at: Instant::now(), count });
        let unlogged = count.saturating_sub(before + 1);
        tracing::warn!(channel, %reason, unlogged, "payload from Redis dropped");
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}
