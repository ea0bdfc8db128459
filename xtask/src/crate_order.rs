//! The order of crates: ARCHITECTURE.md has a table of them, and a crate may use only crates above it there.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::{cargo, root};
use crate::transcript::Transcript;

/// Compares the table with what the crates of `crates/` depend on. Dependencies of tests are free.
///
/// # Errors
/// A crate uses one that is not above it, or the table names other crates than there are.
pub(crate) fn check(transcript: &mut Transcript) -> Result<()> {
    let document = std::fs::read_to_string(root().join("ARCHITECTURE.md")).context("ARCHITECTURE.md")?;
    let output = cargo().args(["metadata", "--no-deps", "--format-version=1"]).output().context("cargo")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let mistakes = mistakes(&table(&document), &crates(&serde_json::from_slice(&output.stdout)?)?);
    mistakes.iter().for_each(|mistake| transcript.line(mistake));
    ensure!(mistakes.is_empty(), "the crates are not as ARCHITECTURE.md orders them");
    Ok(())
}

/// A crate of `crates/`, and those of them that it uses.
#[derive(Debug, PartialEq, Eq)]
struct Crate {
    name: String,
    uses: Vec<String>,
}

/// The names in the first column of the first table.
fn table(document: &str) -> Vec<&str> {
    let rows =
        document.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect()
}

/// From what `cargo metadata` prints. Crates have the names of their directories.
fn crates(metadata: &Value) -> Result<Vec<Crate>> {
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let ours = packages.iter().filter_map(|package| {
        let directory = Path::new(package["manifest_path"].as_str()?).parent()?;
        let dependencies = package["dependencies"].as_array()?.iter();
        let uses = dependencies.filter(|dependency| dependency["kind"] != "dev");
        Some(Crate {
            name: name(directory)?.to_owned(),
            uses: uses.filter_map(|used| Some(name(Path::new(used["path"].as_str()?))?.to_owned())).collect(),
        })
    });
    Ok(ours.collect())
}

/// Of the directory of a crate, if it is one of `crates/`.
fn name(directory: &Path) -> Option<&str> {
    let parent = directory.parent()?.file_name()?;
    if parent == "crates" { directory.file_name()?.to_str() } else { None }
}

fn mistakes(table: &[&str], crates: &[Crate]) -> Vec<String> {
    let place = |name: &str| table.iter().position(|row| *row == name);
    let mut mistakes = Vec::new();
    for Crate { name, uses } in crates {
        let Some(own) = place(name) else {
            mistakes.push(format!(
                "crates/{name} is not in the table of ARCHITECTURE.md: add it below what it uses"
            ));
            continue;
        };
        let wrong = uses.iter().filter(|used| place(used).is_some_and(|place| place >= own));
        mistakes.extend(wrong.map(|used| {
            format!("crates/{name} uses crates/{used}, which is not above it in the table of ARCHITECTURE.md")
        }));
    }
    let gone = table.iter().filter(|row| !crates.iter().any(|known| known.name == **row));
    mistakes.extend(
        gone.map(|row| format!("ARCHITECTURE.md has `{row}` in its table, and there is no crates/{row}")),
    );
    mistakes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DOCUMENT: &str = "# Architecture\n\n| crate | what it is |\n| --- | --- |\n| `protocol` | bytes |\n\
        | `hub` | uses `protocol` |\n| `server` | the binary |\n\n| `other` | table |\n";

    fn of(name: &str, uses: &[&str]) -> Crate {
        Crate { name: name.to_owned(), uses: uses.iter().map(ToString::to_string).collect() }
    }

    fn found(crates: &[Crate]) -> Vec<String> {
        mistakes(&table(DOCUMENT), crates)
    }

    #[test]
    fn a_crate_uses_those_above_it() {
        let crates = [of("hub", &["protocol"]), of("protocol", &[]), of("server", &["hub", "protocol"])];
        assert_eq!(found(&crates), Vec::<String>::new());
    }

    #[test]
    fn a_crate_below_is_named_with_its_user() {
        let crates = [of("protocol", &["server"]), of("hub", &[]), of("server", &[])];
        let expected =
            "crates/protocol uses crates/server, which is not above it in the table of ARCHITECTURE.md";
        assert_eq!(found(&crates), [expected]);
    }

    #[test]
    fn table_and_directory_name_the_same_crates() {
        let crates = [of("protocol", &[]), of("hub", &["new"]), of("new", &[])];
        let expected = [
            "crates/new is not in the table of ARCHITECTURE.md: add it below what it uses",
            "ARCHITECTURE.md has `server` in its table, and there is no crates/server",
        ];
        assert_eq!(found(&crates), expected);
    }

    #[test]
    fn what_tests_use_and_what_is_elsewhere_does_not_count() -> Result<()> {
        let metadata = json!({ "packages": [
            { "manifest_path": "/p/xtask/Cargo.toml", "dependencies": [] },
            { "manifest_path": "/p/crates/hub/Cargo.toml", "dependencies": [
                { "name": "hubline-protocol", "kind": null, "path": "/p/crates/protocol" },
                { "name": "hubline-rules", "kind": "build", "path": "/p/crates/rules" },
                { "name": "hubline-testkit", "kind": "dev", "path": "/p/crates/testkit" },
                { "name": "bytes", "kind": null },
            ] },
        ] });
        assert_eq!(crates(&metadata)?, [of("hub", &["protocol", "rules"])]);
        Ok(())
    }
}
