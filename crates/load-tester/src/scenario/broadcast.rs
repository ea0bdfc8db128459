use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use tokio::time::{Instant, interval, interval_at};

use super::{Phase, tell};
use crate::connection::Connection;
use crate::crowd::{Crowd, Listener, Member, check_room};
use crate::messages::{Clock, Purpose, Stamp};
use crate::report::BroadcastReport;
use crate::tally::{Arrivals, Tally};
use crate::target::Target;

const DELIVERY_LIMIT: u64 = 1_000_000_000;
const CONNECTING: usize = 64;
const SETTLE: Duration = Duration::from_secs(1);
/// How long the last messages may take.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// One connection sends to all at a steady pace.
#[derive(Debug, Clone, Copy, Args)]
pub struct BroadcastOptions {
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
    check_room(connections)?;

    let clock = Clock::start();
    let arrivals = Arrivals::new(clock, broadcasts);
    let mut number = 0..;
    let mut tally = || Tally::new(&arrivals, number.next().unwrap_or_default());
    let mut sender = Sender {
        connection: Connection::open(target).await?,
        tally: tally(),
        arrivals: Arc::clone(&arrivals),
        clock,
        connections: connections as u64,
        period: Duration::from_secs(1) / options.rate,
        late_max: Duration::ZERO,
    };
    let crowd = Crowd::gather(target, receivers, CONNECTING, tally).await?;
    tell(progress, Phase::Connected).await;
    tokio::time::sleep(SETTLE).await;
    sender.run(Purpose::WarmUp, options.rate * options.warm_up).await?;
    sender.late_max = Duration::ZERO;
    tell(progress, Phase::Running).await;
    sender.run(Purpose::Measured, broadcasts).await?;
    tell(progress, Phase::Finished).await;

    let members = crowd.leave().await;
    let tallies = || members.iter().map(|Member { listener, .. }| listener).chain([&sender.tally]);
    Ok(BroadcastReport {
        connections,
        broadcasts,
        deliveries: arrivals.count(Purpose::Measured),
        missing: tallies().map(Tally::missing).sum(),
        doubled: tallies().map(|tally| tally.doubled).sum(),
        out_of_order: tallies().map(|tally| tally.out_of_order).sum(),
        latency: arrivals.latency(),
        sender_late_max_micros: u64::try_from(sender.late_max.as_micros())?,
        lost: members.iter().filter(|member| member.lost.is_some()).count(),
        lost_reason: members.into_iter().find_map(|member| member.lost),
    })
}

/// Sends, and receives its own broadcasts.
struct Sender {
    connection: Connection,
    tally: Tally,
    arrivals: Arc<Arrivals>,
    clock: Clock,
    connections: u64,
    period: Duration,
    late_max: Duration,
}

impl Sender {
    async fn run(&mut self, purpose: Purpose, count: u32) -> anyhow::Result<()> {
        let mut pace = interval_at(Instant::now() + self.period, self.period);
        let mut frame = Vec::new();
        let mut sequence = 0;
        while sequence < count {
            let due = tokio::select! {
                due = pace.tick() => due,
                received = self.connection.receive(|kind, message| self.tally.message(kind, message)) => {
                    received?;
                    continue;
                }
            };
            self.late_max = self.late_max.max(due.elapsed());
            frame.clear();
            Stamp { purpose, sequence, sent_micros: self.clock.micros() }.push_send(&mut frame, "Broadcast");
            self.connection.send(&frame).await?;
            sequence += 1;
        }
        self.drain(purpose, u64::from(count) * self.connections).await
    }

    /// Waits until all have arrived, or none will.
    async fn drain(&mut self, purpose: Purpose, expected: u64) -> anyhow::Result<()> {
        let deadline = Instant::now() + DRAIN_LIMIT;
        let mut look = interval(Duration::from_millis(20));
        while self.arrivals.count(purpose) < expected && Instant::now() < deadline {
            tokio::select! {
                _ = look.tick() => {}
                received = self.connection.receive(|kind, message| self.tally.message(kind, message)) => received?,
            }
        }
        Ok(())
    }
}
