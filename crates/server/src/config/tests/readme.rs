//! The README has all keys, and no others, and their defaults and units as they are.

use std::collections::BTreeSet;

use super::known::{self, Declared};

/// A row of the README's table.
struct Row {
    /// The texts in backquotes of its first column, where `:Name` goes on from the section of the one before, `ASPNETCORE_NAME` is the
    /// same as the key and `Section:*` is every key below.
    keys: Vec<String>,
    default: &'static str,
    whole: &'static str,
}

fn rows() -> Vec<Row> {
    let readme = include_str!("../../../../../README.md");
    let table = readme.lines().skip_while(|line| !line.starts_with("| key, or environment variable"));
    let rows = table.skip(2).take_while(|line| line.starts_with('|'));
    let rows = rows.map(|whole| {
        let mut columns = whole.split('|').skip(1);
        let keys = keys(columns.next().unwrap());
        Row { keys, default: columns.next().unwrap().trim(), whole }
    });
    rows.collect()
}

fn keys(column: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut section = String::new();
    for text in column.split('`').skip(1).step_by(2) {
        if text.starts_with("--") || text.starts_with("ASPNETCORE_") || text.starts_with("DOTNET_") {
            continue;
        }
        let key = match text.starts_with(':') {
            true => format!("{section}{text}"),
            false => text.to_owned(),
        };
        section = key.rsplit_once(':').map_or(String::new(), |(section, _)| section.to_owned());
        keys.push(key);
    }
    keys
}

#[test]
fn the_table_of_the_readme_has_every_key_and_no_other() {
    let written: Vec<String> = rows().into_iter().flat_map(|row| row.keys).collect();
    assert!(written.len() > 40, "the table was not found: {written:?}");
    let is_in = |key: &str, written: &str| match written.strip_suffix('*') {
        Some(section) => key.starts_with(section),
        None => key.eq_ignore_ascii_case(written),
    };
    let known: BTreeSet<&str> = known::all().iter().map(|known| known.key.name).collect();
    let missing: Vec<_> =
        known.iter().filter(|key| !written.iter().any(|written| is_in(key, written))).collect();
    assert!(missing.is_empty(), "keys without a row in README.md, \"Configure it\": {missing:?}");
    let unknown: Vec<_> =
        written.iter().filter(|written| !known.iter().any(|key| is_in(key, written))).collect();
    assert!(unknown.is_empty(), "README.md has keys that nothing reads: {unknown:?}");
}

/// Defaults in one spelling, in which `hubline config` and the README agree: those that are none left out beside others, and what
/// several keys in a row have in common once.
fn spelt_alike<'a>(defaults: impl Iterator<Item = &'a str>) -> Vec<String> {
    let one = |text: &str| {
        let text = text.trim().trim_matches('`');
        let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
        match (number.parse::<u64>(), unit) {
            (Ok(number), "ms" | "s") => format!("{number}{unit}"),
            (Ok(number), "min") => format!("{}s", number * 60),
            (Ok(number), "h") => format!("{}s", number * 3600),
            (Ok(number), "MiB") => (number * 1024 * 1024).to_string(),
            _ if matches!(text, "–" | "-" | "none" | "") => String::new(),
            _ => text.to_owned(),
        }
    };
    let mut defaults: Vec<String> = defaults.flat_map(|text| text.split(", ")).map(one).collect();
    if defaults.iter().any(|default| !default.is_empty()) {
        defaults.retain(|default| !default.is_empty());
    }
    defaults.dedup();
    defaults
}

#[test]
fn the_table_of_the_readme_has_their_defaults_and_units() {
    for Row { keys, default, whole } in rows() {
        let known: Vec<&Declared> = keys.iter().filter_map(|key| known::find(key)).collect();
        if keys.iter().any(|key| key.ends_with('*')) {
            continue;
        }
        let here = spelt_alike(known.iter().map(|known| known.default.as_deref().unwrap_or_default()));
        // Behind a semicolon stands what holds elsewhere.
        let there = spelt_alike(default.split(';').take(1));
        assert_eq!(there, here, "README.md, the default of {keys:?}");
        let counted = known
            .iter()
            .filter(|known| known.default.as_ref().is_some_and(|default| default.parse::<u64>().is_ok()));
        for Declared { unit, key, .. } in counted {
            let word = unit.split(' ').next().unwrap_or(unit).trim_end_matches('s');
            let says = |text: &str| text.to_lowercase().contains(word);
            assert!(
                *unit == "number" || says(whole),
                "README.md does not say that {} is in {unit}",
                key.name
            );
        }
    }
}

#[test]
fn every_key_says_what_it_is_for() {
    for known in known::all() {
        let (name, help) = (known.key.name, known.key.help);
        assert!(help.len() > 10 && !help.ends_with('.'), "{name}: {help:?}");
        assert!(!known.section.is_empty(), "{name} is read by no section");
    }
}
