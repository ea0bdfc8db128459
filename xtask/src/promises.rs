//! Checks docs/promises.md: each row that is kept names a test, and each test that is named is there.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};

use crate::process::root;
use crate::transcript::Transcript;

const DOCUMENT: &str = "docs/promises.md";
const KEPT: &str = "kept";
/// What a row can be.
const STATES: [&str; 3] = [KEPT, "instead", "open"];

/// A row of the tables: number, what is promised, state, and what there is to say.
struct Row<'a> {
    number: &'a str,
    state: &'a str,
    said: &'a str,
}

/// # Errors
/// A row says nothing, a kept one names no test, or a test is named that is not there.
pub(crate) fn check(transcript: &mut Transcript) -> Result<()> {
    let text = fs::read_to_string(root().join(DOCUMENT)).context(DOCUMENT)?;
    let read = |file: &str| fs::read_to_string(root().join(file)).ok();
    let (counts, problems) = judge(&text, read);
    ensure!(problems.is_empty(), "{DOCUMENT}: {}", problems.join("; "));
    let counts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    transcript.line(format!("{DOCUMENT}: {}", counts.join(", ")));
    Ok(())
}

/// How many rows there are of each state, and what is wrong with them.
fn judge(text: &str, read: impl Fn(&str) -> Option<String>) -> (BTreeMap<&str, usize>, Vec<String>) {
    let (mut counts, mut problems, mut expected) = (BTreeMap::new(), Vec::new(), 1);
    for row in text.lines().filter_map(row) {
        let Row { number, state, said } = row;
        *counts.entry(state).or_insert(0) += 1;
        if number != expected.to_string() {
            problems.push(format!("row {number}: expected {expected} here"));
        }
        expected += 1;
        if !STATES.contains(&state) {
            problems.push(format!("row {number}: '{state}' is none of {}", STATES.join(", ")));
        }
        let tests = tests(said);
        if state == KEPT && tests.is_empty() {
            problems.push(format!("row {number} names no test, `file` and `test`"));
        }
        if said.is_empty() {
            problems.push(format!("row {number} says nothing"));
        }
        for (file, test) in tests {
            match read(file) {
                None => problems.push(format!("row {number}: there is no {file}")),
                Some(source) if !has(file, &source, test) => {
                    problems.push(format!("row {number}: {file} has no test '{test}'"));
                }
                Some(_) => {}
            }
        }
    }
    if expected == 1 {
        problems.push("there are no rows".to_owned());
    }
    (counts, problems)
}

fn row(line: &str) -> Option<Row<'_>> {
    // A bar within a cell is written as in Markdown, with a backslash.
    let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").map(str::trim);
    let number = cells.next().filter(|number| number.parse::<u32>().is_ok())?;
    let (_promise, state) = (cells.next()?, cells.next()?);
    Some(Row { number, state, said: cells.next().unwrap_or_default() })
}

/// Each path of a file of tests in backticks, with the text in backticks behind it.
fn tests(said: &str) -> Vec<(&str, &str)> {
    let quoted: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
    let is_file =
        |text: &str| text.contains('/') && [".rs", ".mjs", ".py"].iter().any(|end| text.ends_with(end));
    quoted.windows(2).filter(|pair| is_file(pair[0])).map(|pair| (pair[0], pair[1])).collect()
}

fn has(file: &str, source: &str, test: &str) -> bool {
    match file.ends_with(".mjs") {
        true => ["'", "\"", "`"].iter().any(|quote| source.contains(&[quote, test, quote].concat())),
        false => [format!("fn {test}("), format!("def {test}(")].iter().any(|start| source.contains(start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_tests_that_exist() -> Result<()> {
        check(&mut Transcript::on_standard_output())
    }

    #[test]
    fn a_promise_is_kept_by_a_test_that_exists() {
        let source = |file: &str| match file {
            "tests/a.rs" => Some("async fn works() {".to_owned()),
            "tests/b.test.mjs" => Some("test('it works', () => {})".to_owned()),
            _ => None,
        };
        let problems = |rows: &str| judge(rows, source).1.join("; ");
        let good = "| 1 | `GET /health` | kept | `tests/a.rs` `works`, `tests/b.test.mjs` `it works` |\n\
                    | 2 | an old tool | instead | `x` |\n| 3 | a `\\|` b | open | later |";
        assert_eq!(problems(good), "");
        assert_eq!(judge(good, source).0, BTreeMap::from([("kept", 1), ("instead", 1), ("open", 1)]));
        for (rows, told) in [
            ("", "there are no rows"),
            ("| 2 | x | open | y |", "expected 1 here"),
            ("| 1 | x | done | y |", "'done' is none of"),
            ("| 1 | x | kept | yes |", "names no test"),
            ("| 1 | x | kept | `tests/a.rs` `work` |", "has no test 'work'"),
            ("| 1 | x | kept | `tests/b.test.mjs` `it` |", "has no test 'it'"),
            ("| 1 | x | open | `tests/c.rs` `works` |", "there is no tests/c.rs"),
            ("| 1 | x | open |  |", "says nothing"),
        ] {
            assert!(problems(rows).contains(told), "{rows}: {}", problems(rows));
        }
    }
}
