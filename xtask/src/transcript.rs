//! What a step prints and counts.

use std::fmt;
use std::process::{Command, ExitStatus};

use anyhow::{Result, ensure};
use hubline_testkit::stream;

use crate::counts::Counts;

/// Takes the lines of a step, its programs' among them, so that steps which run at the same time can be told apart.
pub(crate) struct Transcript {
    print: Box<dyn FnMut(&str) + Send>,
    pub(crate) counts: Counts,
}

impl Transcript {
    /// Hands each line to `print`.
    pub(crate) fn new(print: impl FnMut(&str) + Send + 'static) -> Self {
        Self { print: Box::new(print), counts: Counts::default() }
    }

    /// For what runs alone: lines go to standard output.
    pub(crate) fn on_standard_output() -> Self {
        Self::new(|line| println!("{line}"))
    }

    /// For what runs alone and prints a result: lines go to standard error.
    pub(crate) fn on_standard_error() -> Self {
        Self::new(|line| eprintln!("{line}"))
    }

    pub(crate) fn line(&mut self, line: impl AsRef<str>) {
        (self.print)(line.as_ref());
    }

    /// Takes a line of a test program, and what it counts.
    pub(crate) fn judged(&mut self, line: &str, count: fn(&str) -> Option<Counts>) {
        self.line(line);
        if let Some(more) = count(line) {
            self.counts += more;
        }
    }

    /// Runs a test program; `count` reads its summaries.
    ///
    /// # Errors
    /// It is not there, or fails.
    pub(crate) fn judge(&mut self, command: &mut Command, count: fn(&str) -> Option<Counts>) -> Result<()> {
        let status = stream(command, |line| self.judged(line, count))?;
        succeeded(command, status)
    }

    /// Runs a program for its effect.
    ///
    /// # Errors
    /// It is not there, or fails.
    pub(crate) fn run(&mut self, command: &mut Command) -> Result<()> {
        let status = stream(command, |line| self.line(line))?;
        succeeded(command, status)
    }
}

fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    ensure!(status.success(), "{} ended with {status}", command.get_program().display());
    Ok(())
}

impl fmt::Debug for Transcript {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Transcript").field("counts", &self.counts).finish_non_exhaustive()
    }
}
