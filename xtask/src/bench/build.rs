//! Builds what is measured, and what measures.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

pub(super) fn load_client() -> Result<PathBuf> {
    executable(&["-p", "hubline-load-tester", "--bin", "hubline-load"])
}

/// The server with the hubs that the peer has too.
pub(super) fn conformance_server() -> Result<PathBuf> {
    executable(&["-p", "hubline", "--example", "conformance-server"])
}

/// Builds in release mode and returns where cargo put the program; the compiler's errors go to the terminal.
fn executable(what: &[&str]) -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    let command = format!("cargo build --release {}", what.join(" "));
    eprintln!("{command}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(workspace)
        .args(["build", "--quiet", "--release", "--message-format=json-render-diagnostics"])
        .args(what)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "`{command}` failed");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
        .with_context(|| format!("`{command}` made no program"))
}
