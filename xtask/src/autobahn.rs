//! The Autobahn test suite for RFC 6455, against the example `web-socket-echo`.
//! It needs Python 2.7, which few machines still have: without it this step says so, and what remains are the cases of
//! `tests/autobahn`, which need Node only.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use hubline_testkit::Node;
use serde_json::json;

use crate::build::Programs;
use crate::failures::Format;
use crate::process::root;
use crate::results::Results;
use crate::transcript::Transcript;

/// The interpreter: on the path, or one that pyenv keeps off it.
fn python() -> Option<PathBuf> {
    let version = "import sys; print(sys.executable)";
    let pyenv = Command::new("pyenv").arg("root").output().ok();
    let kept = pyenv.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim().to_owned()));
    let versions = kept.and_then(|directory| fs::read_dir(directory.join("versions")).ok());
    let kept = versions.into_iter().flatten().flatten().map(|entry| entry.path().join("bin/python2.7"));
    std::iter::once(PathBuf::from("python2.7")).chain(kept).find_map(|program| {
        let output = Command::new(program).args(["-c", version]).output().ok()?;
        let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !path.is_empty()).then(|| path.into())
    })
}

fn base() -> PathBuf {
    root().join("target/autobahn")
}

/// Installs the suite, exactly as pinned, where there is a Python for it.
///
/// # Errors
/// The package registry cannot be reached.
pub(crate) fn install(transcript: &mut Transcript) -> Result<()> {
    let Some(python) = python() else { return Ok(()) };
    let options = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--user"];
    let requirements = root().join("tests/autobahn/requirements.txt");
    let mut install = Command::new(python);
    install.args(options).args(["--no-warn-script-location", "--requirement"]).arg(requirements);
    transcript.run(install.env("PYTHONUSERBASE", base()))
}

/// Runs the suite, which [`install`] has installed.
///
/// # Errors
/// Cases fail.
pub(crate) fn run(programs: &Programs, results: &Results, transcript: &mut Transcript) -> Result<()> {
    let Some(python) = python() else {
        transcript.line("notice: there is no Python 2.7 here, so the Autobahn test suite does not run");
        transcript.counts.skipped += 1;
        return results.add(&json!({
            "client": "Autobahn", "version": "", "environment": "Python 2.7", "transport": "WebSockets",
            "protocol": "RFC 6455", "feature": "every case", "outcome": "skipped", "detail": "no Python 2.7",
        }));
    };
    let status = Node::script("tests/autobahn/suite.mjs")
        .directory(root())
        .env("AUTOBAHN", python)
        .env("PYTHONUSERBASE", base())
        .env("HUBLINE_ECHO_SERVER", programs.path("web-socket-echo")?)
        .env("HUBLINE_MATRIX_RESULTS", results.matrix())
        .run(|line| transcript.judged(line, Format::Cases))?;
    ensure!(status.success(), "suite.mjs ended with {status}");
    Ok(())
}
