//! Log lines about what may happen very often: one a second at most.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// Something that is counted, and told now and then.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    count: AtomicU64,
    last_line: Mutex<Option<LastLine>>,
}

#[derive(Debug)]
struct LastLine {
    at: Instant,
    count: u64,
}

impl Seldom {
    /// It has happened once more. If it is time for a line: how often it went without one.
    pub(super) fn happened(&self) -> Option<u64> {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut last_line = self.last_line.lock();
        let before = match &*last_line {
            Some(last) if last.at.elapsed() < BETWEEN_LINES => return None,
            Some(last) => last.count,
            None => 0,
        };
        *last_line = Some(LastLine { at: Instant::now(), count });
        Some(count.saturating_sub(before + 1))
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_a_second() {
        let seldom = Seldom::default();
        assert_eq!([(); 3].map(|()| seldom.happened()), [Some(0), None, None]);
        tokio::time::advance(BETWEEN_LINES).await;
        assert_eq!([(); 2].map(|()| seldom.happened()), [Some(2), None]);
        assert_eq!(seldom.count(), 5);
    }
}
