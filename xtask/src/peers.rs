//! Unpacks the real servers and clients that `HUBLINE_PEER` leads to.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use hubline_testkit::{OLDER_CLIENTS, older_clients, peer, peer11};

use crate::transcript::Transcript;

/// Starts each .NET client there is, which ends at once without input. Programs that come packed unpack themselves here,
/// and not while a test waits for them. Notices tell of those that are not there.
///
/// # Errors
/// One of them does not start.
pub(crate) fn start_each(transcript: &mut Transcript) -> Result<()> {
    for mut command in clients() {
        let program = command.get_program().display().to_string();
        transcript.run(&mut command).with_context(|| format!("{program} does not start here"))?;
    }
    Ok(())
}

fn clients() -> impl Iterator<Item = Command> {
    let ours = [peer(), peer11()].into_iter().flatten().map(|program| command(program, "client"));
    let older = older_clients().into_iter();
    ours.chain(older.flat_map(|program| OLDER_CLIENTS.map(|release| command(program.clone(), release))))
}

fn command(program: PathBuf, argument: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(argument);
    command
}
