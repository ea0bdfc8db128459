//! Failed tests and their output, read from what test programs print.

use std::fmt;

use crate::counts::Counts;

/// A test that failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Its name in the words of its program, with the test file where the name alone does not say it.
    pub(crate) name: String,
    /// What its program printed about it; may be empty.
    account: Vec<String>,
}

impl Failure {
    /// Lines of an account that are shown.
    pub(crate) const SHOWN: usize = 40;

    pub(crate) fn new(name: impl Into<String>, account: Vec<String>) -> Self {
        Self { name: name.into(), account }
    }

    /// The lines to show: from the beginning, or from the panic on if that would be cut off.
    fn shown(&self) -> &[String] {
        let panic = self.account.iter().position(|line| line.contains(" panicked at "));
        let from = panic.filter(|_| self.account.len() > Self::SHOWN).unwrap_or(0);
        let lines = &self.account[from..];
        &lines[..lines.len().min(Self::SHOWN)]
    }
}

/// The name, and below it what was told.
impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "---- {}", self.name)?;
        self.shown().iter().try_for_each(|line| write!(out, "\n{line}"))
    }
}

/// How a test program prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `cargo test`.
    Cargo,
    /// The runner of the recorded cases, its comparison with the real server, and the Autobahn suite.
    Cases,
    /// Node's test runner, reporter `spec`.
    Node,
    /// Python's `unittest`, with a summary like that of [`Cases`](Self::Cases).
    Python,
}

impl Format {
    /// What a line counts, if it is one of the summary.
    pub(crate) fn counts(self, line: &str) -> Option<Counts> {
        match self {
            Self::Cargo | Self::Cases | Self::Python => Counts::summary(line),
            Self::Node => Counts::node(line),
        }
    }
}

/// The failures in the lines so far.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    list: Vec<Failure>,
    /// The failure that the next lines tell of.
    open: Option<usize>,
    /// Where the next failure is: the test program of cargo that runs, the line in Node's list.
    place: String,
}

impl Failures {
    /// Reads the next line of a program.
    pub(crate) fn read(&mut self, line: &str, format: Format) {
        match format {
            Format::Cargo => self.cargo(line),
            Format::Cases => self.cases(line),
            Format::Node => self.node(line),
            Format::Python => self.python(line),
        }
    }

    /// Adds a failure that no line tells.
    pub(crate) fn add(&mut self, failure: Failure) {
        self.list.push(failure);
        self.open = None;
    }

    /// All of them, in the order in which they were told.
    pub(crate) fn into_list(mut self) -> Vec<Failure> {
        for Failure { account, .. } in &mut self.list {
            let blank = account.iter().rev().take_while(|line| line.trim().is_empty()).count();
            account.truncate(account.len() - blank);
        }
        self.list
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn begin(&mut self, name: impl Into<String>) {
        self.open = Some(self.list.len());
        self.list.push(Failure::new(name, Vec::new()));
    }

    fn go_on(&mut self, line: &str) {
        if let Some(failure) = self.open.and_then(|open| self.list.get_mut(open)) {
            failure.account.push(line.to_owned());
        }
    }

    /// Names come as tests fail, their output when the test program has ended.
    fn cargo(&mut self, line: &str) {
        if let Some(binary) = running(line) {
            self.open = None;
            binary.clone_into(&mut self.place);
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            let name = name.trim_end_matches(" - should panic");
            self.add(Failure::new(format!("{name} in {}", self.place), Vec::new()));
        } else if let Some(name) =
            line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"))
        {
            let name = format!("{name} in {}", self.place);
            self.open =
                self.list.iter().position(|failure| failure.name == name && failure.account.is_empty());
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.open = None;
        } else if line.trim_start().starts_with("process didn't exit successfully: ") {
            // By a signal: the tests that it took along are nowhere named.
            self.add(Failure::new(&self.place, vec![line.to_owned()]));
        } else {
            self.go_on(line);
        }
    }

    /// A line for each, and a stack trace below those that the runner itself is to blame for.
    fn cases(&mut self, line: &str) {
        if let Some(failure) = line.strip_prefix("FAIL ") {
            let (name, account) = failure.split_once(": ").unwrap_or((failure, ""));
            self.begin(name);
            self.go_on(account);
        } else if line.starts_with(char::is_whitespace) {
            self.go_on(line);
        } else {
            self.open = None;
        }
    }

    /// Each failure comes twice: where it happens, and in a list at the end, which leaves out the suites around it.
    fn node(&mut self, line: &str) {
        let trimmed = line.trim_start();
        if line == "✖ failing tests:" {
            self.list.clear();
            self.open = None;
        } else if let Some(place) = line.strip_prefix("test at ") {
            self.open = None;
            place.clone_into(&mut self.place);
        } else if let Some(name) = trimmed.strip_prefix("✖ ") {
            let place = if self.place.is_empty() { String::new() } else { format!(" at {}", self.place) };
            self.begin(format!("{name}{place}"));
        } else if trimmed.starts_with(['✔', '▶', '﹣', 'ℹ']) {
            self.open = None;
        } else {
            self.go_on(line);
        }
    }

    fn python(&mut self, line: &str) {
        let ruler = |of: char| line.len() > 60 && line.chars().all(|character| character == of);
        if let Some(name) = line.strip_prefix("FAIL: ").or_else(|| line.strip_prefix("ERROR: ")) {
            self.begin(name);
        } else if ruler('=') || line.starts_with("Ran ") {
            self.open = None;
        } else if !ruler('-') {
            self.go_on(line);
        }
    }
}

/// The test program that cargo begins with this line, without the hash in its name.
fn running(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if let Some(documented) = line.strip_prefix("Doc-tests ") {
        return Some(documented);
    }
    let (_, path) = line.strip_prefix("Running ")?.strip_suffix(')')?.rsplit_once('/')?;
    Some(path.rsplit_once('-').map_or(path, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, output: &str) -> Vec<(String, String)> {
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.read(line, format));
        let list = failures.into_list().into_iter();
        list.map(|Failure { name, account }| (name, account.join("\n"))).collect()
    }

    fn told(name: &str, account: &str) -> (String, String) {
        (name.to_owned(), account.to_owned())
    }

    #[test]
    fn cargo_names_a_test_and_then_its_output() {
        let output = "     Running unittests src/lib.rs (target/debug/deps/hubline_hub-15c170ae681309a3)

running 3 tests
test fine ... ok
test router::bad ... FAILED
test router::calm - should panic ... FAILED

failures:

---- router::bad stdout ----
printed

thread 'router::bad' (16714) panicked at src/lib.rs:2:52:
assertion `left == right` failed

---- router::calm stdout ----
note: test did not panic as expected at src/lib.rs:3:28

failures:
    router::bad
    router::calm

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.09s

error: test failed, to rerun pass `-p hubline-hub --lib`
     Running tests/calls.rs (target/debug/deps/calls-0a)
error: test failed, to rerun pass `-p hubline-hub --test calls`

Caused by:
  process didn't exit successfully: `target/debug/deps/calls-0a` (signal: 6, SIGABRT)
   Doc-tests hubline_hub
test src/lib.rs - doc (line 5) ... FAILED
---- src/lib.rs - doc (line 5) stdout ----
Test executable failed (exit status: 101).
";
        let bad = "printed\n\nthread 'router::bad' (16714) panicked at src/lib.rs:2:52:\n\
                   assertion `left == right` failed";
        let killed = "  process didn't exit successfully: `target/debug/deps/calls-0a` (signal: 6, SIGABRT)";
        let expected = [
            told("router::bad in hubline_hub", bad),
            told("router::calm in hubline_hub", "note: test did not panic as expected at src/lib.rs:3:28"),
            told("calls", killed),
            told("src/lib.rs - doc (line 5) in hubline_hub", "Test executable failed (exit status: 101)."),
        ];
        assert_eq!(read(Format::Cargo, output), expected);
    }

    #[test]
    fn tests_of_one_name_in_two_programs_keep_their_own_output() {
        let run = |binary: &str| {
            format!(
                "     Running tests/{binary}.rs (target/debug/deps/{binary}-0a)\ntest same ... FAILED\n\
                 ---- same stdout ----\nof {binary}\n"
            )
        };
        let output = run("one") + &run("two");
        let expected = [told("same in one", "of one"), told("same in two", "of two")];
        assert_eq!(read(Format::Cargo, &output), expected);
    }

    #[test]
    fn a_case_fails_in_one_line_or_with_a_stack_trace() {
        let output = "FAIL limits/one: step 3: got {}\nFAIL limits/two: TypeError: c is undefined
    at one (runner.mjs:3)
exceptions: 3, better
10 passed, 2 failed, 3 skipped";
        let expected = [
            told("limits/one", "step 3: got {}"),
            told("limits/two", "TypeError: c is undefined\n    at one (runner.mjs:3)"),
        ];
        assert_eq!(read(Format::Cases, output), expected);
    }

    #[test]
    fn node_lists_what_failed_at_the_end() {
        let output = "▶ suite one
  ✖ inner fails (0.2ms)
    Error: boom
        at a.test.mjs:5:63

  ✔ inner ok (0.2ms)
✖ suite one (0.8ms)
ℹ tests 2
";
        let list = "
✖ failing tests:

test at a.test.mjs:5:31
✖ inner fails (0.2ms)
  Error: boom
      at a.test.mjs:5:63

test at a.test.mjs:6:1
✖ top fails (1ms)
  'test failed'
";
        let inner = told("inner fails (0.2ms) at a.test.mjs:5:31", "  Error: boom\n      at a.test.mjs:5:63");
        let expected = [inner, told("top fails (1ms) at a.test.mjs:6:1", "  'test failed'")];
        assert_eq!(read(Format::Node, &format!("{output}{list}")), expected);
        // A runner that is killed lists nothing.
        let names: Vec<_> = read(Format::Node, output).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["inner fails (0.2ms)", "suite one (0.8ms)"]);
    }

    #[test]
    fn python_tells_failures_below_its_tests() {
        let (double, single) = ("=".repeat(70), "-".repeat(70));
        let output = format!(
            "test_x (cases.A.test_x) ... FAIL\ntest_y (cases.A.test_y) ... ERROR\n\n{double}
ERROR: test_y (cases.A.test_y)\n{single}\nTraceback (most recent call last):\nValueError: bad\n\n{double}
FAIL: test_x (cases.A.test_x)\n{single}\nAssertionError: 1 != 2\n\n{single}\nRan 2 tests in 0.001s\n"
        );
        let expected = [
            told("test_y (cases.A.test_y)", "Traceback (most recent call last):\nValueError: bad"),
            told("test_x (cases.A.test_x)", "AssertionError: 1 != 2"),
        ];
        assert_eq!(read(Format::Python, &output), expected);
    }

    #[test]
    fn a_long_account_is_shown_from_its_panic_on() {
        let line = |number: usize| format!("line {number}");
        let short = Failure::new("short", vec!["printed".to_owned(), "thread 'a' panicked at b".to_owned()]);
        assert_eq!(short.to_string(), "---- short\nprinted\nthread 'a' panicked at b");
        let mut account: Vec<_> = (0..100).map(line).collect();
        let plain = Failure::new("plain", account.clone()).to_string();
        assert_eq!((plain.lines().count(), plain.lines().last()), (41, Some("line 39")));
        account[70] = "thread 'a' panicked at b".to_owned();
        let shown = Failure::new("long", account).to_string();
        assert_eq!(shown.lines().nth(1), Some("thread 'a' panicked at b"));
        assert_eq!(shown.lines().last(), Some("line 99"));
    }
}
