//! `cargo xtask figures`: the tables of README.md that have figures, made from docs/performance.json.

use std::fs;
use std::ops::Range;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

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

/// Puts the figures of a clean build into docs/performance.json and README.md.
///
/// # Errors
/// As [`write`].
pub(crate) fn set_build(cpu_seconds: f64, seconds: f64, processors: usize) -> Result<()> {
    let text = fs::read_to_string(root().join(SOURCE)).context(SOURCE)?;
    let build = format!(
        "\"build\": {{ \"cpuSeconds\": {cpu_seconds:.0}, \"seconds\": {seconds:.0}, \"processors\": {processors} }}"
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

fn table(figures: &Value) -> Result<String> {
    let mut text =
        "\n| | measured | Hubline | ASP.NET Core + Redis | again by |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
    let rows = figures["rows"].as_array().with_context(|| format!("{SOURCE}: rows is no list"))?;
    ensure!(!rows.is_empty(), "{SOURCE}: there are no rows");
    for (index, row) in rows.iter().enumerate() {
        let word = |name: &str| {
            let value = row[name].as_str().filter(|value| !value.contains(['|', '\n']));
            value.with_context(|| format!("{SOURCE}: {name} of row {} is no text for a cell", index + 1))
        };
        let unit = row["unit"].as_str();
        let figure = |name: &str| {
            shown(&row[name], unit)
                .with_context(|| format!("{SOURCE}: {name} of row {} is no figure", index + 1))
        };
        text += &format!(
            "| {} | {} | {} | {} | `{}` |\n",
            word("what")?,
            word("measure")?,
            figure("hubline")?,
            figure("aspNetCore")?,
            word("command")?
        );
    }
    let machine = figures["machine"].as_str().with_context(|| format!("{SOURCE}: machine is no text"))?;
    Ok(format!("{text}\n{machine}.\n"))
}

fn build(figures: &Value) -> Result<String> {
    let number = |name: &str| {
        shown(&figures["build"][name], None).with_context(|| format!("{SOURCE}: build.{name} is no number"))
    };
    let (cpu, seconds, processors) = (number("cpuSeconds")?, number("seconds")?, number("processors")?);
    Ok(format!("{cpu} CPU seconds, {seconds} s on {processors} processors"))
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
        let figures = json!({
            "machine": "here",
            "rows": [{ "what": "a", "measure": "b", "unit": "ms", "hubline": 20688.5, "aspNetCore": "c", "command": "d" }],
            "build": { "cpuSeconds": 1590, "seconds": 3, "processors": 2 }
        });
        let readme = "x <!-- figures -->old<!-- /figures --> y <!-- build -->old<!-- /build --> z";
        let filled = fill(readme, &figures)?;
        assert!(
            filled.contains("| a | b | 20,688.5 ms | c | `d` |\n\nhere.\n<!-- /figures --> y"),
            "{filled}"
        );
        assert!(
            filled.ends_with("<!-- build -->1,590 CPU seconds, 3 s on 2 processors<!-- /build --> z"),
            "{filled}"
        );
        assert_eq!(fill(&filled, &figures)?, filled);
        let wrong = |readme, figures| fill(readme, figures).map_err(|error| error.to_string());
        assert_eq!(wrong("x", &figures), Err("README.md has no <!-- figures -->".to_owned()));
        let missing = json!({ "machine": "", "rows": [{ "what": "a", "measure": "b", "command": "d" }] });
        assert_eq!(
            wrong(readme, &missing),
            Err("docs/performance.json: hubline of row 1 is no figure".to_owned())
        );
        Ok(())
    }

    #[test]
    fn readme_has_the_figures_of_the_file() -> Result<()> {
        check(&mut Transcript::on_standard_output())
    }
}
