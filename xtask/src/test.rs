//! `cargo xtask test`: everything, and one summary.

use anyhow::Result;

use crate::autobahn;
use crate::build::Programs;
use crate::check;
use crate::conformance;
use crate::document;
use crate::failures::Format;
use crate::fuzz;
use crate::node;
use crate::peers;
use crate::prerequisites;
use crate::process::cargo;
use crate::python;
use crate::redis_servers;
use crate::report::{Report, Step};
use crate::results::Results;
use crate::transcript::Transcript;

/// For each target; `cargo xtask fuzz` takes longer.
const FUZZ_SECONDS: u32 = 5;

/// Runs every step, also after one that failed, so that all failures show. What mostly waits, for a network, for timers
/// or for servers, runs beside something else; what keeps every processor busy runs alone.
///
/// # Errors
/// Any step failed, or something is missing that cannot be installed.
pub(crate) fn run() -> Result<()> {
    prerequisites::ensure_all()?;
    let results = Results::begin()?;
    let mut report = Report::begin();
    report.group([Step::new("formatting", check::formatting)]);
    let programs = prepare(&mut report);
    report.group([Step::new("cargo test", cargo_test)]);
    recorded(&mut report, &programs, &results);
    clients(&mut report, &programs, &results);
    report.group([Step::new("differential", |transcript| conformance::compare(&results, transcript))]);
    report.group([Step::new("fuzz", |transcript| fuzz::targets(FUZZ_SECONDS, transcript))]);
    report.group([Step::new("REPORT.md", |transcript| {
        if document::write(&results)? {
            transcript.line("notice: conformance/REPORT.md has changed; commit it if the change is meant");
        }
        Ok(())
    })]);

    println!("\n{report}");
    std::process::exit(i32::from(!report.passed()));
}

/// Builds the programs, and installs what tests them meanwhile.
fn prepare(report: &mut Report) -> Programs {
    let mut programs = Programs::default();
    report.group([
        Step::new("release build", |transcript| {
            programs = Programs::build(&["--workspace", "--bins", "--examples"], transcript)?;
            Ok(())
        }),
        Step::new("npm ci", node::install),
        Step::new("pip install", |transcript| {
            python::install(transcript)?;
            redis_servers::install(transcript);
            autobahn::install(transcript)
        }),
        Step::new("real servers", peers::start_each),
        Step::new("clippy", check::clippy),
    ]);
    programs
}

/// Replays the recorded cases. Some have tokens that live for a second or two, so what runs beside them needs little.
fn recorded(report: &mut Report, programs: &Programs, results: &Results) {
    report.group([
        Step::new("recorded cases", |transcript| {
            conformance::replay(programs.path("conformance-server")?, &[], results, transcript)
        }),
        Step::new("Python clients", |transcript| python::run(programs, results, transcript)),
    ]);
}

/// Runs the tests with other people's clients, and what waits as they do; the longest first.
fn clients(report: &mut Report, programs: &Programs, results: &Results) {
    let node =
        |directory| move |transcript: &mut Transcript| node::run(directory, programs, results, transcript);
    report.group([
        Step::new("JavaScript client", node("tests/javascript")),
        Step::new(".NET clients", node("tests/dotnet")),
        Step::new("live ASP.NET Core 11", |transcript| conformance::replay_live(&[], results, transcript)),
        Step::new("RFC 6455", node("tests/autobahn")),
        Step::new("Autobahn", |transcript| autobahn::run(programs, results, transcript)),
    ]);
}

fn cargo_test(transcript: &mut Transcript) -> Result<()> {
    let mut command = cargo();
    command.envs(redis_servers::variables()).args(["test", "--workspace", "--no-fail-fast"]);
    transcript.judge(&mut command, Format::Cargo)
}
