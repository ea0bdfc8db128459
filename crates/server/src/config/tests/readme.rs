//! The README has all keys, and no others.

use std::collections::BTreeSet;

use super::known;

/// The keys of the README's table: the texts in backquotes of its first column, where `:Name` goes on from the section of the one
/// before, `ASPNETCORE_NAME` is the same as the key and `Section:*` is every key below.
fn keys_of_readme() -> Vec<String> {
    let readme = include_str!("../../../../../README.md");
    let table = readme.lines().skip_while(|line| !line.starts_with("| key, or environment variable"));
    let rows = table.skip(2).take_while(|line| line.starts_with('|'));
    let mut keys = Vec::new();
    for row in rows {
        let column = row.split('|').nth(1).unwrap();
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
    }
    keys
}

#[test]
fn the_table_of_the_readme_has_every_key_and_no_other() {
    let written = keys_of_readme();
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

#[test]
fn every_key_says_what_it_is_for() {
    for known in known::all() {
        let (name, help) = (known.key.name, known.key.help);
        assert!(help.len() > 10 && !help.ends_with('.'), "{name}: {help:?}");
        assert!(!known.section.is_empty(), "{name} is read by no section");
    }
}
