//! What keeps connections from being accepted: said at once, and then now and then.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines, however often it fails.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Trouble {
    last_line: Option<Instant>,
    unsaid: u64,
}

impl Trouble {
    /// Logs that accepting has failed, or counts it.
    pub(super) fn happened(&mut self, error: &io::Error) {
        if let Some(failures) = self.due() {
            let cure = cure(error);
            tracing::error!(%error, failures, cure, "Cannot accept connections; clients wait, and it is tried again");
        }
    }

    /// How often it has failed, if that is to be said now.
    fn due(&mut self) -> Option<u64> {
        self.unsaid += 1;
        if self.last_line.is_some_and(|last| last.elapsed() < BETWEEN_LINES) {
            return None;
        }
        self.last_line = Some(Instant::now());
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// By the numbers that Linux gives these errors.
fn cure(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(24) => {
            "the process has as many files open as it may, and a connection is one: raise LimitNOFILE of its systemd unit, --ulimit nofile of its container, or ulimit -n"
        }
        Some(23) => "the machine has as many files open as it may: raise fs.file-max",
        Some(12 | 105) => "the machine has no memory left for sockets",
        _ => "see what the system says",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_said_at_once_and_then_every_ten_seconds_with_a_count() {
        let mut trouble = Trouble::default();
        let mut said = Vec::new();
        for _ in 0..250 {
            said.extend(trouble.due());
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert_eq!(said, [1, 100, 100]);
    }
}
