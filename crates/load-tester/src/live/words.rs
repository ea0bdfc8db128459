//! What both views say.

use crate::oracle::Verdict;
use crate::report::format::{Length, Time};
use crate::report::model::{LatencyOf, Snapshot, Stage};

/// What the run does: `step 2 of 6, measuring`.
pub(super) fn stage(snapshot: &Snapshot) -> String {
    let doing = match snapshot.stage {
        Stage::Connecting => "connecting",
        Stage::Running => "measuring",
        Stage::Settling => "waiting for what is on its way",
        Stage::Closing => "closing",
        Stage::Done => "done",
    };
    match snapshot.steps {
        0 | 1 => doing.to_owned(),
        steps => format!("step {} of {steps}, {doing}", snapshot.step),
    }
}

/// `1 min 20 s left`, or for how long it has been going on.
pub(super) fn left(snapshot: &Snapshot) -> String {
    match snapshot.left {
        Some(left) => format!("{} left", Length(left.as_secs_f64())),
        None => format!("{} so far", Length(snapshot.elapsed.as_secs_f64())),
    }
}

/// Whether any message was looked at.
pub(super) fn has_verdict(snapshot: &Snapshot) -> bool {
    snapshot.verdict != Verdict::default()
}

/// The verdict so far.
pub(super) fn verdict(snapshot: &Snapshot) -> String {
    match has_verdict(snapshot) {
        true => format!("{} so far", snapshot.verdict),
        false => "no message was looked at yet".to_owned(),
    }
}

/// Share of the run that is over, 0 to 1.
pub(super) fn progress(snapshot: &Snapshot) -> f64 {
    let elapsed = snapshot.elapsed.as_secs_f64();
    match (snapshot.stage, snapshot.left) {
        (Stage::Done, _) => 1.0,
        (_, Some(left)) => (elapsed / (elapsed + left.as_secs_f64()).max(f64::EPSILON)).clamp(0.0, 1.0),
        _ => 0.0,
    }
}

/// Whose latencies, and the times by name; nothing before the first.
pub(super) fn latency(snapshot: &Snapshot) -> (&'static str, Vec<(&'static str, String)>) {
    let of = match snapshot.latency_of {
        LatencyOf::Delivery => "deliveries",
        LatencyOf::Call => "calls",
    };
    let times = &snapshot.latency;
    if times.count == 0 {
        return (of, Vec::new());
    }
    let times = [
        ("p50", times.p50_micros),
        ("p90", times.p90_micros),
        ("p95", times.p95_micros),
        ("p99", times.p99_micros),
        ("p99.9", times.p999_micros),
        ("max", times.max_micros),
    ];
    (of, times.map(|(name, micros)| (name, Time(micros).to_string())).to_vec())
}
