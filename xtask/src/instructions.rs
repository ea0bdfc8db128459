//! `cargo xtask instructions`: how many instructions the server runs for a call, a delivery, a poll, a new connection.
//!
//! Seconds depend on the machine and on what else it does; instructions, which callgrind counts, hardly do. So a change that makes
//! one of these ways longer is found by the tests. What the kernel does for a system call is not in them.

mod client;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use self::client::{Client, Way};
use crate::build::Programs;
use crate::transcript::Transcript;

/// What each way took when it was looked at last, on a quiet machine; who changes one of them on purpose, changes the number.
const STATED: [(Way, u64); 4] =
    [(Way::Echo, 17_700), (Way::Delivery, 4_220), (Way::Poll, 110_100), (Way::Connection, 236_500)];
/// Two runs differ by less than a hundredth, but for calls one at a time: for one the server waits once or more, depending on how
/// fast the client is, and takes 15,200 to 17,800. Another processor has other ways to copy memory.
const MOST_PERCENT: u64 = 115;
const WORTH_A_NOTICE_PERCENT: u64 = 80;
const ATTEMPTS: u32 = 4;

/// The start and the end of the server are the same in both, so only the rest of the longer run counts.
const SHORT: u64 = 100;
const LONG: u64 = 1100;

/// Builds the server and counts.
///
/// # Errors
/// As [`check`].
pub(crate) fn run() -> Result<()> {
    let mut transcript = Transcript::on_standard_output();
    let programs = Programs::build(&["--package=hubline", "--example=conformance-server"], &mut transcript)?;
    check(programs.path("conformance-server")?, &mut transcript)
}

/// Counts, and compares with what is stated.
///
/// # Errors
/// valgrind is not installed, the server does not answer, or a way is much longer than is stated.
pub(crate) fn check(server: &Path, transcript: &mut Transcript) -> Result<()> {
    let mut wrong = Vec::new();
    for (way, stated) in STATED {
        let each = fewest(server, way, stated)?;
        transcript.line(format!("{way}: {each} instructions ({stated} stated)"));
        if !is_within(each, stated) {
            wrong.push(format!("{way} takes {each} instructions, not {stated}"));
        } else if each * 100 < stated * WORTH_A_NOTICE_PERCENT {
            transcript.line(format!("notice: {way} is shorter than xtask/src/instructions.rs states"));
        }
    }
    let what = "find out why, or state what is right in xtask/src/instructions.rs";
    ensure!(wrong.is_empty(), "{}: {what}", wrong.join("; "));
    Ok(())
}

/// Of one way. On a busy machine a server is woken for less at a time and looks around more often, so it may try again.
fn fewest(server: &Path, way: Way, stated: u64) -> Result<u64> {
    let mut fewest = u64::MAX;
    for _ in 0..ATTEMPTS {
        let longer = counted(server, way, LONG)?;
        let each = longer.saturating_sub(counted(server, way, SHORT)?) / (LONG - SHORT);
        fewest = fewest.min(each);
        if is_within(fewest, stated) {
            break;
        }
    }
    Ok(fewest)
}

fn is_within(each: u64, stated: u64) -> bool {
    each * 100 <= stated * MOST_PERCENT
}

/// The instructions of a server that goes this way so often, with one thread for its connections.
fn counted(server: &Path, way: Way, count: u64) -> Result<u64> {
    let port = hubline_testkit::free_port();
    let mut child = Command::new("taskset")
        .args(["-c", "0", "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(server)
        .args(["--urls", &format!("http://127.0.0.1:{port}")])
        // No two runs may differ in where their memory is.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting the server under valgrind")?;
    let went = Client::wait_for(port).and_then(|client| client.go(way, count));
    let id = Pid::from_child(&child);
    kill_process(id, Signal::TERM)?;
    let mut said = String::new();
    if let Some(mut pipe) = child.stderr.take() {
        std::io::Read::read_to_string(&mut pipe, &mut said)?;
    }
    child.wait()?;
    went.with_context(|| format!("{way}, of a server that said {said}"))?;
    collected(&said)
}

/// What callgrind says at the end: `==1== Collected : 123`.
fn collected(said: &str) -> Result<u64> {
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let Some((_, count)) = collected else { bail!("callgrind counted nothing: {said}") };
    Ok(count.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found() {
        assert_eq!(collected("==7== \n==7== Events    : Ir\n==7== Collected : 12345\n").unwrap(), 12_345);
        assert!(collected("==7== nothing").is_err());
    }
}
