//! Moments of no run, for tests of how they are shown.

use std::time::Duration;

use crate::measure::OwnSample;
#[cfg(feature = "live")]
use crate::measure::{Percentiles, Second};
use crate::report::model::{LatencyOf, Snapshot, Stage};
use crate::report::sample;

pub(super) fn running() -> Snapshot {
    let report = sample::good();
    let step = &report.steps[1];
    Snapshot {
        stage: Stage::Running,
        step: 2,
        steps: 3,
        connected: 1_000,
        wanted: 1_000,
        elapsed: Duration::from_secs(92),
        left: Some(Duration::from_secs(80)),
        sent_rate: 10_000.0,
        received_rate: 10_012.0,
        call_rate: 10_000.0,
        latency_of: LatencyOf::Delivery,
        latency: step.delivery.percentiles(),
        recent: step.series.0.clone(),
        verdict: report.verdict.clone(),
        own: OwnSample { busy: 0.41, machine_busy: 0.71, lag_micros: 900 },
        memory_bytes: 148_000_000,
        warnings: vec!["the tester's timers were late: p99 12 ms, at most 80 ms".to_owned()],
        ..Snapshot::default()
    }
}

#[cfg(feature = "live")]
pub(super) fn in_trouble() -> Snapshot {
    let (report, running) = (sample::bad(), running());
    Snapshot {
        connected: 876,
        errors: report.errors.clone(),
        error_count: report.error_count(),
        verdict: report.verdict.clone(),
        warnings: report.warnings.clone(),
        latency: Percentiles { p999_micros: 1_234_567, max_micros: 12_000_000, ..running.latency },
        recent: running.recent.iter().map(|second| Second { received: 9, ..second.clone() }).collect(),
        ..running
    }
}
