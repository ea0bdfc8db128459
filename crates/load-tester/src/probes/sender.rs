use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::probes::crowd::Listener;
use crate::probes::tally::{Arrivals, Tally};
use crate::wire::connection::Receive;
use crate::wire::messages::{Clock, Protocol, Purpose, Stamp};
use crate::wire::web_socket::WebSocket;

/// How long the last messages may take.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// A sender with so much that the server does not take waits, and so falls behind its pace.
const UNSENT_LIMIT_BYTES: usize = 64 * 1024;

/// From when on the time of a message counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamped {
    /// As it is written.
    WhenSent,
    /// As it is written, or as it was due if the server does not take what was to be written before: that shows then.
    WhenDue,
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

    /// The same in microseconds from the start.
    fn due_micros(&self, sequence: u32) -> u64 {
        (u64::from(sequence) + 1) * 1_000_000 / u64::from(self.rate)
    }

    /// How many are due by then.
    fn due(&self, now: Instant) -> u32 {
        let due = (now - self.started).as_nanos() * u128::from(self.rate) / Duration::from_secs(1).as_nanos();
        u32::try_from(due).unwrap_or(u32::MAX)
    }
}

/// Sends its part of the broadcasts, and receives all of them.
pub(super) struct Sender {
    pub(super) connection: WebSocket,
    pub(super) tally: Tally,
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) clock: Clock,
    /// Those that each broadcast goes to.
    pub(super) connections: u64,
    pub(super) protocol: Protocol,
    /// Of all senders together.
    pub(super) rate: u32,
    /// Which of the senders it is; they take turns.
    pub(super) number: u32,
    pub(super) senders: u32,
    pub(super) stamped: Stamped,
    /// Bytes of each payload, 100 at least.
    pub(super) payload: usize,
}

impl Sender {
    /// Sends what is due of `count` broadcasts, several in one write if it is late, and returns by how much it was at most.
    pub(super) async fn run(&mut self, purpose: Purpose, count: u32) -> anyhow::Result<Duration> {
        let pace = Pace { started: Instant::now(), rate: self.rate };
        let started_micros = self.clock.micros();
        let mut late_max = Duration::ZERO;
        let mut unsent = Vec::new();
        let mut sequence = self.number;
        while sequence < count || !unsent.is_empty() {
            let now = Instant::now();
            let due = pace.due(now).min(count);
            if sequence < due {
                late_max = late_max.max(now - pace.due_at(sequence));
            }
            let is_held_up = !unsent.is_empty();
            while sequence < due && unsent.len() < UNSENT_LIMIT_BYTES {
                let sent_micros = match self.stamped {
                    Stamped::WhenDue if is_held_up => started_micros + pace.due_micros(sequence),
                    Stamped::WhenSent | Stamped::WhenDue => self.clock.micros(),
                };
                let stamp = Stamp { purpose, sequence, sent_micros };
                stamp.push_send(&mut unsent, self.protocol, "Broadcast", self.payload);
                sequence += self.senders;
            }
            let received =
                self.connection.exchange(&mut unsent, |kind, message| self.tally.message(kind, message));
            tokio::select! {
                received = received => received?,
                () = sleep_until(pace.due_at(sequence)), if due <= sequence && sequence < count => {}
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
