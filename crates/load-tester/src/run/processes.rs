//! Starts the processes of a run, has them begin and end each step together, and merges their reports.

use std::io::BufReader;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};

use crate::report::model::{Outcome, Step};
use crate::report::{Errors, Report};
use crate::run::company::{Answered, Found, Told, read, write};
use crate::run::shared::micros;

/// Until the last process has heard when it begins.
const AHEAD: Duration = Duration::from_millis(500);

/// Killed when dropped.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `count` processes to their end; blocks.
///
/// # Errors
/// One of them could not be started, or ended early; it has said why.
pub(crate) fn conduct(count: u32, mark: u32, notes: Vec<String>) -> anyhow::Result<Report> {
    let mut processes = Vec::new();
    for index in 0..count {
        processes.push(Process::start(index, count, mark)?);
    }
    let mut reports = Vec::new();
    while reports.is_empty() {
        let mut told = Vec::new();
        for process in &mut processes {
            told.push(read::<Told>(&mut process.output).context("a process of the run has ended early")?);
        }
        reports = answer(&mut processes, told)?;
    }
    merged(reports, notes).context("no process has reported")
}

/// Answers what all have told; returns their reports if these are it.
fn answer(processes: &mut [Process], told: Vec<Told>) -> anyhow::Result<Vec<Report>> {
    let mut all = Found::default();
    let mut reports = Vec::new();
    let mut is_start = Vec::new();
    for told in told {
        is_start.push(matches!(told, Told::Connected { .. }));
        match told {
            Told::Connected { .. } => {}
            Told::Found(found) => {
                all.origins.merge(found.origins);
                all.states.merge(&found.states);
            }
            Told::Report(report) => reports.push(*report),
        }
    }
    if !reports.is_empty() {
        if reports.len() != processes.len() {
            bail!("the processes of the run are not at the same step");
        }
        return Ok(reports);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let start = Answered::Start(micros(now + AHEAD));
    let found = Answered::Found(Box::new(all));
    for (process, is_start) in processes.iter_mut().zip(is_start) {
        write(&mut process.input, if is_start { &start } else { &found })?;
    }
    Ok(Vec::new())
}

impl Process {
    fn start(index: u32, of: u32, mark: u32) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("the program does not find itself")?;
        let mut child = Command::new(program)
            .args(std::env::args_os().skip(1))
            .arg(format!("--part={index}/{of}/{mark}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a process of the run cannot be started")?;
        let input = child.stdin.take().context("no standard input")?;
        let output = child.stdout.take().context("no standard output")?;
        Ok(Self { child, input, output: BufReader::new(output) })
    }
}

/// One report of several; the processes measured the same steps.
fn merged(reports: Vec<Report>, notes: Vec<String>) -> Option<Report> {
    let mut reports = reports.into_iter();
    let mut all = reports.next()?;
    let mut errors = Errors::default();
    errors.merge(std::mem::take(&mut all.errors));
    let mut warnings = notes;
    warnings.append(&mut all.warnings);
    for report in reports {
        all.seconds = all.seconds.max(report.seconds);
        all.verdict.merge(&report.verdict);
        for (step, other) in all.steps.iter_mut().zip(&report.steps) {
            Step::merge(step, other);
        }
        for fault in report.faults {
            match all.faults.iter_mut().find(|known| known.name == fault.name) {
                Some(known) => {
                    known.count += fault.count;
                    known.lost += fault.lost;
                    known.recovery.add(&fault.recovery);
                }
                None => all.faults.push(fault),
            }
        }
        if report.outcome == Outcome::Interrupted {
            all.outcome = Outcome::Interrupted;
        }
        errors.merge(report.errors);
        all.own.merge(&report.own);
        for warning in report.warnings {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }
    for step in &mut all.steps {
        step.series.drop_histograms();
    }
    (all.errors, all.warnings) = (errors.groups(), warnings);
    Some(all)
}
