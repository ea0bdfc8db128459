//! The fuzz targets of `fuzz/`, each for a bounded time.
//!
//! `fuzz/` is laid out as cargo-fuzz expects it, but needs neither cargo-fuzz nor a nightly compiler: the
//! coverage that libFuzzer steers by comes from flags that a stable compiler has (`fuzz/.cargo/config.toml`).

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::build::Programs;
use crate::process::{cargo, root};
use crate::transcript::Transcript;

/// How long to fuzz.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Runs every target.
///
/// # Errors
/// [`build`] or [`targets`] fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut transcript = Transcript::on_standard_output();
    let programs = build(cargo(), &mut transcript)?;
    targets(&programs, options.seconds, &mut transcript)
}

/// Builds every target with this cargo.
///
/// # Errors
/// They do not compile.
pub(crate) fn build(mut cargo: Command, transcript: &mut Transcript) -> Result<Programs> {
    // From there, because the flags are in its configuration.
    cargo.current_dir(root().join("fuzz"));
    cargo.args(["build", "--release", "--bins", "--target-dir=../target/fuzz"]);
    Programs::from_cargo(&mut cargo, transcript)
}

/// Runs every target for this many seconds, from its committed corpus on. New inputs go under `target/`,
/// an input that breaks something to `fuzz/artifacts`.
///
/// # Errors
/// One found something.
pub(crate) fn targets(programs: &Programs, seconds: u32, transcript: &mut Transcript) -> Result<()> {
    let mut failed = Vec::new();
    for (name, program) in programs.iter() {
        match fuzz(name, program, seconds, transcript) {
            Ok(()) => transcript.counts.passed += 1,
            Err(error) => {
                transcript.line(format!("{name}: {error:#}"));
                transcript.counts.failed += 1;
                transcript.failed(name);
                failed.push(name);
            }
        }
    }
    ensure!(failed.is_empty(), "fuzz targets that found something: {failed:?}");
    ensure!(transcript.counts.passed > 0, "no target was built");
    Ok(())
}

fn fuzz(name: &str, program: &Path, seconds: u32, transcript: &mut Transcript) -> Result<()> {
    transcript.line(format!("fuzzing {name} for {seconds} s"));
    let found = root().join("target/fuzz/corpus").join(name);
    let artifacts = root().join("fuzz/artifacts").join(name);
    let committed = root().join("fuzz/corpus").join(name);
    for directory in [&found, &artifacts] {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    let mut command = Command::new(program);
    command.arg(&found);
    if committed.exists() {
        command.arg(&committed);
    }
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    transcript.run(command.args(["-timeout=10", "-rss_limit_mb=2048", "-verbosity=0"]))
}
