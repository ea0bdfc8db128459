//! Single scenarios that the project's own benchmarks measure a server with, and the judge of a chat.

pub(crate) mod broadcast;
pub(crate) mod chat;
mod crowd;
pub(crate) mod echo;
pub(crate) mod elsewhere;
pub(crate) mod fleet;
pub(crate) mod flood;
pub(crate) mod floor;
pub(crate) mod groups;
pub(crate) mod idle;
pub(crate) mod navigation;
pub(crate) mod report;
mod sender;
pub(crate) mod tally;

use std::time::Duration;

use serde::Serialize;

/// How far a scenario is, for whoever measures the server from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// All connections are open.
    Connected,
    /// Warm-up is over; what is counted begins a moment later.
    Running,
    /// All groups are joined; they are left a moment later.
    Joined,
    /// The last answer has come; the connections close a moment later.
    Finished,
}

/// The moment around what is counted, for a look at the server.
const PAUSE: Duration = Duration::from_millis(300);

async fn tell(progress: &mut dyn FnMut(Phase), phase: Phase) {
    progress(phase);
    tokio::time::sleep(PAUSE).await;
}
