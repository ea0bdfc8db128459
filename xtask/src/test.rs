//! `cargo xtask test`: everything, or what is quick, and one summary.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::autobahn;
use crate::build::Programs;
use crate::build_size;
use crate::check;
use crate::conformance;
use crate::crate_order;
use crate::deployment;
use crate::document;
use crate::failures::Format;
use crate::figures;
use crate::fuzz;
use crate::instructions;
use crate::links;
use crate::node;
use crate::peers;
use crate::prerequisites;
use crate::process::{cargo, cargo_in_background};
use crate::promises;
use crate::python;
use crate::redis_servers;
use crate::report::{Report, Step};
use crate::results::Results;
use crate::transcript::Transcript;

/// For each target; `cargo xtask fuzz` takes longer.
const FUZZ_SECONDS: u32 = 5;

/// Tests with the JavaScript client against several instances, which take as long as all others together.
const FLEET_TESTS: [&str; 3] = ["load-balanced.test.mjs", "outage.test.mjs", "recorded-anywhere.test.mjs"];

/// Tests in Rust that mostly wait, by parts of their names: for Redis servers that fail over, and for slow links.
const SLOW_TESTS: [&str; 5] = ["cluster::", "outages::", "sentinel::", "sharded::", "slow::"];

/// Compares what the compiler says, which is recorded for the Rust that `rust-version` names.
const COMPILER_TEST: &str = "each_mistake_is_told_with_its_culprit";

/// Runs every step, also after one that failed, so that all failures show. What mostly waits, for a network, for timers
/// or for servers, runs beside something else, also beside builds, which give way to it.
///
/// # Errors
/// Any step failed, or something is missing that cannot be installed.
pub(crate) fn run() -> Result<()> {
    prerequisites::ensure_all()?;
    let results = Results::begin()?;
    let mut report = Report::begin();
    report.group(style());
    prepare(&mut report);
    let (programs, targets) = build(&mut report);
    recorded(&mut report, &programs, &results);
    clients(&mut report, &programs, &targets, &results);
    report.group([Step::new("differential", |transcript| conformance::compare(&results, transcript))]);
    report.group([Step::new("REPORT.md", |transcript| {
        if document::write(&results)? {
            transcript.line("notice: conformance/REPORT.md has changed; commit it if the change is meant");
        }
        Ok(())
    })]);
    end(&report)
}

/// Runs the tests in Rust, without [`SLOW_TESTS`], and then the recorded cases, against a server that is built without
/// optimizations. What needs a browser, Python or a release build is left out.
///
/// # Errors
/// Any step failed, or something is missing that cannot be installed.
pub(crate) fn quick() -> Result<()> {
    prerequisites::ensure_quick()?;
    let results = Results::begin()?;
    let mut report = Report::begin();
    report.group(style());
    let mut programs = Programs::default();
    report.group([Step::new("build of the tests", |transcript| {
        programs = Programs::from_cargo(cargo().args(["test", "--workspace", "--no-run"]), transcript)?;
        Ok(())
    })]);
    report.group([Step::new("cargo test", |transcript| {
        let mut command = cargo();
        command.args(["test", "--workspace", "--no-fail-fast", "--"]);
        command.args(SLOW_TESTS.iter().flat_map(|part| ["--skip", part]));
        transcript.line(format!("notice: tests named {} are left out", SLOW_TESTS.join(", ")));
        transcript.judge(&mut command, Format::Cargo)
    })]);
    // Alone, for the sake of tokens that live for a second or two.
    report.group([Step::new("recorded cases", |transcript| {
        conformance::replay(programs.path("conformance-server")?, &[], &results, transcript)
    })]);
    end(&report)
}

fn style() -> [Step<'static>; 6] {
    [
        Step::new("formatting", check::formatting),
        Step::new("order of crates", crate_order::check),
        Step::new("promises", promises::check),
        Step::new("links of documents", links::check),
        Step::new("figures of README.md", figures::check),
        Step::new("what is built", build_size::check),
    ]
}

fn end(report: &Report) -> Result<()> {
    println!("\n{report}");
    std::process::exit(i32::from(!report.passed()));
}

/// Builds the Rust tests, and installs meanwhile what others need.
fn prepare(report: &mut Report) {
    report.group([
        Step::new("build of the tests", |transcript| {
            transcript.run(cargo().args(["test", "--workspace", "--no-run"]))
        }),
        Step::new("npm ci", node::install),
        Step::new("pip install", |transcript| {
            python::install(transcript)?;
            redis_servers::install(transcript);
            autobahn::install(transcript)
        }),
        Step::new("real servers", peers::start_each),
    ]);
}

/// Runs the Rust tests, most of whose time is that of Redis servers that come and go, and builds everything else meanwhile:
/// the programs, and the fuzz targets.
fn build(report: &mut Report) -> (Programs, Programs) {
    let (mut programs, mut targets) = (Programs::default(), Programs::default());
    report.group([
        Step::new("cargo test", cargo_test),
        Step::new("release build", |transcript| {
            let mut cargo = cargo_in_background();
            cargo.args(["build", "--release", "--workspace", "--bin=hubline", "--bin=hubline-load"]);
            cargo.args(["--example=conformance-server", "--example=web-socket-echo"]);
            programs = Programs::from_cargo(&mut cargo, transcript)?;
            Ok(())
        }),
        Step::new("fuzz targets", |transcript| {
            targets = fuzz::build(cargo_in_background(), transcript)?;
            Ok(())
        }),
        Step::new("features", check::features),
        Step::new("clippy", check::clippy),
    ]);
    (programs, targets)
}

/// Replays the recorded cases. Some have tokens that live for a second or two, so what runs beside them needs little.
fn recorded(report: &mut Report, programs: &Programs, results: &Results) {
    report.group([
        Step::new("recorded cases", |transcript| {
            conformance::replay(programs.path("conformance-server")?, &[], results, transcript)
        }),
        Step::new("Python clients", |transcript| python::run(programs, results, transcript)),
    ]);
    // Alone, because what runs beside it has a server wake up more often.
    report.group([Step::new("instructions", |transcript| {
        instructions::check(programs.path("conformance-server")?, transcript)
    })]);
}

/// Runs the tests with other people's clients, and what waits as they do; the longest first.
fn clients(report: &mut Report, programs: &Programs, targets: &Programs, results: &Results) {
    let node = |directory, are_wanted: fn(&Path) -> bool| {
        move |transcript: &mut Transcript| {
            let files: Vec<_> = node::files(directory)?.into_iter().filter(|file| are_wanted(file)).collect();
            node::run(directory, &files, programs, results, transcript)
        }
    };
    let (javascript, all) = ("tests/javascript", |_: &Path| true);
    report.group([
        Step::new("JavaScript fleets", node(javascript, is_fleet_test)),
        Step::new(".NET clients", node("tests/dotnet", all)),
        Step::new("JavaScript client", node(javascript, |file| !is_fleet_test(file))),
        Step::new("live ASP.NET Core 11", |transcript| conformance::replay_live(&[], results, transcript)),
        Step::new("deployment", |transcript| deployment::run(programs, transcript)),
        Step::new("fuzz", |transcript| fuzz::targets(targets, FUZZ_SECONDS, transcript)),
        Step::new("Autobahn", |transcript| autobahn::run(programs, results, transcript)),
        Step::new("RFC 6455", node("tests/autobahn", all)),
        Step::new("commands in documents", node("tests/guides", all)),
    ]);
}

fn is_fleet_test(file: &Path) -> bool {
    FLEET_TESTS.iter().any(|name| file.ends_with(name))
}

fn cargo_test(transcript: &mut Transcript) -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    redis_servers::include_tests(&mut command);
    let compiler = Command::new("rustc").arg("--version").output()?;
    let compiler = String::from_utf8_lossy(&compiler.stdout);
    let recorded = env!("CARGO_PKG_RUST_VERSION");
    if !compiler.starts_with(&format!("rustc {recorded}.")) {
        transcript.line(format!(
            "notice: {COMPILER_TEST} is left out: it wants Rust {recorded}, this is {}",
            compiler.trim()
        ));
        command.args(["--skip", COMPILER_TEST]);
    }
    transcript.judge(&mut command, Format::Cargo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_file_belongs_to_one_step() -> Result<()> {
        let files = node::files("tests/javascript")?;
        for name in FLEET_TESTS {
            assert_eq!(files.iter().filter(|file| file.ends_with(name)).count(), 1, "{name}");
        }
        assert!(files.iter().any(|file| !is_fleet_test(file)));
        assert!(files.iter().any(|file| file.ends_with("matrix/matrix.test.mjs")));
        assert!(!files.iter().any(|file| file.iter().any(|part| part == "node_modules")));
        Ok(())
    }
}
