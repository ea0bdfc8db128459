//! The last hour of an instance, one point for each 10 s.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hubline::Server;
use hubline_supervision::Vital;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::figures::{Reading, in_ms, quantile, rate, refusals};
use super::host::Host;
use super::ring::milliseconds;

/// Points that are kept: an hour.
const MOST_POINTS: usize = 360;
pub(super) const STEP: Duration = Duration::from_secs(10);
const STEP_MS: u64 = 10_000;

/// What the columns of a point are.
pub(super) const FIELDS: [&str; 12] = [
    "at",
    "connections",
    "messagesIn",
    "messagesOut",
    "callsP50Ms",
    "callsP99Ms",
    "deliveriesP50Ms",
    "deliveriesP99Ms",
    "redisMs",
    "slowClients",
    "dropped",
    "refused",
];

/// A point as it is shown: its [`FIELDS`].
pub(super) type Shown = [Option<f64>; FIELDS.len()];

/// The points of this instance. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub(super) struct History(Arc<Mutex<VecDeque<Point>>>);

/// 10 s.
#[derive(Debug, Clone, Copy)]
struct Point {
    /// Their end, in milliseconds since 1970: a multiple of 10,000, so that points of several instances stand above each other.
    at: u64,
    connections: u32,
    messages_in: f64,
    messages_out: f64,
    calls_p50_ms: Option<f64>,
    calls_p99_ms: Option<f64>,
    /// Of messages to other instances.
    deliveries_p50_ms: Option<f64>,
    deliveries_p99_ms: Option<f64>,
    redis_ms: Option<f64>,
    slow_clients: u32,
    dropped: u32,
    refused: u32,
}

impl History {
    /// The points of the last minutes, oldest first.
    pub(super) fn last(&self, minutes: u32) -> Vec<Shown> {
        let points = self.0.lock();
        let since = milliseconds(SystemTime::now()).saturating_sub(u64::from(minutes) * 60_000);
        points.iter().filter(|point| point.at > since).map(Point::shown).collect()
    }

    fn add(&self, point: Point) {
        let mut points = self.0.lock();
        // A clock that was set back begins anew.
        points.retain(|known| known.at < point.at);
        while points.len() >= MOST_POINTS {
            points.pop_front();
        }
        points.push_back(point);
    }
}

impl Point {
    fn between(before: &Reading, now: &Reading, seconds: f64, at: u64, redis: Option<Duration>) -> Self {
        let (calls, deliveries) = (now.calls_since(before), now.deliveries_since(before));
        let count = |now: u64, before: u64| u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX);
        Self {
            at,
            connections: u32::try_from(now.connections).unwrap_or(u32::MAX),
            messages_in: rate(calls.iter().sum(), seconds),
            messages_out: rate(now.messages_out.saturating_sub(before.messages_out), seconds),
            calls_p50_ms: quantile(&calls, 0.5),
            calls_p99_ms: quantile(&calls, 0.99),
            deliveries_p50_ms: quantile(&deliveries, 0.5),
            deliveries_p99_ms: quantile(&deliveries, 0.99),
            redis_ms: redis.map(in_ms),
            slow_clients: count(now.slow_clients, before.slow_clients),
            dropped: count(now.dropped, before.dropped),
            refused: count(now.refused, before.refused),
        }
    }

    fn shown(&self) -> Shown {
        [
            Some(self.at as f64),
            Some(self.connections.into()),
            Some(self.messages_in),
            Some(self.messages_out),
            self.calls_p50_ms,
            self.calls_p99_ms,
            self.deliveries_p50_ms,
            self.deliveries_p99_ms,
            self.redis_ms,
            Some(self.slow_clients.into()),
            Some(self.dropped.into()),
            Some(self.refused.into()),
        ]
    }
}

/// Adds a point each 10 s.
pub(super) struct Recording {
    pub(super) history: History,
    pub(super) server: Server,
    pub(super) host: Arc<dyn Host>,
}

impl Vital for Recording {
    const NAME: &'static str = "history for consoles";

    async fn run(&mut self) {
        let (mut before, mut begun) = (self.read(), Instant::now());
        loop {
            let left = STEP_MS - milliseconds(SystemTime::now()) % STEP_MS;
            sleep(Duration::from_millis(left)).await;
            let now = self.read();
            let seconds = begun.elapsed().as_secs_f64();
            if seconds < STEP.as_secs_f64() / 2.0 {
                continue;
            }
            // Not far from a whole step: clocks and timers do not agree to the millisecond.
            let at = (milliseconds(SystemTime::now()) + STEP_MS / 2) / STEP_MS * STEP_MS;
            self.history.add(Point::between(&before, &now, seconds, at, self.host.redis_round_trip()));
            (before, begun) = (now, Instant::now());
        }
    }
}

impl Recording {
    fn read(&self) -> Reading {
        let statistics = self.server.statistics();
        Reading::of(&statistics, &refusals(&statistics, &*self.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_in_few_bytes_and_gaps_stay_gaps() {
        let history = History::default();
        let now = milliseconds(SystemTime::now()) / STEP_MS * STEP_MS;
        let (mut before, mut reading) = (Reading::default(), Reading::default());
        for step in (0..1_000_u64).rev().filter(|step| *step != 3) {
            reading.messages_out += 70;
            reading.calls[4] += 20;
            reading.deliveries[0] += 50;
            reading.deliveries[3] += 2;
            reading.connections = step;
            history.add(Point::between(&before, &reading, 10.0, now - step * STEP_MS, None));
            before = reading.clone();
        }
        assert!(size_of::<Point>() * history.0.lock().capacity() <= 200 * 1024);
        assert_eq!(history.0.lock().len(), MOST_POINTS);
        let last = history.last(1);
        let at: Vec<_> = last.iter().map(|point| (now as f64 - point[0].unwrap()) / 10_000.0).collect();
        assert_eq!(at, [5.0, 4.0, 2.0, 1.0, 0.0]);
        let [_, connections, messages_in, messages_out, latencies @ .., slow, _, _] = last[4];
        assert_eq!((connections, messages_in, messages_out), (Some(0.0), Some(2.0), Some(7.0)));
        assert_eq!((latencies, slow), ([Some(5.0), Some(5.0), Some(0.1), Some(2.5), None], Some(0.0)));
        history.add(Point::between(&before, &reading, 10.0, now - 2 * STEP_MS, None));
        assert_eq!(history.last(1).len(), 3, "the clock was set back");
    }
}
