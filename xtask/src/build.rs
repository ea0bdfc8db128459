//! Builds programs in release mode.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use hubline_testkit::stream;
use serde_json::Value;

use crate::process::cargo;
use crate::transcript::Transcript;

/// The program that is run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServerOption {
    /// The hubline program [default: a release build of this checkout]
    #[arg(long, env = "HUBLINE_SERVER")]
    server: Option<PathBuf>,
}

/// The load client that is run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LoadOption {
    /// The load client [default: a release build of this checkout]
    #[arg(long, env = "HUBLINE_LOAD")]
    load: Option<PathBuf>,
}

impl ServerOption {
    /// The one that was given, or that is built.
    ///
    /// # Errors
    /// It is none, or does not compile.
    pub(crate) fn program(&self) -> Result<PathBuf> {
        given_or_built(self.server.as_deref(), "--server, HUBLINE_SERVER", "hubline-server", "hubline")
    }
}

impl LoadOption {
    /// The one that was given, or that is built.
    ///
    /// # Errors
    /// It is none, or does not compile.
    pub(crate) fn program(&self) -> Result<PathBuf> {
        given_or_built(self.load.as_deref(), "--load, HUBLINE_LOAD", "hubline-load-tester", "hubline-load")
    }
}

fn given_or_built(given: Option<&Path>, option: &str, package: &str, program: &str) -> Result<PathBuf> {
    let Some(given) = given else {
        let built =
            Programs::build(&["-p", package, "--bin", program], &mut Transcript::on_standard_error())?;
        return built.path(program).cloned();
    };
    ensure!(given.is_file(), "{} is no program ({option})", given.display());
    Ok(std::path::absolute(given)?)
}

/// Programs by name, where cargo put them.
#[derive(Debug, Default)]
pub(crate) struct Programs(BTreeMap<String, PathBuf>);

impl Programs {
    /// Runs `cargo build --release` with these arguments.
    ///
    /// # Errors
    /// It does not compile; cargo has said why.
    pub(crate) fn build(what: &[&str], transcript: &mut Transcript) -> Result<Self> {
        Self::from_cargo(cargo().args(["build", "--release"]).args(what), transcript)
    }

    /// Runs a command of cargo that builds.
    ///
    /// # Errors
    /// It does not compile; cargo has said why.
    pub(crate) fn from_cargo(command: &mut Command, transcript: &mut Transcript) -> Result<Self> {
        let mut programs = BTreeMap::new();
        let status = stream(command.arg("--message-format=json-render-diagnostics"), |line| {
            let Ok(message) = serde_json::from_str::<Value>(line) else {
                return transcript.line(line);
            };
            let name = message["target"]["name"].as_str();
            if let (Some(name), Some(path)) = (name, message["executable"].as_str()) {
                programs.insert(name.to_owned(), PathBuf::from(path));
            }
        })?;
        ensure!(status.success(), "cargo build ended with {status}");
        Ok(Self(programs))
    }

    /// All of them, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.0.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }

    /// # Errors
    /// It was not among what was built.
    pub(crate) fn path(&self, name: &str) -> Result<&PathBuf> {
        self.0.get(name).with_context(|| format!("{name} was not built"))
    }
}
