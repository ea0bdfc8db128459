use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use tokio::time::{Instant, timeout};

use super::{Phase, tell};
use crate::probes::report::GroupsReport;
use crate::wire::connection::{COMPLETION, Receive};
use crate::wire::messages::{Protocol, is_error, push_invoke_text};
use crate::wire::target::Target;
use crate::wire::web_socket::WebSocket;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Calls open at once; the server works on them one after the other unless it is told otherwise.
const IN_FLIGHT: u32 = 256;

/// One connection joins many groups and leaves them again.
#[derive(Debug, Clone, Copy, Args)]
pub struct GroupsOptions {
    /// How hub messages are written
    #[arg(long, value_enum, default_value_t = Protocol::Json)]
    pub protocol: Protocol,
    /// How many
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub groups: u32,
}

/// Calls `JoinGroup` with every name, then `LeaveGroup`.
///
/// # Errors
/// The connection could not be opened or was lost, a call failed, or an answer took longer than 30 s.
pub async fn groups(
    target: &Target,
    options: &GroupsOptions,
    progress: &mut dyn FnMut(Phase),
) -> anyhow::Result<GroupsReport> {
    let mut connection = WebSocket::open(target, options.protocol).await?;
    tell(progress, Phase::Connected).await;
    let join_seconds = call_each(&mut connection, options, "JoinGroup").await?;
    tell(progress, Phase::Joined).await;
    let leave_seconds = call_each(&mut connection, options, "LeaveGroup").await?;
    tell(progress, Phase::Finished).await;
    connection.close();
    Ok(GroupsReport { groups: options.groups, join_seconds, leave_seconds })
}

async fn call_each(connection: &mut WebSocket, options: &GroupsOptions, method: &str) -> anyhow::Result<f64> {
    let started = Instant::now();
    let (mut called, mut answered, mut errors) = (0, 0, 0);
    let mut frames = Vec::new();
    while answered < options.groups {
        frames.clear();
        while called < options.groups && called - answered < IN_FLIGHT {
            push_invoke_text(&mut frames, options.protocol, called, method, &format!("group {called}"));
            called += 1;
        }
        connection.send(&frames).await?;
        let answers = connection.receive(|kind, message| {
            answered += u32::from(kind == COMPLETION);
            errors += u32::from(kind == COMPLETION && is_error(message));
        });
        timeout(ANSWER_TIMEOUT, answers).await.context("no answer")??;
    }
    ensure!(errors == 0, "{errors} of {called} calls of {method} failed");
    Ok(started.elapsed().as_secs_f64())
}
