//! How long a task waits before it runs again.

use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// A task that has run for so long begins with the first pause again.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// Doubled with each panic, so that one that comes at once costs no processor.
pub(crate) struct Pauses {
    next: Duration,
    begun: Instant,
}

impl Pauses {
    pub(crate) fn new() -> Self {
        Self { next: FIRST, begun: Instant::now() }
    }

    /// The task runs from now on.
    pub(crate) fn begin(&mut self) {
        self.begun = Instant::now();
    }

    /// The task has panicked.
    pub(crate) fn next(&mut self) -> Duration {
        if self.begun.elapsed() >= WELL_AFTER {
            self.next = FIRST;
        }
        let pause = self.next;
        self.next = (2 * pause).min(LONGEST);
        pause
    }
}
