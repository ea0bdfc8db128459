//! The tests of `tests/javascript`: the official client against built servers.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use hubline_testkit::Node;

use crate::build::Programs;
use crate::counts::Counts;
use crate::process::{self, root};

fn directory() -> PathBuf {
    root().join("tests/javascript")
}

/// Installs the client and what it needs, exactly as locked.
///
/// # Errors
/// The package registry cannot be reached.
pub(crate) fn install() -> Result<()> {
    let options = ["ci", "--no-audit", "--no-fund"];
    process::run(Command::new("npm").args(options).current_dir(directory()))
}

/// Runs the tests.
///
/// # Errors
/// Tests fail.
pub(crate) fn run(programs: &Programs, counts: &mut Counts) -> Result<()> {
    let status = Node::tests(directory())
        .env("HUBLINE_CONFORMANCE_SERVER", programs.path("conformance-server")?)
        .env("HUBLINE_SERVER", programs.path("hubline")?)
        .run(|line| {
            println!("{line}");
            if let Some(more) = Counts::node(line) {
                *counts += more;
            }
        })?;
    ensure!(status.success(), "node --test ended with {status}");
    Ok(())
}
