use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::time::{Instant, timeout};

use super::{Phase, tell};
use crate::measure::Recorder;
use crate::probes::report::EchoReport;
use crate::wire::connection::{COMPLETION, Receive};
use crate::wire::messages::{Clock, Protocol, Purpose, Stamp, is_error};
use crate::wire::target::Target;
use crate::wire::web_socket::WebSocket;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls on one connection, a new one for each that completes.
#[derive(Debug, Clone, Copy, Args)]
pub struct EchoOptions {
    /// How hub messages are written
    #[arg(long, value_enum, default_value_t = Protocol::Json)]
    pub protocol: Protocol,
    /// Calls open at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub in_flight: u32,
    /// Seconds to call for
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Seconds to call for before counting
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub warm_up: u64,
}

/// Calls `Echo` as fast as the answers come.
///
/// # Errors
/// The connection could not be opened or was lost, or an answer took longer than 10 s.
pub async fn echo(
    target: &Target,
    options: &EchoOptions,
    progress: &mut dyn FnMut(Phase),
) -> anyhow::Result<EchoReport> {
    let mut caller = Caller {
        connection: WebSocket::open(target, options.protocol).await?,
        clock: Clock::start(),
        protocol: options.protocol,
        in_flight: options.in_flight,
        next: 0,
    };
    tell(progress, Phase::Connected).await;
    caller.run(Duration::from_secs(options.warm_up)).await?;
    tell(progress, Phase::Running).await;
    let report = caller.run(Duration::from_secs(options.seconds)).await?;
    tell(progress, Phase::Finished).await;
    caller.connection.close();
    Ok(report)
}

struct Caller {
    connection: WebSocket,
    clock: Clock,
    protocol: Protocol,
    in_flight: u32,
    next: u32,
}

impl Caller {
    async fn run(&mut self, time: Duration) -> anyhow::Result<EchoReport> {
        let started = Instant::now();
        let mut latency = Recorder::new();
        let (mut calls, mut errors) = (0, 0);
        let mut frames = Vec::new();
        let mut open = 0;
        loop {
            frames.clear();
            if started.elapsed() < time {
                while open < self.in_flight {
                    self.push_call(&mut frames);
                    open += 1;
                }
                self.connection.send(&frames).await?;
            } else if open == 0 {
                break;
            }
            let now = self.clock;
            let answers = self.connection.receive(|kind, message| {
                if kind != COMPLETION {
                    return;
                }
                open = open.saturating_sub(1);
                calls += 1;
                match Stamp::find(message) {
                    Some(stamp) if !is_error(message) => {
                        latency.record(now.micros().saturating_sub(stamp.sent_micros));
                    }
                    _ => errors += 1,
                }
            });
            timeout(ANSWER_TIMEOUT, answers).await.context("no answer")??;
        }
        let seconds = started.elapsed().as_secs_f64();
        Ok(EchoReport {
            in_flight: self.in_flight,
            seconds,
            calls,
            errors,
            calls_per_second: f64::from(u32::try_from(calls)?) / seconds,
            latency: latency.percentiles(),
        })
    }

    fn push_call(&mut self, frames: &mut Vec<u8>) {
        let sent_micros = self.clock.micros();
        Stamp { purpose: Purpose::Measured, sequence: self.next, sent_micros }.push_invoke(
            frames,
            self.protocol,
            "Echo",
        );
        self.next = self.next.wrapping_add(1);
    }
}
