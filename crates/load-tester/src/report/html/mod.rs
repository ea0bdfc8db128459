//! The report as one page that needs nothing else: no script, no font, no file beside it.

mod chart;
mod figures;
mod tables;

use std::fmt::Write;

use crate::report::format::{Bytes, Count, Rate, Time, counted};
use crate::report::model::{Outcome, Report};
use crate::report::words;

/// The report as a page: one file, with charts, light and dark as the reader's system is, for any width. It loads nothing.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut page = String::with_capacity(64 * 1024);
    let (class, word) = outcome(report);
    let title = format!("{word}: {}", words::verdict(report));
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n",
        escaped(&title),
        include_str!("report.css")
    );
    head(&mut page, report, class, word);
    tiles(&mut page, report);
    page.push_str(&figures::charts(report));
    tables::all(&mut page, report);
    let _ = write!(
        page,
        "</main>\n<footer><p>{}</p>\n<p><code>{}</code></p></footer>\n</body>\n</html>\n",
        escaped(&words::origin(report)),
        escaped(&report.command)
    );
    page
}

fn outcome(report: &Report) -> (&'static str, &'static str) {
    match report.outcome {
        Outcome::Passed => ("passed", "Passed"),
        Outcome::Broken => ("broken", "Failed"),
        Outcome::Interrupted => ("interrupted", "Interrupted"),
    }
}

fn head(page: &mut String, report: &Report, class: &str, word: &str) {
    let _ = write!(
        page,
        "<header class=\"verdict {class}\"><h1><span class=\"word\">{word}</span> · {}</h1>",
        escaped(&words::verdict(report))
    );
    for (class, text) in [("why", words::broken(report)), ("soft", words::summary(report))] {
        text.into_iter().for_each(|text| {
            let _ = write!(page, "<p class=\"{class}\">{}</p>", escaped(&text));
        });
    }
    let _ = writeln!(page, "<p>{}</p></header>", escaped(&report.targets.join(", ")));
    for warning in &report.warnings {
        let _ = writeln!(page, "<p class=\"warning\"><b>Warning</b>: {}</p>", escaped(warning));
    }
}

/// The figures of the largest step.
fn tiles(page: &mut String, report: &Report) {
    let Some(step) = report.steps.last() else { return };
    let (of, latency) = step.latency();
    let of = words::latency_of(of);
    let times = latency.percentiles();
    let mut tiles =
        vec![("Connections", Count(step.connected).to_string(), format!("of {}", Count(step.connections)))];
    if !latency.is_empty() {
        tiles.push(("p50", Time(times.p50_micros).to_string(), format!("of {of}")));
        tiles.push(("p99", Time(times.p99_micros).to_string(), format!("p99.9 {}", Time(times.p999_micros))));
        tiles.push(("Slowest", Time(times.max_micros).to_string(), format!("of {}", Count(times.count))));
    }
    let a_second = |count| format!("{}/s", Rate(step.rate(count)));
    tiles.push(("Sent", a_second(step.sent), format!("{} in all", Count(step.sent))));
    tiles.push(("Received", a_second(step.received), format!("{} in all", Count(step.received))));
    tiles.push((
        "Errors",
        Count(report.error_count()).to_string(),
        counted(step.disconnects, "connection") + " cut off",
    ));
    tiles.push((
        "The tester",
        format!("{:.0}%", report.own.busiest * 100.0),
        format!("of its CPU at most, {}", Bytes(report.own.memory_bytes)),
    ));
    page.push_str("<dl class=\"tiles\">");
    for (name, value, below) in tiles {
        let _ = write!(
            page,
            "<div><dt>{name}</dt><dd>{}</dd><dd class=\"below\">{}</dd></div>",
            escaped(&value),
            escaped(&below)
        );
    }
    page.push_str("</dl>\n");
}

/// Text that is safe in elements and attributes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_page_needs_nothing_else_and_what_servers_say_stays_text() {
        for report in [sample::good(), sample::bad(), Report::default()] {
            let page = html(&report);
            for forbidden in ["<script", "<link", " src=", "@import", "url(", "<b>Failed"] {
                assert!(!page.contains(forbidden), "{forbidden}");
            }
            assert!(!page.contains("NaN") && !page.contains("inf%"), "no figure is made of nothing");
        }
        let page = html(&sample::bad());
        assert!(page.contains("&lt;b&gt;Failed&lt;/b&gt; to invoke &amp; &#39;RequestCurrentState&#39;"));
        assert!(
            page.contains(
                "<span class=\"word\">Failed</span> · 42 lost (30 to drop, 12 to nothing), 1 doubled"
            )
        );
        assert!(page.contains("Limits:ConnectionsPerAddress"));
    }

    #[test]
    fn a_long_run_makes_a_small_page() {
        let mut report = sample::good();
        let hour =
            (1..=3_600).map(|second| crate::measure::Second { second, p99_micros: 1, ..Default::default() });
        report.steps[2].series.0 = hour.collect();
        let size = html(&report).len();
        assert!(size < 200_000, "{size} bytes");
    }
}
