//! The figures that a threshold can be about.

use crate::measure::Recorder;
use crate::oracle::{StateVerdict, Tally, Verdict};
use crate::report::model::{Report, Step};

/// A figure of a report.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Metric {
    /// A percentile of times.
    Time(&'static Times, Statistic),
    /// Anything else.
    Other(&'static Figure),
}

/// What of the times: a quantile from 0 to 1, or the average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Statistic {
    At(f64),
    Mean,
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Microseconds.
    Time,
    Count,
    /// Of `Measured::of`.
    Percent,
    /// A second.
    Rate,
}

/// In which units a figure can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Units {
    Time,
    Count,
    CountOrPercent,
    Percent,
    Rate,
}

/// One figure of one step, or of the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    value: f64,
    /// What it is a part of.
    pub(crate) of: Option<u64>,
    /// Connections of the step.
    pub(crate) connections: Option<u64>,
}

/// Times of a step, or of the run.
#[derive(Debug)]
pub(crate) struct Times {
    prefix: &'static str,
    of: fn(&Step) -> &Recorder,
}

/// A count, a share or a rate.
#[derive(Debug)]
pub(crate) struct Figure {
    name: &'static str,
    units: Units,
    measured: fn(&Report) -> Vec<Measured>,
}

const TIMES: &[Times] = &[
    Times { prefix: "", of: |step| step.latency().1 },
    Times { prefix: "delivery.", of: |step| &step.delivery },
    Times { prefix: "call.", of: |step| &step.call },
    Times { prefix: "connect.", of: |step| &step.phases.total },
    Times { prefix: "tcp.", of: |step| &step.phases.tcp },
    Times { prefix: "tls.", of: |step| &step.phases.tls },
    Times { prefix: "negotiate.", of: |step| &step.phases.negotiate },
    Times { prefix: "upgrade.", of: |step| &step.phases.upgrade },
    Times { prefix: "handshake.", of: |step| &step.phases.handshake },
    Times { prefix: "first-call.", of: |step| &step.phases.first_call },
    Times { prefix: "recovery.", of: |step| &step.recovery },
    Times { prefix: "behind.", of: |step| &step.behind },
];

const STATISTICS: [(&str, Statistic); 7] = [
    ("p50", Statistic::At(0.5)),
    ("p90", Statistic::At(0.9)),
    ("p95", Statistic::At(0.95)),
    ("p99", Statistic::At(0.99)),
    ("p99.9", Statistic::At(0.999)),
    ("max", Statistic::At(1.0)),
    ("mean", Statistic::Mean),
];

macro_rules! figures {
    ($($name:literal, $units:ident, $measured:expr;)*) => {
        const FIGURES: &[Figure] = &[$(Figure { name: $name, units: Units::$units, measured: $measured }),*];
    };
}

figures! {
    "lost", CountOrPercent, |report| of_expected(report, lost);
    "lost-in-faults", CountOrPercent, |report| of_expected(report, lost_in_faults);
    "doubled", CountOrPercent, |report| of_expected(report, doubled);
    "late", CountOrPercent, |report| of_expected(report, |verdict| verdict.late);
    "out-of-order", CountOrPercent, |report| of_expected(report, out_of_order);
    "foreign", CountOrPercent, |report| of_expected(report, |verdict| verdict.foreign);
    "errors", Count, |report| vec![Measured::of_run(report.error_count())];
    "failed-calls", CountOrPercent, |report| of_steps(report, |step| (step.calls_failed, Some(step.calls)));
    "disconnects", Count, |report| of_steps(report, |step| (step.disconnects, None));
    "reconnects", Count, |report| of_steps(report, |step| (step.reconnects, None));
    "connected", CountOrPercent, |report| of_steps(report, |step| (step.connected, Some(step.connections)));
    "sent", Rate, |report| rates(report, |step| step.sent);
    "received", Rate, |report| rates(report, |step| step.received);
    "calls", Rate, |report| rates(report, |step| step.calls);
    "cpu", Percent, |report| vec![Measured::share(report.own.busiest)];
}

/// What no fault explains that the tester planted: messages, changes that were skipped, receivers without the last state.
fn lost(verdict: &Verdict) -> u64 {
    let states = verdict.states.as_ref().map_or(0, |states| states.without_the_last + states.changes_skipped);
    (verdict.lost + states).saturating_sub(lost_in_faults(verdict))
}

fn lost_in_faults(verdict: &Verdict) -> u64 {
    let planted = |tally: &Tally| {
        let counts = tally.0.iter().filter(|(cause, _)| cause.is_planted()).map(|(_, count)| *count);
        counts.sum::<u64>()
    };
    let of_states = |states: &StateVerdict| {
        planted(&states.without_the_last_in_faults) + planted(&states.changes_skipped_in_faults)
    };
    planted(&verdict.lost_in_faults) + verdict.states.as_ref().map_or(0, of_states)
}

fn doubled(verdict: &Verdict) -> u64 {
    verdict.doubled + verdict.states.as_ref().map_or(0, |states| states.changes_doubled)
}

fn out_of_order(verdict: &Verdict) -> u64 {
    let of_states = |states: &StateVerdict| states.went_back + states.changes_out_of_order;
    verdict.out_of_order + verdict.states.as_ref().map_or(0, of_states)
}

/// All messages that were looked at, each for each receiver.
fn looked_at(verdict: &Verdict) -> u64 {
    let of_states =
        |states: &StateVerdict| states.received + states.changes_received + states.changes_skipped;
    verdict.expected + verdict.states.as_ref().map_or(0, of_states)
}

/// Of the whole run: what was sent in one step may be lost in the next.
fn of_expected(report: &Report, count: fn(&Verdict) -> u64) -> Vec<Measured> {
    let verdict = &report.verdict;
    vec![Measured { of: Some(looked_at(verdict)), ..Measured::of_run(count(verdict)) }]
}

fn of_steps(report: &Report, count: fn(&Step) -> (u64, Option<u64>)) -> Vec<Measured> {
    let of_step = |step: &Step| {
        let (count, of) = count(step);
        Measured { of, connections: Some(step.connections), ..Measured::of_run(count) }
    };
    report.steps.iter().map(of_step).collect()
}

fn rates(report: &Report, count: fn(&Step) -> u64) -> Vec<Measured> {
    let of_step = |step: &Step| {
        let value = step.rate(count(step));
        Measured { value, of: None, connections: Some(step.connections) }
    };
    report.steps.iter().filter(|step| step.seconds > 0.0).map(of_step).collect()
}

impl Metric {
    pub(crate) fn named(name: &str) -> Option<Self> {
        if let Some(figure) = FIGURES.iter().find(|figure| figure.name == name) {
            return Some(Self::Other(figure));
        }
        let statistic =
            |rest| STATISTICS.iter().find(|(name, _)| *name == rest).map(|(_, statistic)| *statistic);
        let named =
            |times: &'static Times| Some(Self::Time(times, statistic(name.strip_prefix(times.prefix)?)?));
        TIMES.iter().find_map(named)
    }

    /// All of them, for an error.
    pub(crate) fn names() -> String {
        let statistics: Vec<_> = STATISTICS.iter().map(|(name, _)| *name).collect();
        let times: Vec<_> = TIMES.iter().skip(1).map(|times| times.prefix.trim_end_matches('.')).collect();
        let others: Vec<_> = FIGURES.iter().map(|figure| figure.name).collect();
        format!(
            "{} (of deliveries, or of calls if nothing is delivered); these behind {} and a dot, as in connect.p99; {}",
            statistics.join(", "),
            times.join(", "),
            others.join(", ")
        )
    }

    pub(crate) fn units(self) -> Units {
        match self {
            Self::Time(..) => Units::Time,
            Self::Other(figure) => figure.units,
        }
    }

    /// It in each step that has it, or once if it is of the whole run.
    pub(crate) fn measured(self, report: &Report) -> Vec<Measured> {
        let (times, statistic) = match self {
            Self::Other(figure) => return (figure.measured)(report),
            Self::Time(times, statistic) => (times, statistic),
        };
        let measured = |step: &Step| {
            let recorder = (times.of)(step);
            let micros = match statistic {
                Statistic::At(quantile) => recorder.at(quantile),
                Statistic::Mean => recorder.percentiles().mean_micros,
            };
            let measured = Measured { connections: Some(step.connections), ..Measured::of_run(micros) };
            (!recorder.is_empty()).then_some(measured)
        };
        report.steps.iter().filter_map(measured).collect()
    }
}

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "counts and microseconds are below 2^53")]
    fn of_run(count: u64) -> Self {
        Self { value: count as f64, of: None, connections: None }
    }

    fn share(share: f64) -> Self {
        Self { value: share * 100.0, of: Some(100), connections: None }
    }

    /// In that unit.
    #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
    pub(crate) fn value(&self, unit: Unit) -> f64 {
        match (unit, self.of) {
            (Unit::Percent, Some(0)) => 0.0,
            (Unit::Percent, Some(of)) => self.value / of as f64 * 100.0,
            _ => self.value,
        }
    }
}

impl Units {
    /// A number with one of these units.
    pub(crate) fn value(self, text: &str) -> Option<(f64, Unit)> {
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: f64 = number.parse().ok()?;
        let micros = |factor: f64| (self == Self::Time).then_some((number * factor, Unit::Time));
        match unit.trim() {
            "us" | "µs" => micros(1.0),
            "ms" => micros(1e3),
            "s" => micros(1e6),
            "min" => micros(60e6),
            "%" if matches!(self, Self::CountOrPercent | Self::Percent) => Some((number, Unit::Percent)),
            "/s" if self == Self::Rate => Some((number, Unit::Rate)),
            "" => match self {
                Self::Count | Self::CountOrPercent => Some((number, Unit::Count)),
                Self::Rate => Some((number, Unit::Rate)),
                Self::Time | Self::Percent => None,
            },
            _ => None,
        }
    }

    /// What is right.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Self::Time => ">50ms (us, ms, s or min)",
            Self::Count => ">0",
            Self::CountOrPercent => ">0, or a share such as >0.1%",
            Self::Percent => ">90%",
            Self::Rate => "<500/s",
        }
    }
}
