//! `hubline drain --self`.

use std::io::Write;
use std::process::ExitCode;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::own_socket::{REQUEST, connect, name};
use crate::config::Config;
use crate::observe::Output;

/// What does the same where this command cannot.
const ELSEWHERE: &str = "end its process with SIGTERM (Ctrl-C), which drains it too, or send POST /api/admin/drain to it with an admin key";

/// Has the instance with this configuration drain, shows what it says, and ends when it is drained: with 0, or with 1 if it is not.
pub(crate) async fn run(config: &Config, log: &Output) -> ExitCode {
    match ask(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            log.fail(&why);
            ExitCode::FAILURE
        }
    }
}

async fn ask(config: &Config) -> Result<(), String> {
    let urls = &config.server.urls;
    if !cfg!(target_os = "linux") {
        return Err(format!("hubline drain --self needs Linux: {ELSEWHERE}"));
    }
    let url = urls.first().map(ToString::to_string).unwrap_or_default();
    let name = name(urls).ok_or_else(|| {
        format!(
            "an instance is found by its first address, and {url} has a port that the system picks: give the instance and this command \
             the same one, such as --urls http://localhost:5000, or {ELSEWHERE}"
        )
    })?;
    let mut stream = connect(&name).map_err(|error| {
        format!(
            "no instance that listens on {url} can be asked here: {error}. It is found by its configuration: run this with the same files, \
             variables and --urls, as the same user, on the same machine or in the same container; or {ELSEWHERE}"
        )
    })?;
    let ended = |error: std::io::Error| format!("the instance ended before it was drained: {error}");
    stream.write_all(REQUEST).await.map_err(ended)?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await.map_err(ended)? {
        // Whoever reads this may have gone; the instance drains all the same.
        _ = writeln!(std::io::stdout(), "{line}");
        match line.split(':').next() {
            Some("drained") => return Ok(()),
            Some("refused") => return Err("the instance was not drained".to_owned()),
            _ => {}
        }
    }
    Err("the instance ended before it was drained".to_owned())
}
