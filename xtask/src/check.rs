//! What reviewers would say anyway.

use anyhow::Result;

use crate::process::{cargo, cargo_in_background};
use crate::transcript::Transcript;

/// # Errors
/// A file is formatted otherwise, or rustfmt is not there.
pub(crate) fn formatting(transcript: &mut Transcript) -> Result<()> {
    transcript.run(cargo().args(["fmt", "--all", "--check"]))
}

/// # Errors
/// Clippy or the compiler warns of something, or clippy is not there.
pub(crate) fn clippy(transcript: &mut Transcript) -> Result<()> {
    transcript.run(cargo_in_background().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))
}
