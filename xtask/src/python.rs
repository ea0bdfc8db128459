//! The tests of `tests/python`: signalrcore and pysignalr, and schemathesis with the HTTP API, in an environment of their own, and
//! in the same one those of `tests/deploy`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use hubline_testkit::PostgresServer;

use crate::build::Programs;
use crate::failures::Format;
use crate::process::root;
use crate::results::Results;
use crate::transcript::Transcript;

fn environment() -> PathBuf {
    root().join("target/python")
}

/// The interpreter of the environment.
pub(crate) fn program() -> PathBuf {
    environment().join("bin/python")
}

/// Makes the environment and installs the clients, exactly as pinned.
///
/// # Errors
/// Python has no `venv`, or the package registry cannot be reached.
pub(crate) fn install(transcript: &mut Transcript) -> Result<()> {
    transcript.run(Command::new("python3").args(["-m", "venv"]).arg(environment()))?;
    let mut command = Command::new(program());
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    for directory in ["python", "deploy"] {
        command.arg("--requirement").arg(root().join("tests").join(directory).join("requirements.txt"));
    }
    transcript.run(&mut command)
}

/// Runs the tests, with a PostgreSQL of their own.
///
/// # Errors
/// Tests fail, or PostgreSQL does not start.
pub(crate) fn run(programs: &Programs, results: &Results, transcript: &mut Transcript) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (_postgres, database) = runtime.block_on(async {
        let postgres = PostgresServer::start().await?;
        let database = postgres.database().await?;
        anyhow::Ok((postgres, database))
    })?;
    let mut command = Command::new(program());
    command
        .args(["-B", "run.py"])
        .current_dir(root().join("tests/python"))
        .env("HUBLINE_CONFORMANCE_SERVER", programs.path("conformance-server")?)
        .env("HUBLINE_TEST_DATABASE", database.connection_string())
        .env("HUBLINE_SERVER", programs.path("hubline")?)
        .env("HUBLINE_MATRIX_RESULTS", results.matrix());
    transcript.judge(&mut command, Format::Python)
}
