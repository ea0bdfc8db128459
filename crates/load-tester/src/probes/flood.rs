use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::{Phase, tell};
use crate::probes::report::FloodReport;
use crate::wire::connection::{INVOCATION, Receive};
use crate::wire::messages::{Clock, Protocol, Purpose, Stamp};
use crate::wire::target::Target;
use crate::wire::web_socket::WebSocket;

/// How long a reader waits for the next message.
const PATIENCE: Duration = Duration::from_secs(10);
const UNSENT_LIMIT_BYTES: usize = 256 * 1024;

/// One connection sends to all as fast as it may, others read at a bounded pace.
#[derive(Debug, Clone, Args)]
pub struct FloodOptions {
    /// How hub messages are written
    #[arg(long, value_enum, default_value_t = Protocol::Json)]
    pub protocol: Protocol,
    /// Connections that read
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub readers: u32,
    /// Bytes that each of them reads in a second
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1000..))]
    pub pace: u32,
    /// Broadcasts
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub messages: u32,
    /// Bytes of each payload
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(100..=30_000))]
    pub payload: u32,
    /// Where the readers connect, if not where the sender does
    #[arg(long)]
    pub elsewhere: Option<Target>,
}

/// Calls `Broadcast` without a pause and counts what each reader gets.
///
/// # Errors
/// A connection could not be opened, or the sender's was lost. Readers' that are lost are counted.
pub async fn flood(
    target: &Target,
    options: &FloodOptions,
    progress: &mut dyn FnMut(Phase),
) -> anyhow::Result<FloodReport> {
    let mut readers = JoinSet::new();
    for _ in 0..options.readers {
        let connection =
            WebSocket::open(options.elsewhere.as_ref().unwrap_or(target), options.protocol).await?;
        readers.spawn(read(connection, options.clone()));
    }
    let mut sender = WebSocket::open(target, options.protocol).await?;
    tell(progress, Phase::Connected).await;
    let (clock, started) = (Clock::start(), Instant::now());
    let (mut unsent, mut echoes, mut sequence) = (Vec::new(), 0, 0);
    while echoes < options.messages {
        while sequence < options.messages && unsent.len() < UNSENT_LIMIT_BYTES {
            let stamp = Stamp { purpose: Purpose::Measured, sequence, sent_micros: clock.micros() };
            stamp.push_send(&mut unsent, options.protocol, "Broadcast", options.payload as usize);
            sequence += 1;
        }
        let received = sender.exchange(&mut unsent, |kind, _| echoes += u32::from(kind == INVOCATION));
        timeout(PATIENCE, received).await.context("the sender gets nothing")??;
    }
    let sent_seconds = started.elapsed().as_secs_f64();
    let (mut cut_off, mut fewest) = (0, options.messages);
    while let Some(got) = readers.join_next().await {
        let got = got?;
        cut_off += u32::from(got < options.messages);
        fewest = fewest.min(got);
    }
    let seconds = started.elapsed().as_secs_f64();
    tell(progress, Phase::Finished).await;
    Ok(FloodReport {
        readers: options.readers,
        messages: options.messages,
        cut_off,
        fewest,
        sent_seconds,
        seconds,
    })
}

/// How many messages came.
async fn read(mut connection: WebSocket, options: FloodOptions) -> u32 {
    let mut got = 0;
    while got < options.messages {
        let mut bytes = 0;
        let received = connection.receive(|kind, message| {
            bytes += message.len();
            got += u32::from(kind == INVOCATION);
        });
        if !matches!(timeout(PATIENCE, received).await, Ok(Ok(()))) {
            break;
        }
        sleep(Duration::from_secs(bytes as u64) / options.pace).await;
    }
    got
}
