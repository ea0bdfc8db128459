//! Tests that run in Node against built servers: the official JavaScript client, the .NET client, raw sockets.

use std::process::Command;

use anyhow::{Result, ensure};
use hubline_testkit::Node;

use crate::build::Programs;
use crate::failures::Format;
use crate::process::root;
use crate::results::Results;
use crate::transcript::Transcript;

/// Installs the client and what it needs, exactly as locked.
///
/// # Errors
/// The package registry cannot be reached.
pub(crate) fn install(transcript: &mut Transcript) -> Result<()> {
    let options = ["ci", "--no-audit", "--no-fund"];
    transcript.run(Command::new("npm").args(options).current_dir(root().join("tests/javascript")))
}

/// Runs the tests of a directory. Those of the .NET client say that they are skipped where it is not.
///
/// # Errors
/// Tests fail.
pub(crate) fn run(
    directory: &str,
    programs: &Programs,
    results: &Results,
    transcript: &mut Transcript,
) -> Result<()> {
    let status = Node::tests(root().join(directory))
        .env("HUBLINE_CONFORMANCE_SERVER", programs.path("conformance-server")?)
        .env("HUBLINE_LOAD", programs.path("hubline-load")?)
        .env("HUBLINE_MATRIX_RESULTS", results.matrix())
        .env("HUBLINE_SERVER", programs.path("hubline")?)
        .run(|line| transcript.judged(line, Format::Node))?;
    ensure!(status.success(), "node --test ended with {status}");
    Ok(())
}
