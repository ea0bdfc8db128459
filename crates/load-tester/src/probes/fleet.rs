use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use tokio::task::JoinSet;

use super::broadcast::{DELIVERY_LIMIT, SETTLE};
use super::sender::{Sender, Stamped};
use super::{Phase, tell};
use crate::probes::crowd::{Crowd, check_room};
use crate::probes::report::FleetReport;
use crate::probes::tally::{Arrivals, Counts, Origins, Tally};
use crate::wire::connection::Transport;
use crate::wire::messages::{Clock, Protocol, Purpose};
use crate::wire::target::Target;
use crate::wire::web_socket::WebSocket;

const CONNECTING: usize = 16;

/// Connections to several instances send to all at a steady pace.
#[derive(Debug, Clone, Args)]
pub struct FleetOptions {
    /// The hub on another instance, besides --url; again for each
    #[arg(long = "other", required = true)]
    pub others: Vec<Target>,
    /// How hub messages are written
    #[arg(long, value_enum, default_value_t = Protocol::Json)]
    pub protocol: Protocol,
    /// Connections that send, and receive too; they go round the instances [default: one on each]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub senders: Option<u32>,
    /// Connections to each instance that only receive
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=5000))]
    pub receivers: u32,
    /// Broadcasts a second, of all senders together
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// Seconds to send for
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Seconds to send for before counting
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=60))]
    pub warm_up: u32,
}

/// Calls `Broadcast` on all instances, in turn, and checks what every connection receives.
///
/// Latency is that of messages sent on one instance and received on another. Of what waits because an instance does not read
/// its sender, it counts from the moment it was due.
///
/// # Errors
/// A connection could not be opened, or a sender's was lost. A receiver's that is lost is counted.
pub async fn fleet(
    target: &Target,
    options: &FleetOptions,
    progress: &mut dyn FnMut(Phase),
) -> anyhow::Result<FleetReport> {
    let targets: Vec<&Target> = [target].into_iter().chain(&options.others).collect();
    let instances = u32::try_from(targets.len())?;
    let senders = options.senders.unwrap_or(instances);
    let connections = senders + options.receivers * instances;
    let broadcasts = options.rate.checked_mul(options.seconds).context("too many broadcasts")?;
    ensure!(
        u64::from(broadcasts) * u64::from(connections) <= DELIVERY_LIMIT,
        "more than {DELIVERY_LIMIT} deliveries"
    );
    check_room(connections as usize)?;

    let clock = Clock::start();
    let arrivals = Arrivals::new(clock, broadcasts, Origins { senders, instances });
    let mut sending = Vec::new();
    for (number, target) in (0..senders).zip(targets.iter().cycle()) {
        sending.push(Sender {
            connection: WebSocket::open(target, options.protocol).await?,
            tally: Tally::new(&arrivals, number as usize, number % instances),
            arrivals: Arc::clone(&arrivals),
            clock,
            connections: u64::from(connections),
            protocol: options.protocol,
            rate: options.rate,
            number,
            senders,
            stamped: Stamped::WhenDue,
            payload: 100,
        });
    }
    let mut crowds = Vec::new();
    for (instance, target) in (0..).zip(&targets) {
        let tally = || Tally::new(&arrivals, instance as usize, instance);
        let receivers = options.receivers as usize;
        crowds.push(
            Crowd::gather(target, Transport::WebSockets, options.protocol, receivers, CONNECTING, tally)
                .await?,
        );
    }
    tell(progress, Phase::Connected).await;
    tokio::time::sleep(SETTLE).await;
    let (sending, _) = run(sending, Purpose::WarmUp, options.rate * options.warm_up).await?;
    tell(progress, Phase::Running).await;
    let started_micros = clock.micros();
    let (sending, late_max) = run(sending, Purpose::Measured, broadcasts).await?;
    tell(progress, Phase::Finished).await;

    let mut members = Vec::new();
    for crowd in crowds {
        members.extend(crowd.leave().await);
    }
    let received = members.iter().map(|member| &member.listener);
    let tallies: Vec<&Tally> = received.chain(sending.iter().map(|sender| &sender.tally)).collect();
    let ended_micros = tallies.iter().map(|tally| tally.last_micros).max().unwrap_or_default();
    let seconds = Duration::from_micros(ended_micros.saturating_sub(started_micros)).as_secs_f64();
    let (mut here, mut elsewhere) = (Counts::default(), Counts::default());
    for [more_here, more_elsewhere] in tallies.iter().map(|tally| tally.counts()) {
        here += more_here;
        elsewhere += more_elsewhere;
    }
    Ok(FleetReport {
        instances: targets.len(),
        senders,
        connections,
        broadcasts,
        seconds,
        broadcasts_per_second: f64::from(broadcasts) / seconds,
        here,
        elsewhere,
        latency: arrivals.latency(),
        sender_late_max_micros: u64::try_from(late_max.as_micros())?,
        lost: members.iter().filter(|member| member.lost.is_some()).count(),
        lost_reason: members.into_iter().find_map(|member| member.lost),
    })
}

/// All senders at once; returns them in their order, and by how much one of them was late.
async fn run(senders: Vec<Sender>, purpose: Purpose, count: u32) -> anyhow::Result<(Vec<Sender>, Duration)> {
    let mut running = JoinSet::new();
    for mut sender in senders {
        running.spawn(async move {
            let late = sender.run(purpose, count).await?;
            anyhow::Ok((sender, late))
        });
    }
    let mut senders = Vec::new();
    let mut late_max = Duration::ZERO;
    while let Some(ended) = running.join_next().await {
        let (sender, late) = ended??;
        senders.push(sender);
        late_max = late_max.max(late);
    }
    senders.sort_by_key(|sender| sender.number);
    Ok((senders, late_max))
}
