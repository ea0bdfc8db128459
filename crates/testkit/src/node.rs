use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};

use crate::stream;

/// Runs JavaScript in Node, where the official client lives.
#[derive(Debug)]
pub struct Node {
    command: Command,
}

impl Node {
    /// A program of JavaScript.
    pub fn script(file: impl AsRef<Path>) -> Self {
        let mut command = Command::new("node");
        command.arg(file.as_ref());
        Self { command }
    }

    /// Node's own test runner, on every test file under a directory.
    pub fn tests(directory: impl AsRef<Path>) -> Self {
        let mut command = Command::new("node");
        command.args(["--test", "--test-reporter=spec"]);
        Self { command }.directory(directory)
    }

    /// Runs it in this directory.
    #[must_use]
    pub fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end. Each line of its standard output and of its standard error goes to `line` as it comes.
    ///
    /// # Errors
    /// Node is not installed.
    pub fn run(mut self, line: impl FnMut(&str)) -> Result<ExitStatus> {
        stream(&mut self.command, line).context("Node 20 or newer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_over_lines_and_status() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("hello.mjs");
        let program = "console.log(process.env.WHO); console.log(process.argv[2]); process.exit(3)";
        std::fs::write(&file, program)?;
        let mut lines = Vec::new();
        let status =
            Node::script(&file).args(["x"]).env("WHO", "ada").run(|line| lines.push(line.to_owned()))?;
        assert_eq!(lines, ["ada", "x"]);
        assert_eq!(status.code(), Some(3));
        Ok(())
    }
}
