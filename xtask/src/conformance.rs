//! The recorded cases of `conformance/`, replayed against our server and compared with the real one.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Result, ensure};
use hubline_testkit::{Node, free_ports, peer11};

use crate::build::Programs;
use crate::failures::Format;
use crate::process::root;
use crate::results::Results;
use crate::transcript::Transcript;

const EXCEPTIONS: &str = "conformance/exceptions.json";
/// Ports that a replay may need: one for each profile of the cases.
const PORTS: u16 = 20;

/// What the runner is told; conformance/README.md describes it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Also replays against ASP.NET Core 11, `peer11` beside the program of `HUBLINE_PEER`, and compares the answers
    #[arg(long)]
    differential: bool,
    /// Options of conformance/runner.mjs, such as `--only TEXT`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    runner: Vec<String>,
}

/// Builds the server and replays the cases against it.
///
/// # Errors
/// It does not compile, or [`replay`], [`replay_live`] or [`compare`] fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut transcript = Transcript::on_standard_output();
    let programs = Programs::build(&["--package=hubline", "--example=conformance-server"], &mut transcript)?;
    let server = programs.path("conformance-server")?;
    let results = Results::begin()?;
    let replayed = replay(server, &options.runner, &results, &mut transcript);
    if options.differential {
        replay_live(&options.runner, &results, &mut transcript)?;
        compare(&results, &mut transcript)?;
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
    transcript: &mut Transcript,
) -> Result<()> {
    let node = runner(&server.display().to_string())
        .args(["--exceptions", EXCEPTIONS])
        .args([OsStr::new("--report"), results.recorded().as_os_str()])
        .args([OsStr::new("--answers"), results.answers().as_os_str()])
        .args(options);
    judge(node, transcript)
}

/// Replays the cases against the real server, and judges nothing: a case that it fails is a stale recording, which
/// [`compare`] tells.
///
/// # Errors
/// Node is not installed.
pub(crate) fn replay_live(options: &[String], results: &Results, transcript: &mut Transcript) -> Result<()> {
    let Some(peer) = peer11() else {
        transcript.line("notice: there is no live ASP.NET Core 11 to replay the recorded cases against");
        return Ok(());
    };
    let node = runner(&format!("{} serve", peer.display()))
        .args([OsStr::new("--answers"), results.peer_answers().as_os_str()])
        .args(options);
    node.run(|line| transcript.line(line)).map(drop)
}

/// Compares what [`replay_live`] has left with what [`replay`] has left.
///
/// # Errors
/// A case is answered otherwise than by the real server, and is listed nowhere.
pub(crate) fn compare(results: &Results, transcript: &mut Transcript) -> Result<()> {
    if peer11().is_none() {
        transcript.line("notice: the recorded cases are not compared with a live ASP.NET Core 11");
        transcript.counts.skipped += 1;
        return Ok(());
    }
    let node = Node::script("conformance/differential.mjs")
        .directory(root())
        .args([OsStr::new("--peer"), results.peer_answers().as_os_str()])
        .args([OsStr::new("--ours"), results.answers().as_os_str()])
        .args([OsStr::new("--report"), results.differential().as_os_str()])
        .args(["--exceptions", EXCEPTIONS]);
    judge(node, transcript)
}

/// The runner for a server that this command serves, on ports that no other program is given.
fn runner(command: &str) -> Node {
    Node::script("conformance/runner.mjs")
        .directory(root())
        .args(["--serve", &format!("{command} --urls {{url}} {{options}}")])
        .args(["--ports", &free_ports(PORTS).start.to_string(), "--exact"])
}

fn judge(node: Node, transcript: &mut Transcript) -> Result<()> {
    let status = node.run(|line| transcript.judged(line, Format::Cases))?;
    ensure!(status.success(), "Node ended with {status}");
    Ok(())
}
