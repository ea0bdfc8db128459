use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;

use super::sender::{Sender, Stamped};
use super::{Phase, tell};
use crate::probes::crowd::{Crowd, Member, check_room};
use crate::probes::report::BroadcastReport;
use crate::probes::tally::{Arrivals, Counts, Origins, Tally};
use crate::wire::connection::Transport;
use crate::wire::messages::{Clock, Protocol, Purpose};
use crate::wire::target::Target;
use crate::wire::web_socket::WebSocket;

pub(super) const DELIVERY_LIMIT: u64 = 1_000_000_000;
const CONNECTING: usize = 64;
pub(super) const SETTLE: Duration = Duration::from_secs(1);

/// One connection sends to all at a steady pace.
#[derive(Debug, Clone, Copy, Args)]
pub struct BroadcastOptions {
    /// How hub messages are written
    #[arg(long, value_enum, default_value_t = Protocol::Json)]
    pub protocol: Protocol,
    /// Connections that only receive; the sender comes on top
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=25_000))]
    pub receivers: u32,
    /// Broadcasts a second
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// Seconds to send for
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Seconds to send for before counting
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=60))]
    pub warm_up: u32,
    /// Bytes of each payload
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(100..=30_000))]
    pub payload: u32,
    /// Further connections that read nothing, and are not counted
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub dead: u32,
}

/// Calls `Broadcast` at the given pace and checks what every connection receives.
///
/// # Errors
/// A connection could not be opened, or the sender's was lost. A receiver's that is lost is counted.
pub async fn broadcast(
    target: &Target,
    options: &BroadcastOptions,
    progress: &mut dyn FnMut(Phase),
) -> anyhow::Result<BroadcastReport> {
    let receivers = options.receivers as usize;
    let connections = receivers + 1;
    let broadcasts = options.rate * options.seconds;
    ensure!(
        u64::from(broadcasts) * connections as u64 <= DELIVERY_LIMIT,
        "more than {DELIVERY_LIMIT} deliveries"
    );
    check_room(connections + options.dead as usize)?;

    let clock = Clock::start();
    let arrivals = Arrivals::new(clock, broadcasts, Origins::ALONE);
    let mut number = 0..;
    let mut tally = || Tally::new(&arrivals, number.next().unwrap_or_default(), 0);
    let mut sender = Sender {
        connection: WebSocket::open(target, options.protocol).await?,
        tally: tally(),
        arrivals: Arc::clone(&arrivals),
        clock,
        connections: connections as u64,
        protocol: options.protocol,
        rate: options.rate,
        number: 0,
        senders: 1,
        stamped: Stamped::WhenSent,
        payload: options.payload as usize,
    };
    let crowd =
        Crowd::gather(target, Transport::WebSockets, options.protocol, receivers, CONNECTING, tally).await?;
    let mut dead = Vec::new();
    for _ in 0..options.dead {
        dead.push(WebSocket::open(target, options.protocol).await?);
    }
    tell(progress, Phase::Connected).await;
    tokio::time::sleep(SETTLE).await;
    sender.run(Purpose::WarmUp, options.rate * options.warm_up).await?;
    tell(progress, Phase::Running).await;
    let started_micros = clock.micros();
    let late_max = sender.run(Purpose::Measured, broadcasts).await?;
    tell(progress, Phase::Finished).await;

    let members = crowd.leave().await;
    let tallies = || members.iter().map(|Member { listener, .. }| listener).chain([&sender.tally]);
    let ended_micros = tallies().map(|tally| tally.last_micros).max().unwrap_or_default();
    let seconds = Duration::from_micros(ended_micros.saturating_sub(started_micros)).as_secs_f64();
    let mut counts = Counts::default();
    tallies().flat_map(Tally::counts).for_each(|more| counts += more);
    Ok(BroadcastReport {
        connections,
        broadcasts,
        seconds,
        broadcasts_per_second: f64::from(broadcasts) / seconds,
        deliveries: arrivals.count(Purpose::Measured),
        missing: counts.missing,
        doubled: counts.doubled,
        out_of_order: counts.out_of_order,
        latency: arrivals.latency(),
        sender_late_max_micros: u64::try_from(late_max.as_micros())?,
        lost: members.iter().filter(|member| member.lost.is_some()).count(),
        lost_reason: members.into_iter().find_map(|member| member.lost),
    })
}
