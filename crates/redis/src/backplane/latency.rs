//! How long messages take through Redis: of some, the time from the hub that sends them until they are back here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::echoes::Numbered;

/// From one that is measured to the next, on a link.
pub(super) const BETWEEN_MEASURES: Duration = Duration::from_millis(100);
/// What has not come back for so long does not, for instance because nobody here listens to its channel any more.
const ABANDONED: Duration = Duration::from_secs(60);

/// Whether the next message is to be measured.
#[derive(Debug)]
pub(super) struct Due(AtomicBool);

impl Default for Due {
    fn default() -> Self {
        Self(AtomicBool::new(true))
    }
}

impl Due {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Now, for one message: one load for all others. `comes_back` is asked for that one.
    pub(super) fn take(&self, comes_back: impl FnOnce() -> bool) -> Option<Instant> {
        (self.0.load(Ordering::Relaxed) && comes_back() && self.0.swap(false, Ordering::Relaxed))
            .then(Instant::now)
    }
}

/// The publication that is measured at the moment.
#[derive(Debug, Default)]
pub(super) struct Measuring(Option<(Numbered, Instant)>);

impl Measuring {
    /// Follows this one, unless another is still on its way.
    pub(super) fn begin(&mut self, publication: Numbered, sent: Instant) {
        if !self.is_under_way() {
            self.0 = Some((publication, sent));
        }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.0.as_ref().is_some_and(|(_, sent)| sent.elapsed() < ABANDONED)
    }

    /// How long it took, if this publication is the one.
    pub(super) fn end(&mut self, channel: &Arc<str>, number: u64) -> Option<Duration> {
        let (_, sent) = self.0.take_if(|((of, followed), _)| *followed == number && of == channel)?;
        Some(sent.elapsed())
    }

    /// It will not come back.
    pub(super) fn give_up(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_is_followed_until_it_is_back_or_abandoned() {
        let (channel, mut measuring) = (Arc::<str>::from("c"), Measuring::default());
        let numbered = |number| (Arc::clone(&channel), number);
        measuring.begin(numbered(1), Instant::now());
        tokio::time::advance(Duration::from_millis(7)).await;
        measuring.begin(numbered(2), Instant::now());
        assert_eq!(measuring.end(&channel, 2), None, "the first is on its way");
        assert_eq!(measuring.end(&"d".into(), 1), None);
        assert_eq!(measuring.end(&channel, 1), Some(Duration::from_millis(7)));
        assert_eq!(measuring.end(&channel, 1), None);

        measuring.begin(numbered(3), Instant::now());
        tokio::time::advance(ABANDONED).await;
        measuring.begin(numbered(4), Instant::now());
        assert_eq!(measuring.end(&channel, 4), Some(Duration::ZERO));
    }

    #[test]
    fn a_message_is_taken_when_one_is_due_and_comes_back() {
        let due = Due::default();
        assert!(due.take(|| false).is_none());
        assert!(due.take(|| true).is_some());
        assert!(due.take(|| true).is_none());
        due.set();
        assert!(due.take(|| true).is_some());
    }
}
