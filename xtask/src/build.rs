//! Builds programs in release mode.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use hubline_testkit::stream;
use serde_json::Value;

use crate::process::cargo;

/// Programs by name, where cargo put them.
#[derive(Debug, Default)]
pub(crate) struct Programs(BTreeMap<String, PathBuf>);

impl Programs {
    /// Runs `cargo build --release` with these arguments.
    ///
    /// # Errors
    /// It does not compile; cargo has said why.
    pub(crate) fn build(what: &[&str]) -> Result<Self> {
        let mut programs = BTreeMap::new();
        let mut command = cargo();
        command.args(["build", "--release", "--message-format=json-render-diagnostics"]);
        let status = stream(command.args(what), |line| {
            let Ok(message) = serde_json::from_str::<Value>(line) else {
                return;
            };
            let name = message["target"]["name"].as_str();
            if let (Some(name), Some(path)) = (name, message["executable"].as_str()) {
                programs.insert(name.to_owned(), PathBuf::from(path));
            }
        })?;
        ensure!(status.success(), "cargo build --release {} failed", what.join(" "));
        Ok(Self(programs))
    }

    /// # Errors
    /// It was not among what was built.
    pub(crate) fn path(&self, name: &str) -> Result<&PathBuf> {
        self.0.get(name).with_context(|| format!("{name} was not built"))
    }
}
