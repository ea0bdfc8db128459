use std::fmt::{Display, Formatter, Result as FmtResult};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::report::format::{Count, Rate, Time};
use crate::report::metric::{Measured, Metric, Unit};
use crate::report::model::Report;

/// What breaks a run: `p99>50ms,lost>0`.
///
/// Each is a figure, one of `>`, `>=`, `<`, `<=`, `==`, `!=`, and a value with a unit: `us`, `ms`, `s` or `min` for times, `%` for shares,
/// `/s` or nothing for rates, nothing for counts. A figure of steps is looked at in each of them.
#[derive(Debug, Clone)]
pub struct Thresholds(Vec<Threshold>);

#[derive(Debug, Clone)]
struct Threshold {
    text: String,
    metric: Metric,
    operator: Operator,
    value: f64,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Above,
    AtLeast,
    Below,
    AtMost,
    Equal,
    Other,
}

/// A threshold that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checked {
    /// As it was asked for.
    pub threshold: String,
    /// The figure in words, of the step that is closest to breaking it, or breaks it most.
    pub found: String,
    /// The figure, in the unit of the threshold; times in microseconds. `None`: it was not measured.
    pub value: Option<f64>,
    /// Connections of that step; `None` for figures of the whole run.
    pub connections: Option<u64>,
    /// Whether the run is broken by it. What was not measured breaks it.
    pub broken: bool,
}

/// Why a text is no list of thresholds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ThresholdError {
    /// No comparison in it.
    #[error(
        "{0:?} compares nothing: write a figure, one of > >= < <= == !=, and a value, such as p99>50ms or lost>0"
    )]
    Operator(String),
    /// No such figure.
    #[error("{name:?} is no figure; there are {}", Metric::names())]
    Name {
        /// What was written.
        name: String,
    },
    /// The value is no number.
    #[error("{value:?} of {name} is no number with a unit: write {name}{expected}")]
    Value {
        /// Of which figure.
        name: String,
        /// What was written.
        value: String,
        /// An example of what is right.
        expected: &'static str,
    },
}

impl Default for Thresholds {
    /// What breaks a run that names none: any loss that no fault explains, doubled, disordered or misrouted messages, and
    /// connections that could not be made.
    fn default() -> Self {
        "lost>0,doubled>0,out-of-order>0,foreign>0,connected<100%".parse().expect("they are right")
    }
}

impl FromStr for Thresholds {
    type Err = ThresholdError;

    /// `none` is an empty list.
    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        if text.trim() == "none" {
            return Ok(Self(Vec::new()));
        }
        text.split(',').map(|one| one.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl Display for Thresholds {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        let texts: Vec<&str> = self.0.iter().map(|threshold| threshold.text.as_str()).collect();
        f.write_str(if texts.is_empty() { "none".to_owned() } else { texts.join(",") }.as_str())
    }
}

impl Thresholds {
    /// Looks at all of them.
    #[must_use]
    pub fn check(&self, report: &Report) -> Vec<Checked> {
        self.0.iter().map(|threshold| threshold.check(report)).collect()
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let no_operator = || ThresholdError::Operator(text.to_owned());
        let at = text.find(['<', '>', '=', '!']).ok_or_else(no_operator)?;
        let (name, rest) = text.split_at(at);
        let (operator, value) = Operator::split(rest).ok_or_else(no_operator)?;
        let name = name.trim();
        let metric = Metric::named(name).ok_or_else(|| ThresholdError::Name { name: name.to_owned() })?;
        let (value, unit) = metric.units().value(value.trim()).ok_or_else(|| ThresholdError::Value {
            name: name.to_owned(),
            value: value.trim().to_owned(),
            expected: metric.units().example(),
        })?;
        Ok(Self { text: text.split_whitespace().collect(), metric, operator, value, unit })
    }
}

impl Threshold {
    fn check(&self, report: &Report) -> Checked {
        let worse = |one: &Measured, other: &Measured| {
            self.operator.distance(other.value(self.unit), self.value)
                < self.operator.distance(one.value(self.unit), self.value)
        };
        let worst = self
            .metric
            .measured(report)
            .into_iter()
            .reduce(|one, other| if worse(&one, &other) { other } else { one });
        let Some(measured) = worst else {
            let found = "nothing was measured".to_owned();
            return Checked { threshold: self.text.clone(), found, broken: true, ..Checked::default() };
        };
        let value = measured.value(self.unit);
        Checked {
            threshold: self.text.clone(),
            found: self.words(&measured, value),
            value: Some(value),
            connections: measured.connections,
            broken: self.operator.holds(value, self.value),
        }
    }

    fn words(&self, measured: &Measured, value: f64) -> String {
        #[expect(clippy::cast_possible_truncation, reason = "times and counts are far below 2^64")]
        #[expect(clippy::cast_sign_loss, reason = "and never negative")]
        let whole = value as u64;
        match self.unit {
            Unit::Time => Time(whole).to_string(),
            Unit::Percent => format!("{value:.3}%").replace(".000%", "%"),
            Unit::Rate => format!("{}/s", Rate(value)),
            Unit::Count => match measured.of {
                Some(of) => format!("{} of {}", Count(whole), Count(of)),
                None => Count(whole).to_string(),
            },
        }
    }
}

impl Operator {
    fn split(text: &str) -> Option<(Self, &str)> {
        let operators = [
            (">=", Self::AtLeast),
            ("<=", Self::AtMost),
            ("==", Self::Equal),
            ("!=", Self::Other),
            (">", Self::Above),
            ("<", Self::Below),
            ("=", Self::Equal),
        ];
        operators.into_iter().find_map(|(sign, operator)| Some((operator, text.strip_prefix(sign)?)))
    }

    #[expect(clippy::float_cmp, reason = "counts and whole microseconds are exact")]
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Equal => value == limit,
            Self::Other => value != limit,
        }
    }

    /// Smaller for what is closer to holding, or holds more.
    fn distance(self, value: f64, limit: f64) -> f64 {
        match self {
            Self::Above | Self::AtLeast => -value,
            Self::Below | Self::AtMost => value,
            Self::Equal => (value - limit).abs(),
            Self::Other => -(value - limit).abs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Cause;
    use crate::report::model::Step;

    fn report() -> Report {
        let mut slow =
            Step { connections: 100, connected: 99, seconds: 10.0, received: 5_000, ..Step::default() };
        (1..=100).for_each(|millis| slow.delivery.record(millis * 1_000));
        slow.phases.total.record(7_000);
        let mut quick =
            Step { connections: 10, connected: 10, seconds: 10.0, received: 900, ..Step::default() };
        quick.call.record(3_000);
        let mut report = Report { steps: vec![quick, slow], ..Report::default() };
        report.verdict.expected = 1_000;
        report.verdict.lost = 5;
        report.verdict.lost_in_faults.add(Cause::Drop, 2);
        report.verdict.lost_in_faults.add(Cause::ConnectionLost, 1);
        report.own.busiest = 0.97;
        report
    }

    #[test]
    fn a_threshold_is_broken_by_the_step_that_breaks_it_most() {
        for (text, found, connections, broken) in [
            ("p99>50ms", "99.0 ms", Some(100), true),
            ("p99 > 0.2 s", "99.0 ms", Some(100), false),
            ("call.p50>=2ms", "3.00 ms", Some(10), true),
            ("connect.max>1s", "7.00 ms", Some(100), false),
            ("recovery.p99>1s", "nothing was measured", None, true),
            ("lost>0", "3 of 1,000", None, true),
            ("lost>0.5%", "0.300%", None, false),
            ("lost-in-faults>1", "2 of 1,000", None, true),
            ("late>0", "0 of 1,000", None, false),
            ("connected<100%", "99%", Some(100), true),
            ("connected==10", "10 of 10", Some(10), true),
            ("received<100/s", "90/s", Some(10), true),
            ("received<90", "90/s", Some(10), false),
            ("errors!=0", "0", None, false),
            ("cpu>90%", "97%", None, true),
        ] {
            let checked = text.parse::<Thresholds>().unwrap().check(&report());
            let [Checked { found: words, connections: of, broken: is_broken, .. }] = &checked[..] else {
                panic!("{text}: {checked:?}");
            };
            assert_eq!((words.as_str(), *of, *is_broken), (found, connections, broken), "{text}");
        }
    }

    #[test]
    fn those_of_a_run_that_names_none_are_about_loss_not_about_speed() {
        let thresholds = Thresholds::default();
        assert_eq!(thresholds.to_string().parse::<Thresholds>().unwrap().to_string(), thresholds.to_string());
        let broken: Vec<_> = thresholds.check(&report()).into_iter().filter(|one| one.broken).collect();
        let broken: Vec<_> = broken.iter().map(|one| one.threshold.as_str()).collect();
        assert_eq!(broken, ["lost>0", "connected<100%"]);
        assert!("none".parse::<Thresholds>().unwrap().check(&report()).is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_right() {
        for (text, expected) in [
            (
                "p99",
                r#""p99" compares nothing: write a figure, one of > >= < <= == !=, and a value, such as p99>50ms or lost>0"#,
            ),
            ("p99>50", r#""50" of p99 is no number with a unit: write p99>50ms (us, ms, s or min)"#),
            ("lost>1ms", r#""1ms" of lost is no number with a unit: write lost>0, or a share such as >0.1%"#),
            ("received<x", r#""x" of received is no number with a unit: write received<500/s"#),
            ("lost>0,,", r#""" compares nothing"#),
        ] {
            let error = text.parse::<Thresholds>().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        let error = "p98>1ms".parse::<Thresholds>().unwrap_err().to_string();
        for name in ["p99.9", "connect", "first-call", "lost-in-faults", "received", "cpu"] {
            assert!(error.contains(name), "{error}");
        }
    }
}
