//! The time without a link, told in few lines.

use std::fmt;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff};
use tokio::time::Instant;

use super::driver::pause;
use crate::RedisEndpoint;
use crate::client::link::BACK_OFF;

/// Links that lived this long are a fresh start for the back-off.
const LIVED: Duration = Duration::from_secs(2);
const BETWEEN_REMINDERS: Duration = Duration::from_secs(30);

pub(super) struct Outage {
    since: Instant,
    attempts: u32,
    /// When the last one ended; before the first connection there is none.
    up_since: Option<Instant>,
    is_up: bool,
    /// Where messages went last.
    at: Option<RedisEndpoint>,
    last_line: Option<Instant>,
    delays: ExponentialBackoff,
}

impl Outage {
    pub(super) fn begin() -> Self {
        let since = Instant::now();
        let delays = BACK_OFF.build();
        Self { since, attempts: 0, up_since: None, is_up: false, at: None, last_line: None, delays }
    }

    /// The very first attempt comes at once.
    pub(super) async fn pause(&mut self) {
        if self.attempts > 0 || self.up_since.is_some() {
            pause(&mut self.delays).await;
        }
    }

    pub(super) fn attempt_failed(&mut self, reason: &dyn fmt::Display) {
        self.attempts += 1;
        if self.last_line.is_none_or(|last| last.elapsed() >= BETWEEN_REMINDERS) {
            self.last_line = Some(Instant::now());
            tracing::warn!(%reason, attempts = self.attempts, "not connected to Redis, serving this instance alone");
        }
    }

    /// Whether there was a link before it.
    pub(super) fn is_after_another(&self) -> bool {
        self.up_since.is_some()
    }

    /// Whether messages went to another server before it.
    pub(super) fn leads_elsewhere(&self, at: &RedisEndpoint) -> bool {
        self.at.as_ref().is_some_and(|before| before != at)
    }

    /// Whether it was not the time before the first connection.
    pub(super) fn ended(
        &mut self,
        at: &RedisEndpoint,
        channels: usize,
        (to_send, _): (usize, usize),
    ) -> bool {
        let after = self.since.elapsed();
        let again = self.up_since.is_some();
        match again {
            false => tracing::info!(%at, channels, ?after, "connected to Redis"),
            true => tracing::info!(%at, channels, ?after, to_send, "connection to Redis restored"),
        }
        self.at = Some(at.clone());
        self.up_since = Some(Instant::now());
        self.is_up = true;
        again
    }

    pub(super) fn link_lost(&mut self, reason: &dyn fmt::Display) {
        if !std::mem::take(&mut self.is_up) {
            return self.attempt_failed(reason);
        }
        tracing::warn!(%reason, "connection to Redis lost, serving this instance alone");
        if self.up_since.is_some_and(|since| since.elapsed() >= LIVED) {
            self.delays = BACK_OFF.build();
        }
        (self.since, self.attempts, self.last_line) = (Instant::now(), 0, Some(Instant::now()));
    }
}
