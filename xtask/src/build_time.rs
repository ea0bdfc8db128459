//! `cargo xtask build-time`: what a clean release build of the program costs.

use std::fs;

use anyhow::{Context, Result, ensure};
use tokio::time::Instant;

use crate::figures;
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
}

/// # Errors
/// It does not build, or takes more than is stated.
pub(crate) fn run(options: &Options) -> Result<()> {
    let place = root().join("target/build-time");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    let (began, before) = (Instant::now(), cpu_seconds_of_children()?);
    run_command(
        cargo()
            .args(["build", "--release", "--package", "hubline-server", "--bin", "hubline"])
            .arg("--target-dir")
            .arg(&place),
    )?;
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds_of_children()? - before);
    fs::remove_dir_all(&place)?;
    let processors = std::thread::available_parallelism()?.get();
    let stated = figures::build_cpu_seconds()?;
    println!(
        "a clean release build of hubline: {cpu:.0} CPU seconds ({stated:.0} stated), {seconds:.0} s on {processors} processors"
    );
    if options.write {
        return figures::set_build(cpu, seconds, processors);
    }
    ensure!(
        cpu <= stated * TOLERATED,
        "that is more than 15 % over what is stated: find out what has grown (cargo build --timings), or state it with --write"
    );
    Ok(())
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
