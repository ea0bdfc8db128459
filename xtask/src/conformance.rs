//! The recorded cases of `conformance/`, replayed.

use std::path::Path;

use anyhow::{Result, ensure};
use hubline_testkit::Node;

use crate::build::Programs;
use crate::counts::Counts;
use crate::process::root;

/// What the runner is told; conformance/README.md describes it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Options of conformance/runner.mjs, such as `--only TEXT`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    runner: Vec<String>,
}

/// Builds the server and replays the cases against it.
///
/// # Errors
/// It does not compile, or [`replay`] fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let programs = Programs::build(&["--package=hubline", "--example=conformance-server"])?;
    let server = programs.path("conformance-server")?;
    replay(server, &options.runner, &mut Counts::default())
}

/// Replays the cases against this server, a process of its own for each profile.
///
/// # Errors
/// A case fails that is not listed as pending, or the list is not exact.
pub(crate) fn replay(server: &Path, options: &[String], counts: &mut Counts) -> Result<()> {
    let serve = format!("{} --urls {{url}} {{options}}", server.display());
    let status = Node::script("conformance/runner.mjs")
        .directory(root())
        .args(["--serve", &serve, "--pending", "conformance/pending.json"])
        .args(options)
        .run(|line| {
            println!("{line}");
            if let Some(summary) = Counts::summary(line) {
                *counts = summary;
            }
        })?;
    ensure!(status.success(), "the runner ended with {status}");
    Ok(())
}
