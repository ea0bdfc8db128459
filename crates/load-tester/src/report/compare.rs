//! Two reports side by side.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::measure::Recorder;
use crate::report::columns::Columns;
use crate::report::format::{Count, Length, Rate, Time, counted, wrapped};
use crate::report::model::{Outcome, Report, Step};
use crate::report::words;

/// Two reports as a table with ratios, `second` by `first`; above it whether they can be compared, and if not, why. The names are
/// what the table calls them, as a rule their files'.
#[must_use]
pub fn compare(first: (&str, &Report), second: (&str, &Report), width: usize, color: bool) -> String {
    let width = width.max(40);
    let mut out = String::new();
    let write = &mut out;
    let reasons = not_comparable(first.1, second.1);
    let bold = |text: &str, style: &str| {
        if color { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    };
    if reasons.is_empty() {
        let _ = writeln!(write, "{}", bold("COMPARABLE", "1;32"));
    } else {
        let _ = writeln!(write, "{}", bold("NOT COMPARABLE", "1;33"));
        for reason in reasons {
            paragraph(write, "- ", &reason, width);
        }
    }
    let _ = writeln!(write);
    for (letter, (name, report)) in [("a", first), ("b", second)] {
        paragraph(write, &format!("{letter}: "), &format!("{name}, {}", words::verdict(report)), width);
        paragraph(write, "   ", &report.targets.join(", "), width);
        paragraph(write, "   ", &words::origin(report), width);
    }
    let (first, second) = (first.1, second.1);
    let mut run = columns("whole run");
    run.counts("lost", first.verdict.lost, second.verdict.lost);
    run.counts("doubled", first.verdict.doubled, second.verdict.doubled);
    run.counts("late", first.verdict.late, second.verdict.late);
    run.counts("out of order", first.verdict.out_of_order, second.verdict.out_of_order);
    run.counts("foreign", first.verdict.foreign, second.verdict.foreign);
    run.counts("errors", first.error_count(), second.error_count());
    let percent = |report: &Report| format!("{:.0}%", report.own.busiest * 100.0);
    run.row(
        "tester's CPU, at most",
        percent(first),
        percent(second),
        ratio(first.own.busiest, second.own.busiest),
    );
    run.write(write, width);
    for (one, other) in common_steps(first, second) {
        steps(one, other).write(write, width);
    }
    out
}

/// Why the figures of two runs say nothing about each other; empty if they do. Another target or server is no reason: that is what
/// is compared.
#[must_use]
pub fn not_comparable(first: &Report, second: &Report) -> Vec<String> {
    let mut reasons = Vec::new();
    let names: BTreeSet<&String> = first.settings.keys().chain(second.settings.keys()).collect();
    for name in names {
        let value = |report: &Report| report.settings.get(name).map_or("not set", String::as_str).to_owned();
        if first.settings.get(name) != second.settings.get(name) {
            reasons.push(format!("{name} differs: {} and {}", value(first), value(second)));
        }
    }
    if first.machine != second.machine {
        let machine = |report: &Report| {
            let machine = &report.machine;
            format!("{} × {} ({})", machine.cores, machine.processor, machine.system)
        };
        reasons.push(format!(
            "the tester ran on another machine: {} and {}",
            machine(first),
            machine(second)
        ));
    }
    if common_steps(first, second).is_empty() {
        reasons.push("no step of both has the same number of connections".to_owned());
    }
    for (one, other) in common_steps(first, second) {
        if (one.seconds - other.seconds).abs() > 0.1 * one.seconds.max(other.seconds) {
            let connections = counted(one.connections, "connection");
            let (one, other) = (Length(one.seconds), Length(other.seconds));
            reasons.push(format!("{connections} were measured for different times: {one} and {other}"));
        }
    }
    for (letter, report) in [("a", first), ("b", second)] {
        if report.outcome == Outcome::Interrupted {
            reasons.push(format!("{letter} was interrupted"));
        }
        reasons.extend(report.warnings.iter().map(|warning| format!("in {letter} {warning}")));
    }
    reasons
}

fn common_steps<'a>(first: &'a Report, second: &'a Report) -> Vec<(&'a Step, &'a Step)> {
    let other = |one: &'a Step| {
        let other = second.steps.iter().find(|other| other.connections == one.connections)?;
        Some((one, other))
    };
    first.steps.iter().filter_map(other).collect()
}

/// A row for each figure that either run has.
struct Comparison(Columns);

fn columns(title: &str) -> Comparison {
    Comparison(Columns::titled(title, &[("a", 0), ("b", 0), ("b / a", 0)]))
}

fn steps(one: &Step, other: &Step) -> Comparison {
    let mut table = columns(&counted(one.connections, "connection"));
    table.counts("open", one.connected, other.connected);
    table.counts("cut off", one.disconnects, other.disconnects);
    for (name, a, b) in [
        ("sent/s", one.sent, other.sent),
        ("received/s", one.received, other.received),
        ("calls/s", one.calls, other.calls),
    ] {
        let (a, b) = (one.rate(a), other.rate(b));
        if a + b > 0.0 {
            table.row(name, Rate(a).to_string(), Rate(b).to_string(), ratio(a, b));
        }
    }
    table.times("delivery", &one.delivery, &other.delivery);
    table.times("call", &one.call, &other.call);
    table.times("connecting", &one.phases.total, &other.phases.total);
    table.times("until back", &one.recovery, &other.recovery);
    table
}

impl Comparison {
    fn row(&mut self, name: &str, a: String, b: String, ratio: String) {
        self.0.row(&[name.to_owned(), a, b, ratio]);
    }

    #[expect(clippy::cast_precision_loss, reason = "ratios have three digits")]
    fn counts(&mut self, name: &str, a: u64, b: u64) {
        self.row(name, Count(a).to_string(), Count(b).to_string(), ratio(a as f64, b as f64));
    }

    #[expect(clippy::cast_precision_loss, reason = "ratios have three digits")]
    fn times(&mut self, name: &str, one: &Recorder, other: &Recorder) {
        if one.is_empty() && other.is_empty() {
            return;
        }
        for (percentile, quantile) in
            [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)]
        {
            let time = |recorder: &Recorder| {
                if recorder.is_empty() { "-".to_owned() } else { Time(recorder.at(quantile)).to_string() }
            };
            let ratio = ratio(one.at(quantile) as f64, other.at(quantile) as f64);
            self.row(&format!("{name} {percentile}"), time(one), time(other), ratio);
        }
    }

    fn write(&self, out: &mut String, width: usize) {
        out.push('\n');
        self.0.lines(width).iter().for_each(|line| {
            let _ = writeln!(out, "{}", line.trim_end());
        });
    }
}

/// `1.25 ×`; nothing where one of them is 0.
fn ratio(a: f64, b: f64) -> String {
    if a > 0.0 && b > 0.0 { format!("{:.2} ×", b / a) } else { "-".to_owned() }
}

fn paragraph(out: &mut String, start: &str, text: &str, width: usize) {
    let margin = start.chars().count();
    let mut start = start.to_owned();
    for line in wrapped(text, width - margin) {
        let _ = writeln!(out, "{start}{line}");
        start = " ".repeat(margin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn two_runs_of_one_kind_are_compared() {
        let good = sample::good();
        let mut faster = sample::good();
        faster.started = "2026-11-29T08:00:00Z".to_owned();
        faster.steps.remove(0);
        for step in &mut faster.steps {
            step.delivery.clear();
            step.delivery.record(700);
            step.received *= 2;
        }
        assert_eq!(not_comparable(&good, &faster), [""; 0]);
        insta::assert_snapshot!(compare(("before.json", &good), ("after.json", &faster), 80, false));
    }

    #[test]
    fn why_two_runs_cannot_be_compared_is_said_first() {
        let good = sample::good();
        let mut other = sample::bad();
        other.settings.insert("interval".to_owned(), "50 ms".to_owned());
        other.settings.remove("ramp");
        other.machine.cores = 8;
        other.outcome = Outcome::Interrupted;
        other.steps[1].seconds = 13.0;
        let text = compare(("a.json", &good), ("b.json", &other), 80, false);
        insta::assert_snapshot!(text.split("\n\n").next().unwrap());
        other.steps.clear();
        assert!(not_comparable(&good, &other).iter().any(|reason| reason.contains("no step of both")));
    }
}
