//! Tasks of the repository: tests, conformance, benchmarks.

mod autobahn;
mod bench;
mod build;
mod build_size;
mod build_time;
mod check;
mod cluster;
mod conformance;
mod counts;
mod crate_order;
mod criteria;
mod deployment;
mod document;
mod failures;
mod figures;
mod fuzz;
mod instructions;
mod links;
mod markdown;
mod node;
mod peers;
mod prerequisites;
mod process;
mod promises;
mod python;
mod redis_servers;
mod report;
mod results;
mod rolling_restart;
mod screenshots;
mod site;
mod test;
mod transcript;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use results::Results;
use transcript::Transcript;

/// Tasks of the repository
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Every test: Rust, recorded cases, official and other clients, WebSockets, fuzz targets
    Test {
        #[command(subcommand)]
        part: Option<TestPart>,
    },
    /// Formatting, the order of crates, that links of documents lead somewhere, each test exists which docs/promises.md names, README.md has the measured figures and the program is built of no more than is stated, and clippy, whose warnings are errors
    Check,
    /// Replays the recorded cases against the release build of examples/conformance-server
    Conformance(conformance::Options),
    /// Redis, PostgreSQL, nginx and several instances with the settings of one of the two systems that Hubline was made for
    Cluster(cluster::Options),
    /// Runs each fuzz target of fuzz/ for a bounded time
    Fuzz(fuzz::Options),
    /// Writes conformance/REPORT.md from the results of the last `cargo xtask test`
    Report,
    /// Builds the image of deploy/Dockerfile with buildah and runs its root, as root and without Docker
    Image(deployment::ImageOptions),
    /// Starts deploy/systemd/hubline.service in a machine that systemd-nspawn boots, as root
    Unit(deployment::UnitOptions),
    /// Makes the documentation site of the Markdown, in target/site/html, with mdBook, which it installs into target/
    Docs,
    /// Writes the figures of docs/performance.json into README.md
    Figures,
    /// Builds the program from nothing, and prints the CPU seconds beside those that README.md states
    BuildTime(build_time::Options),
    /// Counts the instructions of a call, a delivery, a poll and a new connection, and compares them with what is stated
    Instructions,
    /// Takes a picture of each page, light and dark, wide and narrow, for docs/images: needs Chromium, redis-server and Node
    Screenshots(screenshots::Options),
    /// Measures the eight signs of a backplane that works, and writes docs/success-criteria.md
    Criteria(criteria::Options),
    /// Replaces three instances behind nginx one after the other while clients chat, and says what each of them missed
    RollingRestart(rolling_restart::Options),
    /// Compares memory and CPU with ASP.NET Core 10, which is found by `HUBLINE_PEER`, and 11, `peer11` beside it
    Bench(bench::Options),
}

#[derive(Debug, clap::Subcommand)]
enum TestPart {
    /// Rust and the recorded cases, in less than 3 minutes: needs redis-server and Node, no browser and no Python
    Quick,
}

fn main() -> ExitCode {
    match run(Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Test { part: None } => test::run(),
        Task::Test { part: Some(TestPart::Quick) } => test::quick(),
        Task::Check => {
            let mut transcript = Transcript::on_standard_output();
            check::formatting(&mut transcript)?;
            crate_order::check(&mut transcript)?;
            promises::check(&mut transcript)?;
            links::check(&mut transcript)?;
            figures::check(&mut transcript)?;
            build_size::check(&mut transcript)?;
            check::features(&mut transcript)?;
            check::clippy(&mut transcript)
        }
        Task::Conformance(options) => conformance::run(&options),
        Task::Cluster(options) => cluster::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Report => document::write(&Results::existing()).map(drop),
        Task::Image(options) => deployment::image(&options),
        Task::Unit(options) => deployment::unit(&options),
        Task::Docs => site::build(),
        Task::Figures => figures::write(),
        Task::BuildTime(options) => build_time::run(&options),
        Task::Instructions => instructions::run(),
        Task::Screenshots(options) => screenshots::run(&options),
        Task::Criteria(options) => criteria::run(&options),
        Task::RollingRestart(options) => rolling_restart::run(&options),
        Task::Bench(options) => bench::run(options),
    }
}
