//! What tests need besides Rust: `redis-server`, which is installed if that is allowed, and Node.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::process;

const OLDEST_NODE: u32 = 20;

/// Makes sure that everything is there.
///
/// # Errors
/// Something is missing; the error names all of it.
pub(crate) fn ensure_all() -> Result<()> {
    if !answers("redis-server") {
        // What it could not do shows below, with what else is missing.
        if let Err(error) = install("redis-server") {
            println!("redis-server could not be installed: {error:#}");
        }
    }
    let mut missing = Vec::new();
    if !answers("redis-server") {
        missing.push("redis-server (Debian package redis-server)".to_owned());
    }
    if let Err(error) = node() {
        missing.push(format!("Node {OLDEST_NODE} or newer ({error:#})"));
    }
    if !answers("npm") {
        missing.push("npm, which comes with Node".to_owned());
    }
    ensure!(missing.is_empty(), "missing: {}", missing.join("; "));
    Ok(())
}

/// With apt-get, as root or through sudo where that asks for no password.
fn install(package: &str) -> Result<()> {
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new(if is_root() { "env" } else { "sudo" });
        if !is_root() {
            command.args(["--non-interactive", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]);
        process::run(command.args(arguments))
    };
    println!("installing the Debian package {package}");
    apt_get(&["update"])?;
    apt_get(&["install", "--yes", "--no-install-recommends", package])
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn answers(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn node() -> Result<()> {
    let output = Command::new("node").arg("--version").output().context("node")?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next();
    match major.and_then(|major| major.parse::<u32>().ok()) {
        Some(major) if major >= OLDEST_NODE => Ok(()),
        _ => bail!("this is {version}"),
    }
}
