//! The report as text for a terminal.

use std::fmt::Write;

use crate::measure::Recorder;
use crate::report::columns::Columns;
use crate::report::format::{Count, Length, Rate, Time, counted, wrapped};
use crate::report::model::{LatencyOf, Outcome, Report};
use crate::report::words;

/// The report as text of up to `width` columns, the verdict first. `color` is for terminals: bold, red, green and yellow.
#[must_use]
pub fn table(report: &Report, width: usize, color: bool) -> String {
    let mut text = Text { out: String::new(), width: width.max(40), color };
    text.head(report);
    text.what(report);
    text.steps(report);
    text.latencies(report);
    text.connecting(report);
    text.faults(report);
    text.findings(report);
    text.errors(report);
    text.thresholds(report);
    text.own(report);
    text.proof(report);
    text.out
}

struct Text {
    out: String,
    width: usize,
    color: bool,
}

const BOLD: &str = "1";
const GREEN: &str = "1;32";
const RED: &str = "1;31";
const YELLOW: &str = "1;33";

impl Text {
    fn head(&mut self, report: &Report) {
        let (word, style) = match report.outcome {
            Outcome::Passed => ("PASSED", GREEN),
            Outcome::Broken => ("FAILED", RED),
            Outcome::Interrupted => ("INTERRUPTED", YELLOW),
        };
        let mut lines = vec![words::verdict(report)];
        lines.extend(words::broken(report));
        lines.extend(words::summary(report));
        self.marked(word, style, &lines);
        for warning in &report.warnings {
            self.line("");
            self.marked("WARNING", YELLOW, std::slice::from_ref(warning));
        }
    }

    fn what(&mut self, report: &Report) {
        self.line("");
        report.targets.iter().for_each(|target| self.line(target));
        self.paragraph(&words::settings(report));
        self.paragraph(&words::origin(report));
    }

    fn steps(&mut self, report: &Report) {
        let mut columns = Columns::new(&[
            ("connections", 0),
            ("open", 0),
            ("connected in", 5),
            ("time", 4),
            ("sent/s", 1),
            ("received/s", 0),
            ("calls/s", 2),
            ("failed", 3),
            ("cut off", 3),
            ("lost", 0),
        ]);
        for step in &report.steps {
            columns.row(&[
                Count(step.connections).to_string(),
                Count(step.connected).to_string(),
                Time(words::micros(step.connect_seconds)).to_string(),
                Length(step.seconds).to_string(),
                Rate(step.rate(step.sent)).to_string(),
                Rate(step.rate(step.received)).to_string(),
                Rate(step.rate(step.calls)).to_string(),
                Count(step.calls_failed).to_string(),
                Count(step.disconnects).to_string(),
                Count(step.verdict.lost).to_string(),
            ]);
        }
        self.section("Steps", &columns);
    }

    fn latencies(&mut self, report: &Report) {
        let mut columns = latency_columns("connections, of");
        for step in &report.steps {
            let connections = Count(step.connections);
            add_times(
                &mut columns,
                &format!("{connections} {}", words::latency_of(LatencyOf::Delivery)),
                &step.delivery,
            );
            add_times(
                &mut columns,
                &format!("{connections} {}", words::latency_of(LatencyOf::Call)),
                &step.call,
            );
        }
        self.section("Latency, from when a message or call was due", &columns);
    }

    fn connecting(&mut self, report: &Report) {
        let phases = words::phases(report);
        let mut columns = latency_columns("phase");
        phases.each().for_each(|(name, recorder)| add_times(&mut columns, name, recorder));
        add_times(&mut columns, "until the handshake", &phases.total);
        self.section("Connecting", &columns);
    }

    fn faults(&mut self, report: &Report) {
        let mut columns =
            Columns::new(&[("fault", 0), ("times", 0), ("lost", 0), ("back p50", 1), ("p99", 2), ("max", 0)]);
        for fault in &report.faults {
            let recovery = fault.recovery.percentiles();
            let time = |micros| if recovery.count > 0 { Time(micros).to_string() } else { "-".to_owned() };
            columns.row(&[
                fault.name.clone(),
                Count(fault.count).to_string(),
                Count(fault.lost).to_string(),
                time(recovery.p50_micros),
                time(recovery.p99_micros),
                time(recovery.max_micros),
            ]);
        }
        self.section("Faults, and how long until a connection was back", &columns);
    }

    fn findings(&mut self, report: &Report) {
        let examples = words::examples(report);
        if !examples.is_empty() {
            self.heading("The first findings");
            examples.iter().for_each(|example| self.hanging("  ", example));
        }
    }

    fn errors(&mut self, report: &Report) {
        if report.errors.is_empty() {
            return;
        }
        self.heading(&format!("Errors: {}", Count(report.error_count())));
        for group in &report.errors {
            let count = Count(group.count).to_string();
            self.hanging(&format!("{count:>7}  "), &group.cause);
            if group.first_example != group.cause {
                self.hanging("         first: ", &group.first_example);
            }
            if let Some(cure) = &group.cure {
                self.hanging("         cure: ", cure);
            }
        }
    }

    fn thresholds(&mut self, report: &Report) {
        if report.thresholds.is_empty() {
            return;
        }
        self.heading("Fails on");
        let width = report.thresholds.iter().map(|one| one.threshold.chars().count()).max().unwrap_or(0);
        for checked in &report.thresholds {
            let (word, style) = if checked.broken { ("broken", RED) } else { ("held  ", GREEN) };
            let at = checked.connections.filter(|_| report.steps.len() > 1);
            let at = at
                .map(|connections| format!(" at {}", counted(connections, "connection")))
                .unwrap_or_default();
            self.marked(word, style, &[format!("{:<width$}  {}{at}", checked.threshold, checked.found)]);
        }
    }

    fn own(&mut self, report: &Report) {
        let sentences = words::own(report);
        if !sentences.is_empty() {
            self.heading("The tester itself");
            sentences.iter().for_each(|sentence| self.paragraph(sentence));
        }
    }

    fn proof(&mut self, report: &Report) {
        if !report.verdict.proves.is_empty() {
            self.heading("What that proves");
            self.paragraph(&report.verdict.proves);
        }
    }

    /// A word in color, and text beside it.
    fn marked(&mut self, word: &str, style: &str, lines: &[String]) {
        let margin = word.len() + 2;
        let mut start = format!("{}  ", self.paint(word, style));
        let width = self.width - margin;
        for line in lines.iter().flat_map(|line| wrapped(line, width)) {
            self.line(&format!("{start}{line}"));
            start = " ".repeat(margin);
        }
    }

    fn section(&mut self, heading: &str, columns: &Columns) {
        if !columns.is_empty() {
            self.heading(heading);
            let [head, rows @ ..] = &columns.lines(self.width)[..] else { return };
            self.line(head);
            rows.iter().for_each(|row| self.line(row));
        }
    }

    fn heading(&mut self, heading: &str) {
        let heading = self.paint(heading, BOLD);
        self.line("");
        self.line(&heading);
    }

    fn paragraph(&mut self, text: &str) {
        self.hanging("", text);
    }

    /// Lines below the first are as far in as the first one's text.
    fn hanging(&mut self, start: &str, text: &str) {
        let margin = start.chars().count();
        for (number, line) in wrapped(text, self.width - margin).iter().enumerate() {
            match number {
                0 => self.line(&format!("{start}{line}")),
                _ => self.line(&format!("{:margin$}{line}", "")),
            }
        }
    }

    fn line(&mut self, line: &str) {
        writeln!(self.out, "{}", line.trim_end()).expect("a String takes every write");
    }

    fn paint(&self, text: &str, style: &str) -> String {
        if self.color { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn latency_columns(first: &'static str) -> Columns {
    Columns::new(&[
        (first, 0),
        ("count", 3),
        ("p50", 0),
        ("p90", 2),
        ("p95", 1),
        ("p99", 0),
        ("p99.9", 1),
        ("max", 0),
    ])
}

fn add_times(columns: &mut Columns, name: &str, recorder: &Recorder) {
    if recorder.is_empty() {
        return;
    }
    let times = recorder.percentiles();
    columns.row(&[
        name.to_owned(),
        Count(times.count).to_string(),
        Time(times.p50_micros).to_string(),
        Time(times.p90_micros).to_string(),
        Time(times.p95_micros).to_string(),
        Time(times.p99_micros).to_string(),
        Time(times.p999_micros).to_string(),
        Time(times.max_micros).to_string(),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_good_run() {
        insta::assert_snapshot!(table(&sample::good(), 80, false));
    }

    #[test]
    fn a_bad_run() {
        insta::assert_snapshot!(table(&sample::bad(), 80, false));
    }

    #[test]
    fn a_narrow_terminal() {
        let text = table(&sample::bad(), 50, false);
        let longest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
        assert!(longest.chars().count() <= 50, "{longest}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn nothing_but_colors_differs_in_a_terminal() {
        let colored = table(&sample::bad(), 80, true);
        assert!(colored.starts_with("\x1b[1;31mFAILED\x1b[0m  "));
        let plain = [BOLD, GREEN, RED, YELLOW, "0"]
            .iter()
            .fold(colored, |text, style| text.replace(&format!("\x1b[{style}m"), ""));
        assert_eq!(plain, table(&sample::bad(), 80, false));
    }

    #[test]
    fn a_run_that_never_began_says_so_and_shows_no_empty_table() {
        let text = table(&Report { outcome: Outcome::Interrupted, ..Report::default() }, 80, false);
        assert!(
            text.starts_with("INTERRUPTED  no message was looked at, so nothing is proved about delivery\n"),
            "{text}"
        );
        assert!(!text.contains("p99") && !text.contains("Steps"), "{text}");
    }
}
