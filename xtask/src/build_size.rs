//! What a build of the program compiles: how many crates, and how much source. Unlike time, it is the same on every machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::figures;
use crate::process::{cargo, root};
use crate::transcript::Transcript;

/// Directories of a package that a build of the program does not compile.
const NOT_BUILT: [&str; 5] = ["benches", "examples", "fuzz", "target", "tests"];

/// What a build of the program compiles on this platform, with what runs in the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BuildSize {
    pub(crate) crates: u64,
    /// Source of the crates of this repository, in units of 1,000 bytes.
    pub(crate) own_kilobytes: u64,
    /// Source of all others in Rust and C, whatever of it is compiled.
    pub(crate) foreign_kilobytes: u64,
}

/// Compares what the program is built of with what docs/performance.json states.
///
/// # Errors
/// It is so much more that somebody should have meant it, or cargo cannot be asked.
pub(crate) fn check(transcript: &mut Transcript) -> Result<()> {
    let (size, stated) = (BuildSize::measure()?, figures::build_size()?);
    transcript.line(format!("a build of hubline compiles {size} (stated: {stated})"));
    let grown = size.grown(stated);
    ensure!(
        grown.is_empty(),
        "what a build of hubline compiles has grown by more than it may before its cost is measured again: {}. `cargo tree -p hubline-server -e \
         no-dev` shows the crates. If it is meant: `cargo xtask build-time --write`",
        grown.join(", ")
    );
    Ok(())
}

impl BuildSize {
    /// # Errors
    /// Cargo cannot be asked, or a package is not where it says.
    pub(crate) fn measure() -> Result<Self> {
        let (built, places) = (built()?, places()?);
        let (mut own, mut foreign) = (0, 0);
        for package in &built {
            let place = places.get(package).with_context(|| format!("cargo metadata has no {package}"))?;
            let bytes = source_bytes_in(place)?;
            *if place.starts_with(root()) { &mut own } else { &mut foreign } += bytes;
        }
        Ok(Self { crates: built.len() as u64, own_kilobytes: own / 1000, foreign_kilobytes: foreign / 1000 })
    }

    /// What is more than stated, and by more than it may be.
    fn grown(self, stated: Self) -> Vec<String> {
        let figures = [
            ("crates", self.crates, stated.crates, 3),
            ("KB of our own source", self.own_kilobytes, stated.own_kilobytes, 10),
            ("KB of others' source", self.foreign_kilobytes, stated.foreign_kilobytes, 3),
        ];
        let grown = figures.iter().filter(|(_, now, stated, percent)| now * 100 > stated * (100 + percent));
        grown
            .map(|(what, now, stated, percent)| format!("{now} {what}, {percent} % over {stated} or more"))
            .collect()
    }
}

impl Display for BuildSize {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { crates, own_kilobytes, foreign_kilobytes } = self;
        write!(
            f,
            "{crates} crates with {own_kilobytes} KB of our own source and {foreign_kilobytes} KB of others'"
        )
    }
}

/// Name and version of each package that is built for the program, with the features that it has there.
fn built() -> Result<BTreeSet<String>> {
    let output = cargo()
        .args([
            "tree",
            "--locked",
            "--package=hubline-server",
            "--edges=normal,build",
            "--prefix=none",
            "--format={p}",
        ])
        .output()
        .context("cargo tree")?;
    ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().filter_map(name_and_version).collect())
}

/// Of a line as `syn v3.0.10 (proc-macro) (*)`.
fn name_and_version(line: &str) -> Option<String> {
    let mut words = line.split(' ');
    Some(format!("{} {}", words.next()?, words.next()?.strip_prefix('v')?))
}

/// Where each package is, by name and version.
fn places() -> Result<BTreeMap<String, PathBuf>> {
    // Without those of other platforms, which would have to be downloaded.
    let filter = format!("--filter-platform={}", host()?);
    let output = cargo()
        .args(["metadata", "--locked", "--format-version=1", &filter])
        .output()
        .context("cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let place = |package: &Value| {
        let name = format!("{} {}", package["name"].as_str()?, package["version"].as_str()?);
        Some((name, root().join(package["manifest_path"].as_str()?).parent()?.to_owned()))
    };
    Ok(packages.iter().filter_map(place).collect())
}

/// The platform that is built for, as rustc calls it.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc")?;
    let version = String::from_utf8(output.stdout)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

fn source_bytes_in(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if !NOT_BUILT.iter().any(|not_built| name == *not_built) {
                bytes += source_bytes_in(&path)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "c") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_counted_and_growth_is_found() -> Result<()> {
        assert_eq!(name_and_version("syn v3.0.10 (proc-macro) (*)").as_deref(), Some("syn 3.0.10"));
        assert_eq!(name_and_version("[build-dependencies]"), None);
        let directory = tempfile::tempdir()?;
        for (file, bytes) in
            [("src/a/b.rs", 30), ("sqlite.c", 12), ("tests/t.rs", 500), ("src/data.json", 500)]
        {
            let file = directory.path().join(file);
            fs::create_dir_all(file.parent().context("a parent")?)?;
            fs::write(file, vec![b' '; bytes])?;
        }
        assert_eq!(source_bytes_in(directory.path())?, 42);
        let stated = BuildSize { crates: 100, own_kilobytes: 1000, foreign_kilobytes: 1000 };
        let most = BuildSize { crates: 103, own_kilobytes: 1100, foreign_kilobytes: 1030 };
        assert_eq!(most.grown(stated), [""; 0]);
        for grown in [
            BuildSize { crates: 104, ..stated },
            BuildSize { own_kilobytes: 1101, ..stated },
            BuildSize { foreign_kilobytes: 1031, ..stated },
        ] {
            assert_eq!(grown.grown(stated).len(), 1, "{grown}");
        }
        let size = BuildSize::measure()?;
        assert!(size.crates > 100 && size.own_kilobytes > 1000 && size.foreign_kilobytes > 1000, "{size}");
        Ok(())
    }
}
