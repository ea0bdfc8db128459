//! What Redis' refusals of messages mean, and how long they count.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::seldom::Seldom;

/// How long the last refusal tells of the present when no message follows it.
const RECENT: Duration = Duration::from_secs(30);

/// Whether an answer says that the channel is another node's.
pub(super) fn says_moved(answer: &str) -> bool {
    code(answer) == "MOVED"
}

/// Whether Redis says that it cannot at the moment: it is failing over, loading, or busy with a script. It answers
/// so before it carries anything out, so the same may be sent again.
pub(super) fn says_not_now(answer: &str) -> bool {
    matches!(
        code(answer),
        "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "READONLY" | "BUSY"
    )
}

/// Whether Redis says that an argument is longer than it takes (`proto-max-bulk-len`).
pub(super) fn says_too_large(answer: &str) -> bool {
    answer.contains("Protocol error: invalid bulk length")
}

/// What can be done about a refusal.
pub(super) fn cure(answer: &str) -> &'static str {
    match code(answer) {
        _ if says_too_large(answer) => {
            "raise Redis' proto-max-bulk-len, or send the message in parts, or send where it can be fetched"
        }
        "NOPERM" => "grant the user publish, and the channels of its ACL rule, such as &*",
        "OOM" => "raise Redis' maxmemory, or have it evict keys (maxmemory-policy)",
        _ => "see Redis' log",
    }
}

fn code(answer: &str) -> &str {
    answer.split(' ').next().unwrap_or_default()
}

/// Of one node.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Whether the last message that was answered was refused, not long ago.
    are_going_on: AtomicBool,
    last: Mutex<Option<Instant>>,
    seldom: Seldom,
}

impl Refusals {
    /// There is one more. If it is time for a line in the log: how often it went without one.
    pub(super) fn happened(&self) -> Option<u64> {
        *self.last() = Some(Instant::now());
        self.are_going_on.store(true, Ordering::Relaxed);
        self.seldom.happened()
    }

    /// A message has been taken. Whether the one before was not.
    pub(super) fn end(&self) -> bool {
        self.are_going_on.load(Ordering::Relaxed) && self.are_going_on.swap(false, Ordering::Relaxed)
    }

    /// Whether so much time has gone since the last one that nobody knows any more; told once.
    pub(super) fn are_outdated(&self) -> bool {
        self.last().is_some_and(|last| last.elapsed() > RECENT) && self.end()
    }

    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_carried_out_may_be_sent_again() {
        for answer in ["MOVED 3999 127.0.0.1:6381", "CLUSTERDOWN The cluster is down", "BUSY"] {
            assert!(says_not_now(answer), "{answer}");
        }
        for answer in ["NOPERM this user has no permissions", "OOM command not allowed", "ERR BUSY", ""] {
            assert!(!says_not_now(answer), "{answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_counts_until_a_message_is_taken_or_it_is_old() {
        let refusals = Refusals::default();
        assert!(!refusals.end() && !refusals.are_outdated());
        refusals.happened();
        assert!(!refusals.are_outdated());
        assert!(refusals.end() && !refusals.end());
        refusals.happened();
        tokio::time::advance(RECENT / 2).await;
        refusals.happened();
        tokio::time::advance(RECENT).await;
        assert!(!refusals.are_outdated());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(refusals.are_outdated() && !refusals.are_outdated());
    }
}
