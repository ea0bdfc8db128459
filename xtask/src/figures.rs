//! `cargo xtask figures`: the tables of README.md that have figures, made from docs/performance.json.

use std::fs;
use std::ops::Range;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::build_size::BuildSize;
use crate::process::root;
use crate::transcript::Transcript;

const SOURCE: &str = "docs/performance.json";
const README: &str = "README.md";

/// Writes the figures into README.md.
///
/// # Errors
/// A file cannot be read or written, a figure is missing or no figure, or README.md has no place for one of them.
pub(crate) fn write() -> Result<()> {
    let readme = fs::read_to_string(root().join(README)).context(README)?;
    let filled = fill(&readme, &read()?)?;
    if filled != readme {
        fs::write(root().join(README), filled).context(README)?;
        println!("{README} has the figures of {SOURCE}");
    }
    Ok(())
}

/// # Errors
/// README.md has other figures than docs/performance.json.
pub(crate) fn check(transcript: &mut Transcript) -> Result<()> {
    let readme = fs::read_to_string(root().join(README)).context(README)?;
    ensure!(
        fill(&readme, &read()?)? == readme,
        "{README} has other figures than {SOURCE}: cargo xtask figures writes them"
    );
    transcript.line(format!("{README} has the figures of {SOURCE}"));
    Ok(())
}

/// CPU seconds of a clean release build of the program, as they were measured last.
///
/// # Errors
/// The file cannot be read, or has none.
pub(crate) fn build_cpu_seconds() -> Result<f64> {
    read()?["build"]["cpuSeconds"]
        .as_f64()
        .with_context(|| format!("{SOURCE}: build.cpuSeconds is no number"))
}

/// What a build of the program compiled when it was measured last.
///
/// # Errors
/// The file cannot be read, or does not say.
pub(crate) fn build_size() -> Result<BuildSize> {
    let figures = read()?;
    let number = |name: &str| {
        let number = figures["build"][name].as_u64();
        number.with_context(|| format!("{SOURCE}: build.{name} is no whole number"))
    };
    Ok(BuildSize {
        crates: number("crates")?,
        own_kilobytes: number("ownKilobytes")?,
        foreign_kilobytes: number("foreignKilobytes")?,
    })
}

/// A clean build, as it was measured.
#[derive(Debug)]
pub(crate) struct MeasuredBuild {
    pub(crate) cpu_seconds: f64,
    pub(crate) seconds: f64,
    pub(crate) processors: usize,
    /// As 2026-11-29.
    pub(crate) date: String,
    pub(crate) size: BuildSize,
}

/// Puts the figures of a clean build into docs/performance.json and README.md.
///
/// # Errors
/// As [`write`].
pub(crate) fn set_build(build: &MeasuredBuild) -> Result<()> {
    let text = fs::read_to_string(root().join(SOURCE)).context(SOURCE)?;
    let MeasuredBuild { cpu_seconds, seconds, processors, date, size } = build;
    let BuildSize { crates, own_kilobytes, foreign_kilobytes } = size;
    let build = format!(
        "\"build\": {{ \"cpuSeconds\": {cpu_seconds:.0}, \"seconds\": {seconds:.0}, \"processors\": {processors}, \"date\": {}, \
         \"crates\": {crates}, \"ownKilobytes\": {own_kilobytes}, \"foreignKilobytes\": {foreign_kilobytes} }}",
        json!(date)
    );
    let start = text.find("\"build\": {").with_context(|| format!("{SOURCE}: no \"build\""))?;
    let end =
        text[start..].find('}').with_context(|| format!("{SOURCE}: \"build\" does not end"))? + start + 1;
    fs::write(root().join(SOURCE), format!("{}{build}{}", &text[..start], &text[end..]))?;
    write()
}

fn read() -> Result<Value> {
    let text = fs::read_to_string(root().join(SOURCE)).context(SOURCE)?;
    serde_json::from_str(&text).context(SOURCE)
}

fn fill(readme: &str, figures: &Value) -> Result<String> {
    let mut text = readme.to_owned();
    for (name, content) in [("figures", table(figures)?), ("build", build(figures)?)] {
        let place = place(&text, name)?;
        text.replace_range(place, &content);
    }
    Ok(text)
}

/// What stands between `<!-- NAME -->` and `<!-- /NAME -->`.
fn place(text: &str, name: &str) -> Result<Range<usize>> {
    let (before, after) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let start = text.find(&before).with_context(|| format!("{README} has no {before}"))? + before.len();
    let end = text[start..].find(&after).with_context(|| format!("{README} has no {after}"))? + start;
    Ok(start..end)
}

/// A run of a command, which figures are of.
struct Run<'a> {
    command: &'a str,
    date: &'a str,
    machine: &'a str,
}

impl<'a> Run<'a> {
    fn of(figures: &'a Value, name: &str) -> Result<Self> {
        let word = |member: &str| {
            let value = figures["runs"][name][member].as_str().and_then(in_a_cell);
            value.with_context(|| format!("{SOURCE}: {member} of the run {name:?} is no text for a cell"))
        };
        let date = word("date")?;
        ensure!(is_date(date), "{SOURCE}: date of the run {name:?} is {date:?}, and no date as 2026-11-29");
        Ok(Self { command: word("command")?, date, machine: word("machine")? })
    }
}

fn is_date(text: &str) -> bool {
    let is_right = |(place, byte): (usize, u8)| {
        if [4, 7].contains(&place) { byte == b'-' } else { byte.is_ascii_digit() }
    };
    text.len() == 10 && text.bytes().enumerate().all(is_right)
}

fn in_a_cell(text: &str) -> Option<&str> {
    (!text.contains(['|', '\n'])).then_some(text)
}

/// The rows, and below them the runs that they are of.
fn table(figures: &Value) -> Result<String> {
    let mut text = "\n| | measured | Hubline | ASP.NET Core + Redis | on | again by |\n| --- | --- | --- | --- | --- | --- |\n".to_owned();
    let rows = figures["rows"].as_array().with_context(|| format!("{SOURCE}: rows is no list"))?;
    ensure!(!rows.is_empty(), "{SOURCE}: there are no rows");
    let mut runs = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let word = |name: &str| {
            let value = row[name].as_str().and_then(in_a_cell);
            value.with_context(|| format!("{SOURCE}: {name} of row {} is no text for a cell", index + 1))
        };
        let unit = row["unit"].as_str();
        let figure = |name: &str| {
            shown(&row[name], unit)
                .with_context(|| format!("{SOURCE}: {name} of row {} is no figure", index + 1))
        };
        let run = Run::of(figures, word("run")?)?;
        let mut date = run.date.to_owned();
        let command = run.command;
        let mut of_row = vec![run];
        if row.get("aspNetCoreRun").is_some() {
            let run = Run::of(figures, word("aspNetCoreRun")?)?;
            date += &format!(", ASP.NET Core {}", run.date);
            of_row.push(run);
        }
        text += &format!(
            "| {} | {} | {} | {} | {date} | `{command}` |\n",
            word("what")?,
            word("measure")?,
            figure("hubline")?,
            figure("aspNetCore")?
        );
        for Run { command, date, machine } in of_row {
            let line = format!("- `{command}`, {date}: {machine}\n");
            if !runs.contains(&line) {
                runs.push(line);
            }
        }
    }
    Ok(format!("{text}\n{}", runs.concat()))
}

fn build(figures: &Value) -> Result<String> {
    let number = |name: &str| {
        shown(&figures["build"][name], None).with_context(|| format!("{SOURCE}: build.{name} is no number"))
    };
    let (cpu, seconds, processors) = (number("cpuSeconds")?, number("seconds")?, number("processors")?);
    Ok(format!("{} crates, {cpu} CPU seconds, {seconds} s on {processors} processors", number("crates")?))
}

/// A text as it is, a number with separators and unit.
fn shown(value: &Value, unit: Option<&str>) -> Option<String> {
    if let Some(text) = value.as_str() {
        return (!text.contains(['|', '\n'])).then(|| text.to_owned());
    }
    let number = value.as_f64()?.to_string();
    let (whole, fraction) =
        number.split_once('.').map_or((&number[..], None), |(whole, part)| (whole, Some(part)));
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if let Some(fraction) = fraction {
        text = format!("{text}.{fraction}");
    }
    Some(unit.map_or(text.clone(), |unit| format!("{text} {unit}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_stand_between_their_marks_and_what_is_wrong_is_named() -> Result<()> {
        let run = |date: &str, machine: &str| json!({ "command": "d", "date": date, "machine": machine });
        let figures = json!({
            "runs": { "one": run("2026-11-29", "here"), "other": run("2026-11-25", "there") },
            "rows": [
                { "what": "a", "measure": "b", "unit": "ms", "hubline": 20688.5, "aspNetCore": "c", "run": "one" },
                { "what": "", "measure": "e", "hubline": 1, "aspNetCore": 2, "run": "one", "aspNetCoreRun": "other" }
            ],
            "build": { "cpuSeconds": 1590, "seconds": 3, "processors": 2, "crates": 300 }
        });
        let readme = "x <!-- figures -->old<!-- /figures --> y <!-- build -->old<!-- /build --> z";
        let filled = fill(readme, &figures)?;
        let rows = "| a | b | 20,688.5 ms | c | 2026-11-29 | `d` |\n|  | e | 1 | 2 | 2026-11-29, ASP.NET Core 2026-11-25 | `d` |\n\n";
        let runs = "- `d`, 2026-11-29: here\n- `d`, 2026-11-25: there\n<!-- /figures --> y";
        assert!(filled.contains(&format!("{rows}{runs}")), "{filled}");
        let build = "<!-- build -->300 crates, 1,590 CPU seconds, 3 s on 2 processors<!-- /build --> z";
        assert!(filled.ends_with(build), "{filled}");
        assert_eq!(fill(&filled, &figures)?, filled);
        let wrong = |readme, figures| fill(readme, figures).map_err(|error| error.to_string());
        assert_eq!(wrong("x", &figures), Err("README.md has no <!-- figures -->".to_owned()));
        let mut changed = figures.clone();
        changed["rows"][0]["hubline"] = Value::Null;
        assert_eq!(
            wrong(readme, &changed),
            Err("docs/performance.json: hubline of row 1 is no figure".to_owned())
        );
        let mut changed = figures.clone();
        changed["runs"]["other"]["date"] = json!("yesterday");
        let why =
            "docs/performance.json: date of the run \"other\" is \"yesterday\", and no date as 2026-11-29";
        assert_eq!(wrong(readme, &changed), Err(why.to_owned()));
        Ok(())
    }

    #[test]
    fn readme_has_the_figures_of_the_file() -> Result<()> {
        check(&mut Transcript::on_standard_output())
    }
}
