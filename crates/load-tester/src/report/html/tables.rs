//! The tables of the page.

use std::fmt::Write;

use crate::measure::Recorder;
use crate::report::format::{Count, Length, Rate, Time};
use crate::report::html::escaped;
use crate::report::model::{LatencyOf, Report};
use crate::report::words;

pub(super) fn all(page: &mut String, report: &Report) {
    steps(page, report);
    latencies(page, report);
    thresholds(page, report);
    faults(page, report);
    findings(page, report);
    errors(page, report);
    own(page, report);
    what(page, report);
    seconds(page, report);
}

fn steps(page: &mut String, report: &Report) {
    let heads = [
        "Connections",
        "Open",
        "Connected in",
        "Time",
        "Sent/s",
        "Received/s",
        "Calls/s",
        "Failed",
        "Cut off",
        "Lost",
    ];
    let rows = report.steps.iter().map(|step| {
        vec![
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
        ]
    });
    section(page, "Steps", &table("Steps", &heads, rows.collect()));
}

fn latencies(page: &mut String, report: &Report) {
    let mut rows = Vec::new();
    for step in &report.steps {
        for (of, recorder) in [(LatencyOf::Delivery, &step.delivery), (LatencyOf::Call, &step.call)] {
            rows.extend(times(&format!("{} {}", Count(step.connections), words::latency_of(of)), recorder));
        }
    }
    let phases = words::phases(report);
    phases.each().for_each(|(name, recorder)| rows.extend(times(name, recorder)));
    rows.extend(times("connected", &phases.total));
    let heads = ["Of", "Count", "p50", "p90", "p95", "p99", "p99.9", "Max"];
    section(
        page,
        "Latency, from when a message or call was due, and of connecting",
        &table("Latency", &heads, rows),
    );
}

fn times(name: &str, recorder: &Recorder) -> Option<Vec<String>> {
    let times = recorder.percentiles();
    let micros = [
        times.p50_micros,
        times.p90_micros,
        times.p95_micros,
        times.p99_micros,
        times.p999_micros,
        times.max_micros,
    ];
    let start = [name.to_owned(), Count(times.count).to_string()];
    (!recorder.is_empty())
        .then(|| start.into_iter().chain(micros.map(|micros| Time(micros).to_string())).collect())
}

fn thresholds(page: &mut String, report: &Report) {
    if report.thresholds.is_empty() {
        return;
    }
    let mut body = String::from(
        "<div class=\"scrolls\" tabindex=\"0\" role=\"region\" aria-label=\"Thresholds\"><table><thead><tr><th scope=\"col\">Fails on</th><th scope=\"col\">Found</th><th scope=\"col\">At connections</th><th scope=\"col\">So it is</th></tr></thead><tbody>",
    );
    for checked in &report.thresholds {
        let (class, word) = if checked.broken { ("broken", "broken") } else { ("held", "held") };
        let _ = write!(
            body,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"{class}\">{word}</td></tr>",
            escaped(&checked.threshold),
            escaped(&checked.found),
            checked.connections.map(|connections| Count(connections).to_string()).unwrap_or_default()
        );
    }
    body.push_str("</tbody></table></div>");
    section(page, "Thresholds", &body);
}

fn faults(page: &mut String, report: &Report) {
    let row = |fault: &crate::report::model::Fault| {
        let recovery = fault.recovery.percentiles();
        let time = |micros| if recovery.count > 0 { Time(micros).to_string() } else { "–".to_owned() };
        vec![
            fault.name.clone(),
            Count(fault.count).to_string(),
            Count(fault.lost).to_string(),
            time(recovery.p50_micros),
            time(recovery.p99_micros),
            time(recovery.max_micros),
        ]
    };
    let heads = ["Fault", "Times", "Lost by it", "Back, p50", "p99", "Max"];
    section(page, "Planted faults", &table("Faults", &heads, report.faults.iter().map(row).collect()));
}

fn findings(page: &mut String, report: &Report) {
    let mut body = String::new();
    let examples = words::examples(report);
    if !examples.is_empty() {
        body.push_str("<ul class=\"findings\">");
        examples.iter().for_each(|example| {
            let _ = write!(body, "<li>{}</li>", escaped(example));
        });
        body.push_str("</ul>");
    }
    if !report.verdict.proves.is_empty() {
        let _ = write!(body, "<p class=\"soft\">{}</p>", escaped(&report.verdict.proves));
    }
    section(page, "What was found of messages, and what that proves", &body);
}

fn errors(page: &mut String, report: &Report) {
    if report.errors.is_empty() {
        return;
    }
    let mut body = String::from(
        "<div class=\"scrolls\" tabindex=\"0\" role=\"region\" aria-label=\"Errors\"><table><thead><tr><th scope=\"col\">Count</th><th scope=\"col\" class=\"text\">Cause, the first of them, and what helps</th></tr></thead><tbody>",
    );
    for group in &report.errors {
        let _ = write!(
            body,
            "<tr><th scope=\"row\">{}</th><td class=\"text\"><b>{}</b>",
            Count(group.count),
            escaped(&group.cause)
        );
        if group.first_example != group.cause {
            let _ = write!(body, "<br><span class=\"soft\">{}</span>", escaped(&group.first_example));
        }
        if let Some(cure) = &group.cure {
            let _ = write!(body, "<br>{}", escaped(cure));
        }
        body.push_str("</td></tr>");
    }
    body.push_str("</tbody></table></div>");
    section(page, "Errors", &body);
}

fn own(page: &mut String, report: &Report) {
    let mut body = String::new();
    for sentence in words::own(report) {
        let _ = write!(body, "<p>{}</p>", escaped(&sentence));
    }
    section(page, "The tester itself", &body);
}

fn what(page: &mut String, report: &Report) {
    let mut body = String::from("<dl class=\"settings\">");
    for (name, value) in &report.settings {
        let _ = write!(body, "<div><dt>{}</dt><dd>{}</dd></div>", escaped(name), escaped(value));
    }
    body.push_str("</dl>");
    section(page, "What was done", if report.settings.is_empty() { "" } else { &body });
}

/// Up to so many; the JSON has all.
const MOST_SECONDS: usize = 300;

fn seconds(page: &mut String, report: &Report) {
    let count: usize = report.steps.iter().map(|step| step.series.0.len()).sum();
    if count == 0 {
        return;
    }
    let all = report.steps.iter().flat_map(|step| step.series.0.iter().map(move |second| (step, second)));
    let rows = all.take(MOST_SECONDS).map(|(step, second)| {
        vec![
            format!("{} at {}", Length(f64::from(second.second)), Count(step.connections)),
            Count(second.connections).to_string(),
            Count(second.sent).to_string(),
            Count(second.received).to_string(),
            Count(second.calls).to_string(),
            Count(second.errors).to_string(),
            Time(second.p50_micros).to_string(),
            Time(second.p99_micros).to_string(),
        ]
    });
    let heads = ["Second", "Open", "Sent", "Received", "Calls", "Errors", "p50", "p99"];
    let rest = if count > MOST_SECONDS {
        format!(
            "<p class=\"soft\">The first {MOST_SECONDS} of {}: the JSON has all.</p>",
            Count(u64::try_from(count).unwrap_or(0))
        )
    } else {
        String::new()
    };
    let table = table("Second by second", &heads, rows.collect());
    let _ = writeln!(
        page,
        "<section><details><summary>Second by second</summary>{table}{rest}</details></section>"
    );
}

fn section(page: &mut String, heading: &str, body: &str) {
    if !body.is_empty() {
        let _ = writeln!(page, "<section><h2>{}</h2>{body}</section>", escaped(heading));
    }
}

/// Empty if there are no rows.
fn table(name: &str, heads: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let name = escaped(name);
    let mut out = format!(
        "<div class=\"scrolls\" tabindex=\"0\" role=\"region\" aria-label=\"{name}\"><table><thead><tr>"
    );
    for head in heads {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escaped(head));
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (number, cell) in row.iter().enumerate() {
            let cell = escaped(cell);
            let _ = match number {
                0 => write!(out, "<th scope=\"row\">{cell}</th>"),
                _ => write!(out, "<td>{cell}</td>"),
            };
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    out
}
