//! Several processes under one report: they begin each step together, and tell each other what they have sent.

use std::io::{BufRead, Write};
use std::time::Duration;

use anyhow::ensure;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::oracle::{KnownStates, Origins};
use crate::report::Report;
use crate::run::shared::Clock;

/// What one process, or all of them, have sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) origins: Origins,
    pub(crate) states: KnownStates,
}

/// What a process tells the one that started it, one line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Told {
    /// The connections of this step are open, or have failed.
    Connected { step: usize },
    /// The step is over.
    Found(Box<Found>),
    /// The run is over.
    Report(Box<Report>),
}

/// What it is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answered {
    /// Calls begin then: microseconds since the Unix epoch.
    Start(u64),
    /// What all have sent.
    Found(Box<Found>),
}

/// The other processes of the run, if there are any: the one that started this one, at standard input and output.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Company {
    Alone,
    Parent,
}

impl Company {
    pub(crate) fn is_alone(self) -> bool {
        matches!(self, Self::Alone)
    }

    /// When calls begin, if the others have a say in it.
    pub(crate) async fn start(self, step: usize, clock: Clock) -> Option<Instant> {
        if self.is_alone() {
            return None;
        }
        match ask(Told::Connected { step }).await {
            Ok(Answered::Start(micros)) => Some(clock.instant(micros)),
            Ok(Answered::Found(_)) => None,
            // The parent is gone, which ends this process as well.
            Err(_) => {
                tokio::time::sleep(Duration::MAX).await;
                None
            }
        }
    }

    /// Gives what this process has sent, and returns what all have.
    pub(crate) async fn exchange(self, found: Found) -> Found {
        if self.is_alone() {
            return found;
        }
        match ask(Told::Found(Box::new(found.clone()))).await {
            Ok(Answered::Found(all)) => *all,
            Ok(Answered::Start(_)) | Err(_) => found,
        }
    }

    /// Gives what this process has measured.
    ///
    /// # Errors
    /// Nobody is there to take it.
    pub(crate) async fn tell(self, report: Report) -> anyhow::Result<()> {
        spawn_blocking(move || write(&mut std::io::stdout(), &Told::Report(Box::new(report)))).await?
    }
}

async fn ask(told: Told) -> anyhow::Result<Answered> {
    let exchange = move || {
        write(&mut std::io::stdout(), &told)?;
        read(&mut std::io::stdin().lock())
    };
    spawn_blocking(exchange).await?
}

/// Reads one line of another process; blocks.
pub(crate) fn read<T: DeserializeOwned>(input: &mut impl BufRead) -> anyhow::Result<T> {
    let mut line = String::new();
    ensure!(input.read_line(&mut line)? > 0, "the other process has ended");
    Ok(serde_json::from_str(&line)?)
}

/// Writes one line to another process; blocks.
pub(crate) fn write<T: Serialize>(output: &mut impl Write, told: &T) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(told)?;
    line.push(b'\n');
    output.write_all(&line)?;
    Ok(output.flush()?)
}
