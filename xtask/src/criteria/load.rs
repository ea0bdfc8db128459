//! The load client, as a program of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How to start it.
pub(crate) struct LoadClient(PathBuf);

/// One that runs. Killed when dropped.
pub(crate) struct Load {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl LoadClient {
    pub(crate) fn new(program: &Path) -> Self {
        Self(program.to_owned())
    }

    /// Starts a scenario against these addresses of one hub.
    pub(crate) fn start(&self, scenario: &str, urls: &[String], arguments: &[String]) -> Result<Load> {
        let (first, others) = urls.split_first().context("no address")?;
        let mut command = Command::new(&self.0);
        command.args(["--json", "--url", first, scenario]);
        command.args(others.iter().flat_map(|url| ["--other", url]));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("the load client")?;
        let output = child.stdout.take().context("its output")?;
        Ok(Load { child, lines: BufReader::new(output).lines() })
    }
}

impl Load {
    /// Waits until it says that it has reached a phase.
    pub(crate) async fn phase(&mut self, wanted: &str) -> Result<()> {
        while let Some(line) = self.lines.next_line().await? {
            if serde_json::from_str::<Value>(&line)?["phase"] == wanted {
                return Ok(());
            }
        }
        bail!("the load client ended before it was {wanted}")
    }

    /// Waits for its end and returns its report. `judge` ends with a failure and a report where something is wrong.
    pub(crate) async fn report(mut self) -> Result<Value> {
        let mut report = None;
        while let Some(line) = self.lines.next_line().await? {
            let mut line: Value = serde_json::from_str(&line)?;
            report = line.get_mut("report").map(Value::take).or(report);
        }
        let status = self.child.wait().await?;
        report.with_context(|| format!("the load client ended with {status} and no report"))
    }
}
