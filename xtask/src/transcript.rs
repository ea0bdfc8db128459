//! The output and the counts of a step.

use std::collections::VecDeque;
use std::fmt;
use std::process::{Command, ExitStatus};

use anyhow::{Result, ensure};
use hubline_testkit::stream;

use crate::counts::Counts;
use crate::failures::{Failure, Failures, Format};

/// Takes the lines of a step, its programs' among them, so that steps which run at the same time can be told apart.
pub(crate) struct Transcript {
    print: Box<dyn FnMut(&str) + Send>,
    pub(crate) counts: Counts,
    failures: Failures,
    /// The last lines.
    last: VecDeque<String>,
}

impl Transcript {
    /// Hands each line to `print`.
    pub(crate) fn new(print: impl FnMut(&str) + Send + 'static) -> Self {
        Self {
            print: Box::new(print),
            counts: Counts::default(),
            failures: Failures::default(),
            last: VecDeque::new(),
        }
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
        if self.last.len() == Failure::SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(line.as_ref().to_owned());
    }

    /// Takes a line of a test program, with what it counts and which failures it tells.
    pub(crate) fn judged(&mut self, line: &str, format: Format) {
        self.line(line);
        self.failures.read(line, format);
        if let Some(more) = format.counts(line) {
            self.counts += more;
        }
    }

    /// Adds a failure of this name, with the last lines as its output.
    pub(crate) fn failed(&mut self, name: &str) {
        self.failures.add(Failure::new(name, self.last.iter().cloned().collect()));
    }

    /// The failures of the step of this name: the tests that its output named, or the step itself.
    pub(crate) fn into_failures(mut self, step: &str) -> Vec<Failure> {
        if self.failures.is_empty() && self.counts.failed > 0 {
            self.failed(step);
        }
        self.failures.into_list()
    }

    /// Runs a test program that prints in this format.
    ///
    /// # Errors
    /// It is not there, or fails.
    pub(crate) fn judge(&mut self, command: &mut Command, format: Format) -> Result<()> {
        let status = stream(command, |line| self.judged(line, format))?;
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
