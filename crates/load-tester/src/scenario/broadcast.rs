use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Phase, tell};
use crate::connection::{Receive, Transport};
use crate::crowd::{Crowd, Listener, Member, check_room};
use crate::messages::{Clock, Protocol, Purpose, Stamp};
use crate::report::BroadcastReport;
use crate::tally::{Arrivals, Tally};
use crate::target::Target;
use crate::web_socket::WebSocket;

const DELIVERY_LIMIT: u64 = 1_000_000_000;
const CONNECTING: usize = 64;
const SETTLE: Duration = Duration::from_secs(1);
/// How long the last messages may take.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// A sender with so much that the server does not take waits, and so falls behind its pace.
const UNSENT_LIMIT_BYTES: usize = 64 * 1024;

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
        connection: WebSocket::open(target, options.protocol).await?,
        tally: tally(),
        arrivals: Arc::clone(&arrivals),
        clock,
        connections: connections as u64,
        protocol: options.protocol,
        rate: options.rate,
    };
    let crowd =
        Crowd::gather(target, Transport::WebSockets, options.protocol, receivers, CONNECTING, tally).await?;
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
    Ok(BroadcastReport {
        connections,
        broadcasts,
        seconds,
        broadcasts_per_second: f64::from(broadcasts) / seconds,
        deliveries: arrivals.count(Purpose::Measured),
        missing: tallies().map(Tally::missing).sum(),
        doubled: tallies().map(|tally| tally.doubled).sum(),
        out_of_order: tallies().map(|tally| tally.out_of_order).sum(),
        latency: arrivals.latency(),
        sender_late_max_micros: u64::try_from(late_max.as_micros())?,
        lost: members.iter().filter(|member| member.lost.is_some()).count(),
        lost_reason: members.into_iter().find_map(|member| member.lost),
    })
}

/// When each message is due.
struct Pace {
    started: Instant,
    rate: u32,
}

impl Pace {
    fn due_at(&self, sequence: u32) -> Instant {
        self.started + Duration::from_secs(1) * (sequence + 1) / self.rate
    }

    /// How many are due by then.
    fn due(&self, now: Instant) -> u32 {
        let due = (now - self.started).as_nanos() * u128::from(self.rate) / Duration::from_secs(1).as_nanos();
        u32::try_from(due).unwrap_or(u32::MAX)
    }
}

/// Sends, and receives its own broadcasts.
struct Sender {
    connection: WebSocket,
    tally: Tally,
    arrivals: Arc<Arrivals>,
    clock: Clock,
    connections: u64,
    protocol: Protocol,
    rate: u32,
}

impl Sender {
    /// Sends what is due, several in one write if it is late, and returns by how much it was at most.
    async fn run(&mut self, purpose: Purpose, count: u32) -> anyhow::Result<Duration> {
        let pace = Pace { started: Instant::now(), rate: self.rate };
        let mut late_max = Duration::ZERO;
        let mut unsent = Vec::new();
        let mut sequence = 0;
        while sequence < count || !unsent.is_empty() {
            let now = Instant::now();
            let due = pace.due(now).min(count);
            if sequence < due {
                late_max = late_max.max(now - pace.due_at(sequence));
            }
            while sequence < due && unsent.len() < UNSENT_LIMIT_BYTES {
                let sent_micros = self.clock.micros();
                Stamp { purpose, sequence, sent_micros }.push_send(&mut unsent, self.protocol, "Broadcast");
                sequence += 1;
            }
            let received =
                self.connection.exchange(&mut unsent, |kind, message| self.tally.message(kind, message));
            tokio::select! {
                received = received => received?,
                () = sleep_until(pace.due_at(sequence)), if due == sequence && sequence < count => {}
            }
        }
        self.drain(purpose, u64::from(count) * self.connections).await?;
        Ok(late_max)
    }

    /// Waits until all have arrived, or none will.
    async fn drain(&mut self, purpose: Purpose, expected: u64) -> anyhow::Result<()> {
        let deadline = Instant::now() + DRAIN_LIMIT;
        while self.arrivals.count(purpose) < expected && Instant::now() < deadline {
            let received = self.connection.receive(|kind, message| self.tally.message(kind, message));
            if let Ok(received) = timeout_at(Instant::now() + LOOK, received).await {
                received?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_due_at_their_time_and_not_before() {
        let pace = Pace { started: Instant::now(), rate: 4000 };
        assert_eq!(pace.due(pace.started), 0);
        for sequence in [0, 1, 2, 3999, 4000, 239_999] {
            assert_eq!(pace.due(pace.due_at(sequence)), sequence + 1);
            assert_eq!(pace.due(pace.due_at(sequence) - Duration::from_nanos(1)), sequence);
        }
    }
}
