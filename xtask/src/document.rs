//! `conformance/REPORT.md`, made from the results of a run. It holds no dates, times or paths, so it changes
//! only when a result does.

mod matrix;
mod recorded;

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use crate::process::root;
use crate::results::{self, Results};

const INTRODUCTION: &str = "\
# Conformance report

Written by `cargo xtask test`, or from its last results by `cargo xtask report`. The judges are the recorded answers
of ASP.NET Core 11, the live server, official and other clients, and the Autobahn test suite.
";

/// Writes the report; says whether it is another than before.
///
/// # Errors
/// Results or the lists cannot be read, or the report cannot be written.
pub(crate) fn write(results: &Results) -> Result<bool> {
    let file = root().join("conformance/REPORT.md");
    let text = render(results)?;
    let changed = fs::read_to_string(&file).ok().as_ref() != Some(&text);
    if changed {
        fs::write(&file, text).context("conformance/REPORT.md")?;
    }
    Ok(changed)
}

fn render(results: &Results) -> Result<String> {
    let mut text = INTRODUCTION.to_owned();
    matrix::render(&mut text, &matrix::read(&results.matrix())?);
    recorded::cases(&mut text, results::json(&results.recorded())?.as_ref());
    differential(&mut text, results)?;
    let exceptions = results::json(&root().join("conformance/exceptions.json"))?;
    recorded::exceptions(&mut text, exceptions.as_ref());
    Ok(text)
}

fn differential(text: &mut String, results: &Results) -> Result<()> {
    text.push_str("\n## Compared with the live ASP.NET Core 11\n\n");
    let Some(found) = results::json(&results.differential())? else {
        text.push_str("Not compared: there was no `peer11` beside the program of `HUBLINE_PEER`.\n");
        return Ok(());
    };
    let count = |name: &str| found[name].as_array().map_or(0, Vec::len);
    writeln!(
        text,
        "{} recorded cases were replayed against both: {} were answered otherwise than by ASP.NET Core 11.",
        found["compared"],
        count("apart")
    )?;
    Ok(())
}
