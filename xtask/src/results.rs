//! The files that the steps of a run write, and `conformance/REPORT.md` is made from.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::root;

/// The files of one run, under `target/results`.
#[derive(Debug)]
pub(crate) struct Results(PathBuf);

impl Results {
    /// Those that are there.
    pub(crate) fn existing() -> Self {
        Self(root().join("target/results"))
    }

    /// Forgets an earlier run.
    ///
    /// # Errors
    /// The directory cannot be emptied or made.
    pub(crate) fn begin() -> Result<Self> {
        let results = Self::existing();
        if results.0.exists() {
            fs::remove_dir_all(&results.0).context("emptying target/results")?;
        }
        fs::create_dir_all(&results.0).context("making target/results")?;
        Ok(results)
    }

    /// A JSON line for each feature of each client: `HUBLINE_MATRIX_RESULTS`.
    pub(crate) fn matrix(&self) -> PathBuf {
        self.0.join("matrix.jsonl")
    }

    /// Adds a line to [`matrix`](Self::matrix).
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn add(&self, line: &serde_json::Value) -> Result<()> {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.matrix())?;
        // In one piece: tests that run beside this one add their own.
        file.write_all(format!("{line}\n").as_bytes()).context("target/results")
    }

    /// The outcomes of the recorded cases.
    pub(crate) fn recorded(&self) -> PathBuf {
        self.0.join("recorded.json")
    }

    /// What our server answered in each recorded case.
    pub(crate) fn answers(&self) -> PathBuf {
        self.0.join("answers.json")
    }

    /// What the real server answered in each recorded case.
    pub(crate) fn peer_answers(&self) -> PathBuf {
        self.0.join("peer-answers.json")
    }

    /// How the two compare.
    pub(crate) fn differential(&self) -> PathBuf {
        self.0.join("differential.json")
    }
}

/// A file of results as JSON, or nothing if that step did not run.
///
/// # Errors
/// It is there and cannot be read.
pub(crate) fn json(file: &Path) -> Result<Option<serde_json::Value>> {
    if !file.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).map(Some).with_context(|| file.display().to_string())
}
