//! Runs programs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// The cargo that runs this, in the checkout.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// [`cargo`] at a low priority: it may keep every processor busy, and what runs beside it does not notice.
pub(crate) fn cargo_in_background() -> Command {
    let cargo = cargo();
    let mut command = Command::new("nice");
    command.args(["-n", "10"]).arg(cargo.get_program()).current_dir(root());
    command
}

/// Runs it with our input and output.
///
/// # Errors
/// It is not there, or fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| name.clone())?;
    ensure!(status.success(), "{name} failed: {status}");
    Ok(())
}
