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

/// Checks the library without features, with its default ones, and with all, and the program without OTLP; everything else is built with
/// more.
///
/// # Errors
/// One of them does not compile without a warning.
pub(crate) fn features(transcript: &mut Transcript) -> Result<()> {
    for features in [&["--no-default-features"][..], &[], &["--all-features"]] {
        let mut cargo = cargo_in_background();
        cargo.args(["clippy", "--package", "hubline", "--lib"]).args(features);
        transcript.run(cargo.args(["--", "--deny", "warnings"]))?;
    }
    let mut server = cargo_in_background();
    server.args(["clippy", "--package", "hubline-server", "--no-default-features"]);
    transcript.run(server.args(["--", "--deny", "warnings"]))
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
