//! Formatting and lints.

use anyhow::Result;

use crate::process::{cargo, cargo_in_background};
use crate::transcript::Transcript;

/// Runs `cargo fmt --check`.
///
/// # Errors
/// A file is not formatted, or rustfmt is not installed.
pub(crate) fn formatting(transcript: &mut Transcript) -> Result<()> {
    transcript.run(cargo().args(["fmt", "--all", "--check"]))
}

/// Runs clippy on the workspace at a low priority.
///
/// # Errors
/// Clippy or the compiler warns, or clippy is not installed.
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
