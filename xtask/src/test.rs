//! `cargo xtask test`: everything, and one summary.

use anyhow::{Result, ensure};
use hubline_testkit::stream;

use crate::autobahn;
use crate::build::Programs;
use crate::conformance;
use crate::counts::Counts;
use crate::document;
use crate::fuzz;
use crate::node;
use crate::prerequisites;
use crate::process::cargo;
use crate::python;
use crate::redis_servers;
use crate::report::Report;
use crate::results::Results;

/// For each target; `cargo xtask fuzz` takes longer.
const FUZZ_SECONDS: u32 = 5;

/// Runs every step, also after one that failed, so that all failures show.
///
/// # Errors
/// Any step failed, or something is missing that cannot be installed.
pub(crate) fn run() -> Result<()> {
    prerequisites::ensure_all()?;
    // Says what is left out without it.
    let _ = hubline_testkit::peer();

    let results = Results::begin()?;
    let mut report = Report::default();
    let mut programs = Programs::default();
    report.step("npm ci", |_| node::install());
    report.step("pip install", |_| python::install());
    report.step("other Redis servers", |_| {
        redis_servers::install();
        Ok(())
    });
    report.step("release build", |_| {
        programs = Programs::build(&["--workspace", "--bins", "--examples"])?;
        Ok(())
    });
    report.step("cargo test", cargo_test);
    report.step("recorded cases", |counts| {
        conformance::replay(programs.path("conformance-server")?, &[], &results, counts)
    });
    report.step("differential", |counts| conformance::compare(&[], &results, counts));
    report.step("JavaScript client", |counts| node::run("tests/javascript", &programs, &results, counts));
    report.step(".NET client", |counts| node::run("tests/dotnet", &programs, &results, counts));
    report.step("Python clients", |counts| python::run(&programs, &results, counts));
    report.step("RFC 6455", |counts| node::run("tests/autobahn", &programs, &results, counts));
    report.step("Autobahn", |counts| autobahn::run(&programs, &results, counts));
    report.step("fuzz", |counts| fuzz::targets(FUZZ_SECONDS, counts));
    report.step("REPORT.md", |_| {
        if document::write(&results)? {
            println!("notice: conformance/REPORT.md has changed; commit it if the change is meant");
        }
        Ok(())
    });

    println!("\n{report}");
    std::process::exit(i32::from(!report.passed()));
}

fn cargo_test(counts: &mut Counts) -> Result<()> {
    let mut command = cargo();
    command.envs(redis_servers::variables());
    let status = stream(command.args(["test", "--workspace", "--no-fail-fast"]), |line| {
        println!("{line}");
        if let Some(summary) = Counts::summary(line) {
            *counts += summary;
        }
    })?;
    ensure!(status.success(), "cargo test ended with {status}");
    Ok(())
}
