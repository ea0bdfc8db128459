//! `cargo xtask test`: everything, and one summary.

use anyhow::{Result, ensure};
use hubline_testkit::stream;

use crate::build::Programs;
use crate::conformance;
use crate::counts::Counts;
use crate::javascript;
use crate::prerequisites;
use crate::process::cargo;
use crate::report::Report;

/// Runs every step, also after one that failed, so that all failures show.
///
/// # Errors
/// Any step failed, or something is missing that cannot be installed.
pub(crate) fn run() -> Result<()> {
    prerequisites::ensure_all()?;
    // Says what is left out without it.
    let _ = hubline_testkit::peer();

    let mut report = Report::default();
    let mut programs = Programs::default();
    report.step("npm ci", |_| javascript::install());
    report.step("release build", |_| {
        programs = Programs::build(&["--workspace", "--bins", "--examples"])?;
        Ok(())
    });
    report.step("cargo test", cargo_test);
    report
        .step("conformance", |counts| conformance::replay(programs.path("conformance-server")?, &[], counts));
    report.step("JavaScript client", |counts| javascript::run(&programs, counts));

    println!("\n{report}");
    std::process::exit(i32::from(!report.passed()));
}

fn cargo_test(counts: &mut Counts) -> Result<()> {
    let mut command = cargo();
    let status = stream(command.args(["test", "--workspace", "--no-fail-fast"]), |line| {
        println!("{line}");
        if let Some(summary) = Counts::summary(line) {
            *counts += summary;
        }
    })?;
    ensure!(status.success(), "cargo test ended with {status}");
    Ok(())
}
