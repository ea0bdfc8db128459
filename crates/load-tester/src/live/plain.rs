//! Lines for logs and pipes.

use std::time::Duration;

use crate::live::words;
use crate::report::format::{Count, Rate, Time, counted};
use crate::report::model::{Snapshot, Stage};

/// Decides when a line is due.
#[derive(Debug, Default)]
pub(super) struct Lines {
    last: Option<(Stage, usize, Duration)>,
    warned: usize,
}

impl Lines {
    const EACH: Duration = Duration::from_secs(5);

    /// The line that is due, if one is: each 5 s of the run, when a stage or step begins, and for each warning.
    pub(super) fn line(&mut self, snapshot: &Snapshot) -> Option<String> {
        let Snapshot { stage, step, elapsed, .. } = snapshot;
        let is_new = self.last.is_none_or(|(last_stage, last_step, last)| {
            last_stage != *stage || last_step != *step || elapsed.saturating_sub(last) >= Self::EACH
        });
        let warning = snapshot.warnings.get(self.warned);
        if let Some(warning) = warning {
            self.warned += 1;
            return Some(format!("warning: {warning}"));
        }
        if !is_new || *stage == Stage::Done {
            return None;
        }
        self.last = Some((*stage, *step, *elapsed));
        Some(line(snapshot))
    }
}

fn line(snapshot: &Snapshot) -> String {
    let mut parts = vec![
        words::stage(snapshot),
        format!("{} of {} connections", Count(snapshot.connected), Count(snapshot.wanted)),
    ];
    if matches!(snapshot.stage, Stage::Running) {
        parts.push(format!("{} sent/s", Rate(snapshot.sent_rate)));
        parts.push(format!("{} received/s", Rate(snapshot.received_rate)));
        if snapshot.latency.count > 0 {
            let times = &snapshot.latency;
            parts.push(format!("p50 {}, p99 {}", Time(times.p50_micros), Time(times.p99_micros)));
        }
    }
    if words::has_verdict(snapshot) {
        parts.push(snapshot.verdict.to_string());
    }
    if snapshot.error_count > 0 {
        parts.push(counted(snapshot.error_count, "error"));
    }
    parts.push(words::left(snapshot));
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::sample;

    #[test]
    fn a_line_is_written_each_5_s_and_when_something_begins() {
        let mut lines = Lines::default();
        let mut at = |seconds, stage, step| {
            let snapshot =
                Snapshot { elapsed: Duration::from_secs(seconds), stage, step, ..sample::running() };
            lines.line(&Snapshot { warnings: Vec::new(), ..snapshot }).is_some()
        };
        assert!(at(0, Stage::Connecting, 1));
        assert!(!at(1, Stage::Connecting, 1));
        assert!(at(2, Stage::Running, 1));
        assert!(!at(6, Stage::Running, 1));
        assert!(at(7, Stage::Running, 1));
        assert!(at(8, Stage::Running, 2), "a step begins");
        assert!(at(9, Stage::Settling, 2));
        assert!(!at(60, Stage::Done, 2), "the report follows");
    }

    #[test]
    fn a_line_can_be_read_alone_and_a_warning_comes_once() {
        let mut lines = Lines::default();
        let running = sample::running();
        let mut next = || lines.line(&running);
        insta::assert_snapshot!([next(), next(), next()].map(Option::unwrap_or_default).join("\n"));
    }
}
