//! Tests that run in Node against built servers: the official JavaScript client, the .NET client, raw sockets.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use hubline_testkit::{Certificates, Node};

use crate::build::Programs;
use crate::failures::Format;
use crate::process::root;
use crate::results::Results;
use crate::transcript::Transcript;

/// Installs the client, what judges manifests, and what both need, exactly as locked.
///
/// # Errors
/// The package registry cannot be reached.
pub(crate) fn install(transcript: &mut Transcript) -> Result<()> {
    for directory in ["tests/javascript", "tests/deploy"] {
        let options = ["ci", "--no-audit", "--no-fund"];
        transcript.run(Command::new("npm").args(options).current_dir(root().join(directory)))?;
    }
    Ok(())
}

/// The test files below a directory, and none of what is installed there.
///
/// # Errors
/// It cannot be read.
pub(crate) fn files(directory: &str) -> Result<Vec<PathBuf>> {
    let (mut directories, mut files) = (vec![root().join(directory)], Vec::new());
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let path = entry?.path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if name.ends_with(".test.mjs") {
                files.push(path);
            } else if name != "node_modules" && path.is_dir() {
                directories.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Runs test files of a directory, one after the other. Those of the .NET client say that they are skipped where it is
/// not.
///
/// # Errors
/// Tests fail.
pub(crate) fn run(
    directory: &str,
    files: &[PathBuf],
    programs: &Programs,
    results: &Results,
    transcript: &mut Transcript,
) -> Result<()> {
    ensure!(!files.is_empty(), "{directory} has no tests");
    let certificates = Certificates::new(&["127.0.0.1"])?;
    let status = Node::tests(root().join(directory))
        .args(files)
        .env("HUBLINE_CONFORMANCE_SERVER", programs.path("conformance-server")?)
        .env("HUBLINE_LOAD", programs.path("hubline-load")?)
        .env("HUBLINE_MATRIX_RESULTS", results.matrix())
        .env("HUBLINE_SERVER", programs.path("hubline")?)
        .env("HUBLINE_XTASK", std::env::current_exe()?)
        .env("HUBLINE_TEST_CERTIFICATE", certificates.certificate())
        .env("HUBLINE_TEST_CERTIFICATE_KEY", certificates.key())
        .env("NODE_EXTRA_CA_CERTS", certificates.authority())
        .run(|line| transcript.judged(line, Format::Node))?;
    ensure!(status.success(), "node --test ended with {status}");
    Ok(())
}
