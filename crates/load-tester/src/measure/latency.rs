use std::fmt::{Display, Formatter, Result};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Times in microseconds, to three digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Half were faster.
    pub p50_micros: u64,
    /// One in a hundred was slower.
    pub p99_micros: u64,
    /// The slowest.
    pub max_micros: u64,
}

impl Display for Latency {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { p50_micros, p99_micros, max_micros } = self;
        write!(f, "p50 {p50_micros} µs, p99 {p99_micros} µs, max {max_micros} µs")
    }
}

/// Records times in microseconds.
#[derive(Debug)]
pub(crate) struct Recorder(Histogram<u64>);

impl Recorder {
    pub(crate) fn new() -> Self {
        const MINUTE_IN_MICROS: u64 = 60_000_000;
        Self(Histogram::new_with_bounds(1, MINUTE_IN_MICROS, 3).expect("the bounds are in order"))
    }

    pub(crate) fn record(&mut self, micros: u64) {
        self.0.saturating_record(micros);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("the bounds are the same");
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    pub(crate) fn summary(&self) -> Latency {
        Latency {
            p50_micros: self.0.value_at_quantile(0.5),
            p99_micros: self.0.value_at_quantile(0.99),
            max_micros: self.0.max(),
        }
    }
}
