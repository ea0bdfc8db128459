//! What a run of several steps came to.

use std::fmt;
use std::time::Duration;

use anyhow::{Error, Result};
use tokio::time::Instant;

use crate::counts::Counts;

#[derive(Debug)]
struct Step {
    name: &'static str,
    took: Duration,
    counts: Counts,
    error: Option<Error>,
}

/// The steps so far. A step that fails does not keep the next ones from running.
#[derive(Debug, Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

impl Report {
    /// Runs a step, which counts its tests as it goes.
    pub(crate) fn step(&mut self, name: &'static str, run: impl FnOnce(&mut Counts) -> Result<()>) {
        println!("\n== {name}");
        let started = Instant::now();
        let mut counts = Counts::default();
        let error = run(&mut counts).err();
        if let Some(error) = &error {
            println!("{name}: {error:#}");
            // What broke before it could count is a failure too.
            counts.failed = counts.failed.max(1);
        }
        let took = started.elapsed();
        self.steps.push(Step { name, took, counts, error });
    }

    pub(crate) fn passed(&self) -> bool {
        self.steps.iter().all(|step| step.counts.failed == 0)
    }
}

/// A line for each step, and last the sum.
impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut total = Counts::default();
        for step in &self.steps {
            let verdict = if step.counts.failed == 0 { "ok" } else { "FAILED" };
            let seconds = step.took.as_secs();
            write!(out, "{:<20} {verdict:<6} {seconds:>4} s  {}", step.name, step.counts)?;
            match &step.error {
                Some(error) => writeln!(out, ": {error:#}")?,
                None => writeln!(out)?,
            }
            total += step.counts;
        }
        write!(out, "{} passed, {} failed", total.passed, total.failed)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_step_that_breaks_counts_as_failed() {
        let mut report = Report::default();
        report.step("good", |counts| {
            *counts += Counts { passed: 3, failed: 0, skipped: 1 };
            Ok(())
        });
        assert!(report.passed());
        report.step("bad", |_| bail!("no compiler"));
        assert!(!report.passed());
        let text = report.to_string();
        assert!(
            text.contains("bad                  FAILED    0 s  0 passed, 1 failed, 0 skipped: no compiler")
        );
        assert_eq!(text.lines().last(), Some("3 passed, 1 failed"));
    }
}
