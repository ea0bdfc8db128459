//! What was found, ticked step by step: for people while it goes on, or as JSON at the end.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use serde::Serialize;

/// Columns of a terminal that lines are wrapped at. What is no terminal gets each step in a line of its own.
const COLUMNS: usize = 80;
const LEFT_OUT_STRICTLY: u8 = 2;

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Outcome {
    Passed,
    Failed,
    LeftOut,
}

#[derive(Debug, Serialize)]
struct Step {
    step: &'static str,
    outcome: Outcome,
    text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<String>,
}

/// All there is to tell, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a> {
    passed: usize,
    failed: usize,
    left_out: usize,
    steps: &'a [Step],
}

/// How it is told.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    pub(super) is_json: bool,
    has_color: bool,
    wraps: bool,
}

impl Style {
    /// For standard output. Colour is for terminals, and not where `NO_COLOR` says so (no-color.org).
    pub(super) fn of_standard_output(is_json: bool) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { is_json, has_color: is_terminal && !is_set("NO_COLOR") && !is_dumb, wraps: is_terminal }
    }
}

/// All steps so far.
#[derive(Debug)]
pub(super) struct Report {
    style: Style,
    steps: Vec<Step>,
}

impl Report {
    pub(super) fn new(style: Style) -> Self {
        Self { style, steps: Vec::new() }
    }

    pub(super) fn passed(&mut self, step: &'static str, text: impl Into<String>) {
        self.add(Step { step, outcome: Outcome::Passed, text: text.into(), cure: None });
    }

    pub(super) fn failed(&mut self, step: &'static str, text: impl Into<String>, cure: impl Into<String>) {
        self.add(Step { step, outcome: Outcome::Failed, text: text.into(), cure: Some(cure.into()) });
    }

    pub(super) fn left_out(&mut self, step: &'static str, text: impl Into<String>, cure: impl Into<String>) {
        self.add(Step { step, outcome: Outcome::LeftOut, text: text.into(), cure: Some(cure.into()) });
    }

    fn add(&mut self, mut step: Step) {
        // What others answered is in it, and is not to steer the terminal.
        step.text = step.text.replace(char::is_control, " ");
        if !self.style.is_json {
            let is_new = self.steps.last().is_none_or(|last| last.step != step.step);
            let is_said = self.steps.last().is_some_and(|last| last.cure == step.cure);
            say(&self.style.step(&step, is_new, is_said));
        }
        self.steps.push(step);
    }

    /// Tells the end of it: exit code 0 if nothing failed, 1 if something did, 2 if nothing did and, `strictly`, something was left out.
    pub(super) fn end(self, strictly: bool) -> ExitCode {
        let count = |outcome| self.steps.iter().filter(|step| step.outcome == outcome).count();
        let (passed, failed, left_out) =
            (count(Outcome::Passed), count(Outcome::Failed), count(Outcome::LeftOut));
        if self.style.is_json {
            let whole = Whole { passed, failed, left_out, steps: &self.steps };
            say(&format!("{}\n", serde_json::to_string_pretty(&whole).unwrap_or_default()));
        } else {
            let left_out = if left_out > 0 { format!(", {left_out} left out") } else { String::new() };
            say(&format!("\n{passed} passed, {failed} failed{left_out}\n"));
        }
        match (failed, left_out) {
            (1.., _) => ExitCode::FAILURE,
            (0, 1..) if strictly => ExitCode::from(LEFT_OUT_STRICTLY),
            _ => ExitCode::SUCCESS,
        }
    }
}

impl Style {
    /// A step, under its heading if that is new, and with its cure unless the step before had the same.
    fn step(self, step: &Step, is_new: bool, is_cure_said: bool) -> String {
        let (tick, color) = match step.outcome {
            Outcome::Passed => ("✓", "32"),
            Outcome::Failed => ("✗", "31"),
            Outcome::LeftOut => ("–", "33"),
        };
        let mut lines = String::new();
        if is_new {
            lines.push_str(&format!("{}\n", self.in_color("1", step.step)));
        }
        lines.push_str(&format!("  {} {}\n", self.in_color(color, tick), self.wrapped(&step.text, 4)));
        if let Some(cure) = step.cure.as_ref().filter(|_| !is_cure_said) {
            lines.push_str(&format!("    → {}\n", self.wrapped(cure, 6)));
        }
        lines
    }

    fn in_color(self, color: &str, text: &str) -> String {
        match self.has_color {
            true => format!("\x1b[{color}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// Text in lines of which all but the first are indented.
    fn wrapped(self, text: &str, indent: usize) -> String {
        if !self.wraps {
            return text.to_owned();
        }
        let (mut wrapped, mut column) = (String::new(), indent);
        for word in text.split(' ') {
            let width = word.chars().count();
            if column > indent && column + 1 + width > COLUMNS {
                wrapped.push('\n');
                wrapped.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            } else if column > indent {
                wrapped.push(' ');
                column += 1;
            }
            wrapped.push_str(word);
            column += width;
        }
        wrapped
    }
}

/// Whoever reads this may have closed it.
pub(super) fn say(text: &str) {
    let mut output = std::io::stdout();
    _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_ticked_and_wrapped_on_a_terminal() {
        let text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
            .to_owned();
        let step = Step { step: "Redis", outcome: Outcome::Failed, text, cure: Some("cure it".to_owned()) };
        let plain = Style::default().step(&step, false, false);
        assert_eq!(plain.lines().collect::<Vec<_>>(), [&*format!("  ✗ {}", step.text), "    → cure it"]);
        let terminal = Style { is_json: false, has_color: true, wraps: true }.step(&step, true, false);
        assert!(terminal.starts_with("\x1b[1mRedis\x1b[0m\n  \x1b[31m✗\x1b[0m one two"), "{terminal}");
        let widest = terminal
            .lines()
            .map(|line| line.replace("\x1b[31m", "").replace("\x1b[0m", "").chars().count())
            .max();
        assert!(widest.is_some_and(|widest| widest <= COLUMNS), "{terminal}");
        assert!(terminal.contains("thirteen\n    fourteen fifteen\n"), "{terminal}");
    }

    #[test]
    fn the_exit_code_says_what_failed_and_strictly_what_was_left_out() {
        let code = |failed: bool, left_out: bool, strictly| {
            let mut report = Report::new(Style { is_json: true, ..Style::default() });
            report.passed("Health", "fine");
            if failed {
                report.failed("Health", "not", "cure");
            }
            if left_out {
                report.left_out("Messages", "not looked at", "key");
            }
            format!("{:?}", report.end(strictly))
        };
        let [ok, failure, two] = [0, 1, 2].map(|code| format!("{:?}", ExitCode::from(code)));
        assert_eq!([code(false, false, true), code(false, true, false)], [ok.clone(), ok]);
        assert_eq!([code(true, false, false), code(true, true, true)], [failure.clone(), failure]);
        assert_eq!(code(false, true, true), two);
    }
}
