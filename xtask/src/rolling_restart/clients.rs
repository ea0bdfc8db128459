//! The official JavaScript clients, in a process of Node.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::node;
use crate::process::root;
use crate::transcript::Transcript;

const DIRECTORY: &str = "tests/javascript";
/// How long all of them may take to connect, and to fetch the last messages.
const PATIENCE: Duration = Duration::from_secs(60);

/// Killed when dropped.
pub(super) struct OfficialClients {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// Installs the client where that has not been done.
///
/// # Errors
/// The package registry cannot be reached.
pub(super) fn install() -> Result<()> {
    if root().join(DIRECTORY).join("node_modules/@microsoft/signalr").is_dir() {
        return Ok(());
    }
    node::install(&mut Transcript::on_standard_error())
}

impl OfficialClients {
    /// Starts them and waits until each is in its room.
    ///
    /// # Errors
    /// Node is missing, or they could not connect.
    pub(super) async fn start(url: &str, count: u32, history: &Path) -> Result<Self> {
        let mut command = Command::new("node");
        command.args(["rolling-clients.mjs", url, &count.to_string()]).arg(history);
        command.current_dir(root().join(DIRECTORY)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().context("node")?;
        let output = child.stdout.take().context("its output")?;
        let mut clients = Self { child, lines: BufReader::new(output).lines() };
        match timeout(PATIENCE, clients.lines.next_line())
            .await
            .context("the official clients do not connect")??
        {
            Some(_) => Ok(clients),
            None => bail!("the official clients ended before they were connected"),
        }
    }

    /// Has them fetch what is left, write their history, and end.
    ///
    /// # Errors
    /// They do not.
    pub(super) async fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status =
            timeout(PATIENCE, self.child.wait()).await.context("the official clients do not end")??;
        ensure!(status.success(), "the official clients ended with {status}");
        Ok(())
    }
}
