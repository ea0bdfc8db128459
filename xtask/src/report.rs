//! Runs steps, and summarizes their results.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Error, Result, bail};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::counts::Counts;
use crate::failures::Failure;
use crate::transcript::Transcript;

/// Steps that run at the same time, at most.
const AT_ONCE: usize = 2;
/// Failed tests whose messages are repeated at the end, at most; all are named.
const ACCOUNTS: usize = 10;

type Run<'a> = dyn FnOnce(&mut Transcript) -> Result<()> + Send + 'a;

/// Something to run, which counts its tests as it goes.
pub(crate) struct Step<'a> {
    name: &'static str,
    run: Box<Run<'a>>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(
        name: &'static str,
        run: impl FnOnce(&mut Transcript) -> Result<()> + Send + 'a,
    ) -> Self {
        Self { name, run: Box::new(run) }
    }

    /// Runs it, and sends its lines and then its outcome.
    fn run(self, events: &Sender<Event>) {
        let lines = events.clone();
        let mut transcript = Transcript::new(move |line| tell(&lines, Event::Line(line.to_owned())));
        let started = Instant::now();
        let run = AssertUnwindSafe(|| (self.run)(&mut transcript));
        let error = catch_unwind(run).unwrap_or_else(|_| bail!("it panicked")).err();
        if let Some(error) = &error {
            transcript.line(format!("{}: {error:#}", self.name));
            // What broke before it could count is a failure too.
            transcript.counts.failed = transcript.counts.failed.max(1);
        }
        let (took, counts) = (started.elapsed(), transcript.counts);
        let failures = transcript.into_failures(self.name);
        tell(events, Event::Ended(Outcome { name: self.name, took, counts, error, failures }));
    }
}

fn tell(events: &Sender<Event>, event: Event) {
    // The receiver listens until the step has ended.
    let _ = events.send(event);
}

enum Event {
    Line(String),
    Ended(Outcome),
}

#[derive(Debug)]
struct Outcome {
    name: &'static str,
    took: Duration,
    counts: Counts,
    error: Option<Error>,
    failures: Vec<Failure>,
}

/// The steps so far. A step that fails does not keep the next ones from running.
#[derive(Debug)]
pub(crate) struct Report {
    started: Instant,
    outcomes: Vec<Outcome>,
}

impl Report {
    pub(crate) fn begin() -> Self {
        Self { started: Instant::now(), outcomes: Vec::new() }
    }

    /// Runs steps of which none needs another, two at once, begun in this order. Each one's output is printed whole: as it
    /// comes once all before it have ended.
    pub(crate) fn group<'a>(&mut self, steps: impl IntoIterator<Item = Step<'a>>) {
        let (mut queue, mut receivers) = (VecDeque::new(), Vec::new());
        for step in steps {
            let (sender, receiver) = mpsc::channel();
            receivers.push((step.name, receiver));
            queue.push_back((step, sender));
        }
        let queue = Mutex::new(queue);
        let next = || queue.lock().pop_front();
        thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some((step, events)) = next() {
                        step.run(&events);
                    }
                });
            }
            self.outcomes.extend(receivers.iter().map(|(name, events)| print(name, events)));
        });
    }

    pub(crate) fn passed(&self) -> bool {
        self.outcomes.iter().all(|step| step.counts.failed == 0)
    }
}

/// Prints the lines of a step until it has ended.
fn print(name: &str, events: &Receiver<Event>) -> Outcome {
    println!("\n== {name}");
    let mut ended = events.iter().filter_map(|event| match event {
        Event::Line(line) => {
            println!("{line}");
            None
        }
        Event::Ended(outcome) => Some(outcome),
    });
    ended.next().expect("a step tells how it ended, even by a panic")
}

/// The output of failed tests, a line for each step, the time of the whole run, the names of what failed, and last the sum.
impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut total = Counts::default();
        let failures = || self.outcomes.iter().flat_map(|step| &step.failures);
        failures().take(ACCOUNTS).try_for_each(|failure| writeln!(out, "{failure}\n"))?;
        for step in &self.outcomes {
            let verdict = if step.counts.failed == 0 { "ok" } else { "FAILED" };
            let seconds = step.took.as_secs();
            write!(out, "{:<20} {verdict:<6} {seconds:>4} s  {}", step.name, step.counts)?;
            match &step.error {
                Some(error) => writeln!(out, ": {error:#}")?,
                None => writeln!(out)?,
            }
            total += step.counts;
        }
        writeln!(out, "{:<27} {:>4} s", "from beginning to end", self.started.elapsed().as_secs())?;
        for step in &self.outcomes {
            step.failures
                .iter()
                .try_for_each(|failure| writeln!(out, "FAILED {}: {}", step.name, failure.name))?;
        }
        write!(out, "{} passed, {} failed", total.passed, total.failed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::failures::Format;

    #[test]
    fn a_step_that_breaks_counts_as_failed() {
        let mut report = Report::begin();
        let good = Step::new("good", |transcript| {
            transcript.counts += Counts { passed: 3, failed: 0, skipped: 1 };
            Ok(())
        });
        report.group([good]);
        assert!(report.passed());
        report.group([Step::new("bad", |_| bail!("no compiler"))]);
        assert!(!report.passed());
        let text = report.to_string();
        assert!(
            text.contains("bad                  FAILED    0 s  0 passed, 1 failed, 0 skipped: no compiler")
        );
        assert_eq!(text.lines().last(), Some("3 passed, 1 failed"));
    }

    #[test]
    fn failed_tests_are_named_below_the_steps_and_some_told_above() {
        let mut report = Report::begin();
        report.group([
            Step::new("cases", |transcript| {
                for number in 0..ACCOUNTS + 1 {
                    transcript.judged(&format!("FAIL limits/{number}: got {number}"), Format::Cases);
                }
                transcript.judged("5 passed, 11 failed, 0 skipped", Format::Cases);
                bail!("Node ended")
            }),
            Step::new("npm ci", |transcript| {
                transcript.line("no such package");
                bail!("npm ended")
            }),
        ]);
        let text = report.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..2], ["---- limits/0", "got 0"]);
        assert!(lines.contains(&"got 9") && !lines.contains(&"got 10"), "{text}");
        let names = &lines[lines.len() - 4..];
        let expected = [
            "FAILED cases: limits/9",
            "FAILED cases: limits/10",
            "FAILED npm ci: npm ci",
            "5 passed, 12 failed",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_step_that_names_no_test_is_told_by_its_last_lines() {
        let mut report = Report::begin();
        report.group([Step::new("npm ci", |transcript| {
            transcript.line("no such package");
            bail!("npm ended")
        })]);
        assert!(report.to_string().starts_with("---- npm ci\nno such package\nnpm ci: npm ended\n"));
    }

    #[test]
    fn two_steps_of_a_group_run_at_once_and_are_told_in_their_order() {
        let both = Barrier::new(2);
        let mut report = Report::begin();
        report.group([
            Step::new("first", |_| {
                both.wait();
                Ok(())
            }),
            Step::new("second", |transcript| {
                both.wait();
                transcript.counts.passed = 1;
                bail!("it breaks")
            }),
            Step::new("third", |transcript| {
                transcript.counts.passed = 2;
                Ok(())
            }),
        ]);
        // In the order of the group, whichever ended first.
        let told: Vec<_> = report.outcomes.iter().map(|step| (step.name, step.counts.passed)).collect();
        assert_eq!(told, [("first", 0), ("second", 1), ("third", 2)]);
        assert!(!report.passed());
    }

    #[test]
    fn a_group_begins_when_the_one_before_has_ended() {
        let (sender, receiver) = mpsc::channel();
        let mut report = Report::begin();
        for group in [["a", "b", "c"], ["d", "e", "f"]] {
            report.group(group.map(|name| {
                let sender = sender.clone();
                Step::new(name, move |_| Ok(sender.send(name)?))
            }));
        }
        let order: Vec<_> = receiver.try_iter().collect();
        let (mut before, mut after) = (order[..3].to_vec(), order[3..].to_vec());
        before.sort_unstable();
        after.sort_unstable();
        assert_eq!((before, after), (vec!["a", "b", "c"], vec!["d", "e", "f"]));
    }
}
