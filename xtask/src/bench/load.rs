//! Runs the load client as its own process, so that its memory and CPU are not the server's.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::owned_child::OwnedChild;

/// What the load client reported at the end.
#[derive(Debug)]
pub(super) struct Report(Value);

impl Report {
    pub(super) fn number(&self, path: &str) -> Result<f64> {
        let value = path.split('.').fold(&self.0, |value, key| &value[key]);
        value.as_f64().with_context(|| format!("the load client's report has no number {path}"))
    }

    /// # Errors
    /// One of these counts is not zero: what was measured is not what was asked for.
    pub(super) fn ensure_none(&self, counts: &[&str]) -> Result<()> {
        for count in counts {
            if self.number(count)? != 0.0 {
                bail!("{count} is not 0 in {}", self.0);
            }
        }
        Ok(())
    }
}

/// Runs one scenario; `at` is called with each phase's name while the load client pauses.
pub(super) fn run(
    program: &Path,
    arguments: &[String],
    mut at: impl FnMut(&str) -> Result<()>,
) -> Result<Report> {
    let child = Command::new(program)
        .arg("--json")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    let mut child = OwnedChild(child);
    let output = child.0.stdout.take().context("no standard output")?;
    let mut report = None;
    for line in BufReader::new(output).lines() {
        let mut line: Value = serde_json::from_str(&line?)?;
        match line["phase"].as_str() {
            Some(phase) => at(phase)?,
            None => report = Some(Report(line["report"].take())),
        }
    }
    let mut errors = String::new();
    if let Some(mut stderr) = child.0.stderr.take() {
        stderr.read_to_string(&mut errors)?;
    }
    if !child.0.wait()?.success() {
        bail!("load client: {}", errors.trim());
    }
    report.context("the load client ended without a report")
}
