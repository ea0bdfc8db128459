//! What both views say.

use crate::oracle::Verdict;
use crate::report::format::Length;
use crate::report::model::{Snapshot, Stage};

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
