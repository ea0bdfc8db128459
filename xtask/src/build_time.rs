//! `cargo xtask build-time`: what a clean release build of the program costs.

use std::ffi::OsStr;
use std::fs;

use anyhow::{Context, Result, ensure};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::build_size::BuildSize;
use crate::figures::{self, MeasuredBuild};
use crate::process::{cargo, root, run as run_command};

/// `/proc` counts in hundredths of a second, on every Linux that Rust builds for.
const TICKS_PER_SECOND: f64 = 100.0;

/// How much more than stated is found worth looking at: the seconds vary by less between two runs on a quiet machine.
const TOLERATED: f64 = 1.15;

/// Builds the program from nothing in a directory of its own, and prints what that cost; fails if it is 15 % more than README.md says
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Writes what was measured to docs/performance.json and README.md
    #[arg(long)]
    write: bool,
    /// Leaves what was built in target/build-time
    #[arg(long)]
    keep: bool,
}

/// # Errors
/// It does not build, or takes more than is stated.
pub(crate) fn run(options: &Options) -> Result<()> {
    let place = root().join("target/build-time");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    let (began, before) = (Instant::now(), cpu_seconds_of_children()?);
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--package", "hubline-server", "--bin", "hubline"]);
    // As somebody builds it who has set nothing.
    for (name, _) in std::env::vars_os().filter(|(name, _)| changes_builds(name)) {
        build.env_remove(name);
    }
    run_command(build.arg("--target-dir").arg(&place))?;
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds_of_children()? - before);
    if !options.keep {
        fs::remove_dir_all(&place)?;
    }
    let processors = std::thread::available_parallelism()?.get();
    let size = BuildSize::measure()?;
    let stated = figures::build_cpu_seconds()?;
    println!(
        "a clean release build of hubline: {cpu:.0} CPU seconds ({stated:.0} stated), {seconds:.0} s on {processors} processors; {size}"
    );
    if options.write {
        let date = OffsetDateTime::now_utc().date().to_string();
        return figures::set_build(&MeasuredBuild { cpu_seconds: cpu, seconds, processors, date, size });
    }
    ensure!(
        cpu <= stated * TOLERATED,
        "that is more than 15 % over what is stated: find out what has grown (cargo build --timings), or state it with --write"
    );
    Ok(())
}

/// Variables of cargo and rustc which this process may have, and that change what a build does.
fn changes_builds(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    ["CARGO_PROFILE_", "CARGO_BUILD_"].iter().any(|prefix| name.starts_with(prefix))
        || ["CARGO_INCREMENTAL", "RUSTFLAGS", "RUSTC_WRAPPER"].contains(&&*name)
}

/// CPU time of all children that have ended, theirs included.
fn cpu_seconds_of_children() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    children_ticks(&stat)
        .map(|ticks| ticks / TICKS_PER_SECOND)
        .context("no cutime and cstime in /proc/self/stat")
}

/// `cutime` and `cstime`, fields 16 and 17; the name in field 2 may hold spaces.
fn children_ticks(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_ascii_whitespace().skip(13);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_children_are_read() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 1300 14 15 16 17";
        assert_eq!(children_ticks(stat), Some(1314.0));
        assert_eq!(children_ticks("7 (a"), None);
    }
}
