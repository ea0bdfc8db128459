//! What the charts show.

use std::fmt::Write;

use crate::measure::{Recorder, Second};
use crate::report::format::{Count, Rate, Time};
use crate::report::html::chart::{Axis, Chart, Line};
use crate::report::html::escaped;
use crate::report::model::Report;
use crate::report::words;

pub(super) fn charts(report: &Report) -> String {
    let timeline = Timeline::of(report);
    let mut out = String::from("<section class=\"charts\"><h2>Charts</h2>\n");
    if !timeline.seconds.is_empty() {
        out.push_str(&timeline.latency().html());
        out.push_str(&timeline.messages().html());
        out.push_str(&timeline.connections().html());
    }
    distribution(report).into_iter().for_each(|chart| out.push_str(&chart.html()));
    phases(&mut out, report);
    own(report).into_iter().for_each(|chart| out.push_str(&chart.html()));
    out.push_str("</section>\n");
    out
}

/// The measured seconds of all steps, one step behind the other.
struct Timeline {
    seconds: Vec<Second>,
    marks: Vec<(f64, String)>,
}

impl Timeline {
    /// How many points a chart has at most; of longer runs several seconds are one.
    const MOST: usize = 400;

    fn of(report: &Report) -> Self {
        let mut seconds: Vec<Second> = Vec::new();
        let mut marks = Vec::new();
        let mut end = 0;
        for step in &report.steps {
            if report.steps.len() > 1 && !step.series.0.is_empty() {
                marks.push((f64::from(end), Count(step.connections).to_string()));
            }
            let moved =
                step.series.0.iter().map(|second| Second { second: end + second.second, ..second.clone() });
            seconds.extend(moved);
            end = seconds.last().map_or(end, |second| second.second);
        }
        let together = seconds.len().div_ceil(Self::MOST).max(1);
        let seconds = seconds.chunks(together).map(one).collect();
        Self { seconds, marks }
    }

    fn chart(&self, title: &'static str, summary: String, y: Axis, lines: Vec<Line>) -> Chart<'static> {
        let end = self.seconds.last().map_or(1.0, |second| f64::from(second.second));
        let x = Axis::seconds(end);
        Chart { title, summary, y, x, lines, marks: self.marks.clone() }
    }

    fn line(&self, name: &str, value: impl Fn(&Second) -> u64) -> Line {
        let point = |second: &Second| (f64::from(second.second), number(value(second)));
        Line { name: name.to_owned(), points: self.seconds.iter().map(point).collect() }
    }

    fn most(&self, value: impl Fn(&Second) -> u64) -> u64 {
        self.seconds.iter().map(value).max().unwrap_or(0)
    }

    fn latency(&self) -> Chart<'static> {
        let most = self.most(|second| second.p99_micros);
        let summary = format!("Latency in each second: its p99 was {} at most", Time(most));
        let lines =
            vec![self.line("p50", |second| second.p50_micros), self.line("p99", |second| second.p99_micros)];
        self.chart("Latency", summary, Axis::linear(number(most), time), lines)
    }

    fn messages(&self) -> Chart<'static> {
        let most = self.most(|second| second.sent.max(second.received));
        let summary = format!("Messages a second: {} at most", Count(most));
        let lines = vec![
            self.line("sent", |second| second.sent),
            self.line("received", |second| second.received),
            self.line("errors", |second| second.errors),
        ];
        self.chart("Messages a second", summary, Axis::linear(number(most), count), lines)
    }

    fn connections(&self) -> Chart<'static> {
        let most = self.most(|second| second.connections);
        let summary = format!("Open connections: {} at most", Count(most));
        let lines = vec![self.line("open", |second| second.connections)];
        self.chart("Connections", summary, Axis::linear(number(most), count), lines)
    }
}

/// Seconds as one: rates are averages, latencies the worst.
fn one(seconds: &[Second]) -> Second {
    let average = |value: fn(&Second) -> u64| {
        let sum: u64 = seconds.iter().map(value).sum();
        sum / u64::try_from(seconds.len()).unwrap_or(1).max(1)
    };
    let most = |value: fn(&Second) -> u64| seconds.iter().map(value).max().unwrap_or(0);
    Second {
        second: seconds.last().map_or(0, |second| second.second),
        sent: average(|second| second.sent),
        received: average(|second| second.received),
        calls: average(|second| second.calls),
        errors: most(|second| second.errors),
        connections: seconds.last().map_or(0, |second| second.connections),
        p50_micros: most(|second| second.p50_micros),
        p99_micros: most(|second| second.p99_micros),
        histogram: None,
    }
}

/// Latency by percentile, a line for each step.
fn distribution(report: &Report) -> Option<Chart<'static>> {
    const MOST: usize = 6;
    // From nothing to 4 nines.
    const TICKS: [(f64, &str); 5] =
        [(0.301, "p50"), (1.0, "p90"), (2.0, "p99"), (3.0, "p99.9"), (4.0, "p99.99")];
    let measured: Vec<_> = report.steps.iter().filter(|step| !step.latency().1.is_empty()).collect();
    let (_, slowest) = measured.last()?.latency();
    let points = |recorder: &Recorder| {
        let point = |nines: f64| (nines, number(recorder.at(1.0 - 10_f64.powf(-nines)).max(1)));
        (0_u8..=80).map(|part| point(f64::from(part) / 20.0)).collect::<Vec<_>>()
    };
    let lines: Vec<Line> = measured[measured.len().saturating_sub(MOST)..]
        .iter()
        .map(|step| Line { name: Count(step.connections).to_string(), points: points(step.latency().1) })
        .collect();
    let values = || lines.iter().flat_map(|line| line.points.iter().map(|(_, micros)| *micros));
    let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    let times = slowest.percentiles();
    let ticks = TICKS.iter().map(|(place, label)| (*place, (*label).to_owned())).collect();
    Some(Chart {
        title: "Latency by percentile, for each number of connections",
        summary: format!(
            "Latency by percentile, of the largest step: p50 {}, p90 {}, p99 {}, p99.9 {}",
            Time(times.p50_micros),
            Time(times.p90_micros),
            Time(times.p99_micros),
            Time(times.p999_micros)
        ),
        y: Axis::logarithmic(least, most, time),
        x: Axis::labelled(0.0, 4.0, ticks),
        lines,
        marks: Vec::new(),
    })
}

/// A bar for each phase of connecting.
fn phases(out: &mut String, report: &Report) {
    let phases = words::phases(report);
    let bars: Vec<_> = phases.each().map(|(name, recorder)| (name, recorder.percentiles())).collect();
    let Some(longest) = bars.iter().map(|(_, times)| times.p99_micros).max().filter(|micros| *micros > 0)
    else {
        return;
    };
    out.push_str(
        "<div class=\"bars\"><h3>Connecting</h3><p class=\"soft\">p50 and p99 of each phase</p><dl>",
    );
    for (name, times) in bars {
        let width = |micros| number(micros) / number(longest) * 100.0;
        let _ = write!(
            out,
            "<dt>{}</dt><dd><span class=\"bar\"><i style=\"width:{:.1}%\"></i><i style=\"width:{:.1}%\"></i></span><span class=\"figures\">{} / {}</span></dd>",
            escaped(name),
            width(times.p99_micros),
            width(times.p50_micros),
            Time(times.p50_micros),
            Time(times.p99_micros)
        );
    }
    out.push_str("</dl></div>\n");
}

fn own(report: &Report) -> Option<Chart<'static>> {
    let samples = &report.own.samples;
    let together = samples.len().div_ceil(Timeline::MOST).max(1);
    let line = |name: &str, value: fn(&crate::measure::OwnSample) -> f64| {
        let point = |(number, chunk): (usize, &[crate::measure::OwnSample])| {
            let at = u32::try_from((number + 1) * together).unwrap_or(u32::MAX);
            (f64::from(at), chunk.iter().map(value).fold(0.0, f64::max) * 100.0)
        };
        Line { name: name.to_owned(), points: samples.chunks(together).enumerate().map(point).collect() }
    };
    let end = f64::from(u32::try_from(samples.len()).unwrap_or(u32::MAX));
    (!samples.is_empty()).then(|| Chart {
        title: "The tester's own CPU, and the machine's",
        summary: format!(
            "Share of CPU: the tester used {:.0}% of its threads at most, everything on the machine {:.0}%",
            report.own.busiest * 100.0,
            report.own.machine_busiest * 100.0
        ),
        y: Axis::linear(100.0, |percent| format!("{percent:.0}%")),
        x: Axis::seconds(end),
        lines: vec![line("tester", |sample| sample.busy), line("machine", |sample| sample.machine_busy)],
        marks: Vec::new(),
    })
}

fn time(micros: f64) -> String {
    // Labels are round: their zeros behind the point say nothing.
    let text = Time(words::micros(micros / 1e6)).to_string();
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

fn count(value: f64) -> String {
    Rate(value).to_string()
}

#[expect(clippy::cast_precision_loss, reason = "a chart shows three digits")]
fn number(value: u64) -> f64 {
    value as f64
}
