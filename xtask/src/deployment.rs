//! What is done with the files of `deploy/`: their tests and, by hand since they take minutes and root, the image and the unit.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::build::Programs;
use crate::failures::Format;
use crate::prerequisites;
use crate::process::{self, root};
use crate::python;
use crate::transcript::Transcript;

/// What to build the image of.
#[derive(Debug, Args)]
pub(crate) struct ImageOptions {
    /// Builds the last stage alone, around this program
    #[arg(long)]
    program: Option<PathBuf>,
}

/// What the unit starts.
#[derive(Debug, Args)]
pub(crate) struct UnitOptions {
    /// The program; without it one is built
    #[arg(long)]
    program: Option<PathBuf>,
}

/// Runs the tests of `tests/deploy`.
///
/// # Errors
/// Tests fail.
pub(crate) fn run(programs: &Programs, transcript: &mut Transcript) -> Result<()> {
    let mut command = script("run.py");
    command.env("HUBLINE_SERVER", programs.path("hubline")?);
    transcript.judge(&mut command, Format::Python)
}

/// Builds the image with buildah and runs its root.
///
/// # Errors
/// It cannot be built, or is not as it should be.
pub(crate) fn image(options: &ImageOptions) -> Result<()> {
    let mut command = prepared("image.py")?;
    command
        .arg(root().join("target/image"))
        .args(options.program.as_deref().map(std::path::absolute).transpose()?);
    process::run(&mut command)
}

/// Starts the unit in a machine that systemd-nspawn boots.
///
/// # Errors
/// The machine cannot be made, or the unit is not as it should be.
pub(crate) fn unit(options: &UnitOptions) -> Result<()> {
    let mut command = prepared("unit.py")?;
    let program = match &options.program {
        Some(program) => std::path::absolute(program)?,
        None => {
            let mut transcript = Transcript::on_standard_error();
            Programs::build(&["--bin=hubline"], &mut transcript)?.path("hubline")?.clone()
        }
    };
    command.arg(program).arg(root().join("target/machine"));
    process::run(&mut command)
}

fn prepared(name: &str) -> Result<Command> {
    prerequisites::ensure_by_hand()?;
    if !python::program().exists() {
        python::install(&mut Transcript::on_standard_error())?;
    }
    Ok(script(name))
}

fn script(name: &str) -> Command {
    let mut command = Command::new(python::program());
    command.args(["-B", name]).current_dir(root().join("tests/deploy"));
    command
}
