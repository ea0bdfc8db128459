//! Sentences that the table and the page share.

use crate::measure::{OwnUse, Phases};
use crate::oracle::{Example, Finding};
use crate::report::format::{Bytes, Count, Length, Time, counted};
use crate::report::model::{LatencyOf, Report};

/// The verdict in one line; where nothing could be looked at, that.
pub(crate) fn verdict(report: &Report) -> String {
    let basis = report.verdict.basis;
    if basis.stamps || basis.states || basis.changes || basis.counts {
        report.verdict.to_string()
    } else {
        "no message was looked at, so nothing is proved about delivery".to_owned()
    }
}

/// Which thresholds are broken, if any.
pub(crate) fn broken(report: &Report) -> Option<String> {
    let broken: Vec<String> = report
        .thresholds
        .iter()
        .filter(|checked| checked.broken)
        .map(|checked| format!("{} ({})", checked.threshold, checked.found))
        .collect();
    (!broken.is_empty()).then(|| format!("broken: {}", broken.join(", ")))
}

/// The largest step in one sentence.
pub(crate) fn summary(report: &Report) -> Option<String> {
    let step = report.steps.last()?;
    let (of, latency) = step.latency();
    let mut parts = Vec::new();
    if !latency.is_empty() {
        parts.push(format!("p99 {} of {}", Time(latency.at(0.99)), latency_of(of)));
    }
    parts.push(format!("{} received", Count(step.received)));
    if step.calls > 0 {
        parts.push(format!("{} completed", counted(step.calls, "call")));
    }
    let connections = counted(step.connected, "connection");
    Some(format!("{} in {} on {connections}", parts.join(", "), Length(step.seconds)))
}

/// What was done, by name.
pub(crate) fn settings(report: &Report) -> String {
    let settings: Vec<_> = report.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
    settings.join(", ")
}

/// When, how long, by what and where.
pub(crate) fn origin(report: &Report) -> String {
    let machine = &report.machine;
    let processor = match machine.processor.as_str() {
        "" => counted(u64::from(machine.cores), "processor"),
        model => format!("{} × {model}", machine.cores),
    };
    let Report { started, hubline, .. } = report;
    let lasted = Length(report.seconds);
    format!("{}, {lasted}, hubline {hubline}, {processor}, {}", started.replace('T', " "), machine.system)
}

/// The first findings, one line each.
pub(crate) fn examples(report: &Report) -> Vec<String> {
    let one = |example: &Example| {
        let Example { finding, receiver, origin, first, last, .. } = example;
        let what = match finding {
            Finding::Lost => "lost",
            Finding::Doubled => "doubled",
            Finding::OutOfOrder => "out of order",
            Finding::Foreign => "foreign",
            Finding::Late => "late",
        };
        let numbers =
            if first == last { format!("number {first}") } else { format!("numbers {first} to {last}") };
        let cause = example.cause.map(|cause| format!(", because of {cause}")).unwrap_or_default();
        let at = clock(example.at_micros);
        format!("{what}: {numbers} of connection {origin}, at connection {receiver}, {at}{cause}")
    };
    report.verdict.examples.iter().map(one).collect()
}

/// A time of day, UTC.
fn clock(at_micros: u64) -> String {
    let millis = at_micros / 1000;
    let (hours, minutes) = (millis / 3_600_000 % 24, millis / 60_000 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:03}Z", millis / 1000 % 60, millis % 1000)
}

pub(crate) fn latency_of(of: LatencyOf) -> &'static str {
    match of {
        LatencyOf::Delivery => "deliveries",
        LatencyOf::Call => "calls",
    }
}

/// Of all steps together.
pub(crate) fn phases(report: &Report) -> Phases {
    let mut phases = Phases::default();
    report.steps.iter().for_each(|step| phases.merge(&step.phases));
    phases
}

fn processes(own: &OwnUse) -> String {
    match own.processes {
        0 | 1 => "one process".to_owned(),
        more => format!("{more} processes"),
    }
}

/// What the tester used, in two sentences; nothing if it was not measured.
pub(crate) fn own(report: &Report) -> Vec<String> {
    let own = &report.own;
    if own.seconds <= 0.0 {
        return Vec::new();
    }
    let lag = own.lag.percentiles();
    let limit = match own.limits.open_files {
        0 => String::new(),
        limit => format!(" of {}", Count(limit)),
    };
    vec![
        format!(
            "{} and {}: {:.1} s of CPU, {:.0}% of the threads on average and {:.0}% at most; the machine's {} {:.0}% at most",
            processes(own),
            counted(u64::from(own.threads), "thread"),
            own.cpu_seconds,
            average_busy(own) * 100.0,
            own.busiest * 100.0,
            counted(u64::from(own.cores), "processor"),
            own.machine_busiest * 100.0,
        ),
        format!(
            "timers late: p50 {}, p99 {}, max {}; {} of memory; {} open{limit}",
            Time(lag.p50_micros),
            Time(lag.p99_micros),
            Time(lag.max_micros),
            Bytes(own.memory_bytes),
            counted(own.open_files, "file"),
        ),
    ]
}

/// Share of the threads' time, 0 to 1.
fn average_busy(own: &OwnUse) -> f64 {
    own.cpu_seconds / (own.seconds * f64::from(own.threads.max(1))).max(f64::EPSILON)
}

#[expect(clippy::cast_possible_truncation, reason = "times are below 2^63 µs")]
#[expect(clippy::cast_sign_loss, reason = "and never negative")]
pub(crate) fn micros(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e6) as u64
}
