use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Microseconds since the Unix epoch that never go back: one for the server and its clients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    begin_micros: u64,
    begun: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { begin_micros: micros(since), begun: Instant::now() }
    }

    pub(super) fn now_micros(&self) -> u64 {
        self.begin_micros + micros(self.begun.elapsed())
    }

    pub(super) fn instant(&self, at_micros: u64) -> Instant {
        self.begun + Duration::from_micros(at_micros.saturating_sub(self.begin_micros))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// When this program stood still, so that what is late by that is not taken for a planted delay.
#[derive(Debug, Default)]
pub(super) struct Stalls(Mutex<Vec<(u64, u64)>>);

impl Stalls {
    const TICK: Duration = Duration::from_millis(20);
    /// A tick that comes so late is a stall.
    const LATE_MICROS: u64 = 250_000;
    const MOST: usize = 10_000;

    /// Watches until it is dropped.
    pub(super) async fn watch(&self, clock: Clock) {
        let mut ticks = interval(Self::TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = clock.now_micros();
        loop {
            ticks.tick().await;
            let now = clock.now_micros();
            let mut stalls = self.0.lock();
            if now - last > Self::LATE_MICROS && stalls.len() < Self::MOST {
                stalls.push((last, now));
            }
            last = now;
        }
    }

    /// Whether there was one in a span of time.
    pub(super) fn within(&self, from_micros: u64, to_micros: u64) -> bool {
        self.0.lock().iter().any(|(from, to)| *from <= to_micros && from_micros <= *to)
    }
}
