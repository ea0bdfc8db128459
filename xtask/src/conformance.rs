//! The recorded cases of `conformance/`, replayed against our server and compared with the real one.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Result, ensure};
use hubline_testkit::Node;

use crate::build::Programs;
use crate::counts::Counts;
use crate::process::root;
use crate::results::Results;

const EXCEPTIONS: &str = "conformance/exceptions.json";

/// What the runner is told; conformance/README.md describes it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Also replays against ASP.NET Core, found by `HUBLINE_PEER`, and compares the answers
    #[arg(long)]
    differential: bool,
    /// Options of conformance/runner.mjs, such as `--only TEXT`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    runner: Vec<String>,
}

/// Builds the server and replays the cases against it.
///
/// # Errors
/// It does not compile, or [`replay`] or [`compare`] fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let programs = Programs::build(&["--package=hubline", "--example=conformance-server"])?;
    let server = programs.path("conformance-server")?;
    let results = Results::begin()?;
    let replayed = replay(server, &options.runner, &results, &mut Counts::default());
    if options.differential {
        compare(&options.runner, &results, &mut Counts::default())?;
    }
    replayed
}

/// Replays the cases against this server, a process of its own for each profile. Texts are compared byte
/// for byte: what passes so also passes when JSON is compared by value.
///
/// # Errors
/// A case fails that is not listed as an exception, or the list is not exact.
pub(crate) fn replay(
    server: &Path,
    options: &[String],
    results: &Results,
    counts: &mut Counts,
) -> Result<()> {
    let node = Node::script("conformance/runner.mjs")
        .args(["--serve", &format!("{} --urls {{url}} {{options}}", server.display())])
        .args(["--exact", "--exceptions", EXCEPTIONS])
        .args([OsStr::new("--report"), results.recorded().as_os_str()])
        .args([OsStr::new("--answers"), results.answers().as_os_str()])
        .args(options);
    summarised(node, counts)
}

/// Replays the cases against the real server and compares its answers with those that [`replay`] has left.
///
/// # Errors
/// A case is answered otherwise than by the real server, and is listed nowhere.
pub(crate) fn compare(options: &[String], results: &Results, counts: &mut Counts) -> Result<()> {
    let Some(peer) = hubline_testkit::peer() else {
        println!("notice: the recorded cases are not compared with a live ASP.NET Core server");
        counts.skipped += 1;
        return Ok(());
    };
    let node = Node::script("conformance/runner.mjs")
        .args(["--serve", &format!("{} serve --urls {{url}} {{options}}", peer.display())])
        .args([OsStr::new("--exact"), OsStr::new("--answers"), results.peer_answers().as_os_str()])
        .args(options);
    // A case that the real server fails is a stale recording, which the comparison tells.
    node.directory(root()).run(|_| {})?;
    let node = Node::script("conformance/differential.mjs")
        .args([OsStr::new("--peer"), results.peer_answers().as_os_str()])
        .args([OsStr::new("--ours"), results.answers().as_os_str()])
        .args([OsStr::new("--report"), results.differential().as_os_str()])
        .args(["--exceptions", EXCEPTIONS]);
    summarised(node, counts)
}

fn summarised(node: Node, counts: &mut Counts) -> Result<()> {
    let status = node.directory(root()).run(|line| {
        println!("{line}");
        if let Some(summary) = Counts::summary(line) {
            *counts = summary;
        }
    })?;
    ensure!(status.success(), "Node ended with {status}");
    Ok(())
}
