//! The task behind a node: connects, restores, serves, and connects again.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use hubline_backplane::Status;
use tokio::time::{Instant, timeout};

use super::node::Node;
use super::outgoing::Waiting;
use super::publisher::{FAREWELL, Patience, Publisher};
use super::subscriber;
use crate::RedisOptions;
use crate::link::{ConnectError, LinkLost};
use crate::topology::Links;

/// Between attempts to connect: 50 ms at first, doubled up to 400 ms, each time up to twice that at random, so
/// that subscriptions are back within a second of Redis and a fleet does not return in one instant.
const BACK_OFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_max_delay(Duration::from_millis(400))
    .without_max_times()
    .with_jitter();
/// Links that lived this long are a fresh start for the back-off.
const LIVED: Duration = Duration::from_secs(2);
const BETWEEN_REMINDERS: Duration = Duration::from_secs(30);

async fn pause(delays: &mut ExponentialBackoff) {
    let delay = delays.next().unwrap_or(LIVED);
    tokio::time::sleep(delay).await;
}

impl Node {
    /// The first connection, in `connectRetry` attempts.
    pub(super) async fn open(&self) -> Result<Links, ConnectError> {
        let mut delays = BACK_OFF.build();
        let mut attempts = self.options.connect_retry.max(1);
        loop {
            attempts -= 1;
            match self.location.open(&self.options, &self.client_name).await {
                Err(_) if attempts > 0 => pause(&mut delays).await,
                outcome => return outcome,
            }
        }
    }

    /// Connects, serves, and connects again, for as long as anybody holds the backplane.
    pub(super) async fn drive(self: Arc<Self>, mut first: Option<Links>, mut waiting: Waiting) {
        let mut outage = Outage::begin();
        loop {
            let links = match first.take() {
                Some(links) => links,
                None => tokio::select! {
                    links = self.connect(&mut outage) => links,
                    // Published while the link went.
                    () = waiting.deliver_here(&self.subscriptions) => return,
                },
            };
            self.serve(links, &mut waiting, &mut outage).await;
        }
    }

    async fn connect(&self, outage: &mut Outage) -> Links {
        loop {
            outage.pause().await;
            match self.location.open(&self.options, &self.client_name).await {
                Ok(links) => return links,
                Err(error) => {
                    outage.attempt_failed(&error);
                    self.disconnected(&error);
                }
            }
        }
    }

    fn disconnected(&self, reason: &dyn fmt::Display) {
        self.status.set(Status::Disconnected(reason.to_string()));
    }

    /// Restores the subscriptions, then publishes, until one of the links is lost.
    async fn serve(&self, links: Links, waiting: &mut Waiting, outage: &mut Outage) {
        let RedisOptions { keep_alive, async_timeout: answer, .. } = *self.options;
        let patience = Patience { keep_alive, answer };
        let master = links.publishing.endpoint.clone();
        let superseded = self.location.superseded(&master, &self.options, &self.client_name);
        let mut publisher = Publisher::new(links.publishing, &self.echoes, &self.subscriptions, patience);
        let publish = async {
            tokio::select! {
                channels = self.subscriptions.restored() => {
                    outage.ended(channels);
                    self.status.set(Status::Connected);
                }
                () = waiting.deliver_here(&self.subscriptions) => {}
            }
            publisher.run(waiting).await
        };
        self.subscriptions.link_opened();
        let subscriber = subscriber::run(links.subscribing, &self.subscriptions, &self.echoes, patience);
        let mut subscriber = pin!(subscriber);
        let (lost, of_publisher) = tokio::select! {
            lost = &mut subscriber => (lost, false),
            lost = publish => (lost, true),
            lost = superseded => (lost, false),
        };
        self.disconnected(&lost);
        outage.link_lost(&lost);
        if of_publisher {
            // Echoes of what Redis has answered are still to be read.
            self.subscriptions.ping();
            let rest = async {
                tokio::select! { _ = subscriber => {}, () = self.subscriptions.caught_up() => {} }
            };
            let _ = timeout(FAREWELL, rest).await;
        }
        self.subscriptions.link_lost();
        publisher.give_up(of_publisher.then_some(&lost)).await;
    }
}

/// The time without a link, told in few lines.
struct Outage {
    since: Instant,
    attempts: u32,
    /// When the last one ended; before the first connection there is none.
    up_since: Option<Instant>,
    is_up: bool,
    last_line: Option<Instant>,
    delays: ExponentialBackoff,
}

impl Outage {
    fn begin() -> Self {
        let since = Instant::now();
        Self { since, attempts: 0, up_since: None, is_up: false, last_line: None, delays: BACK_OFF.build() }
    }

    /// The very first attempt comes at once.
    async fn pause(&mut self) {
        if self.attempts > 0 || self.up_since.is_some() {
            pause(&mut self.delays).await;
        }
    }

    fn attempt_failed(&mut self, reason: &dyn fmt::Display) {
        self.attempts += 1;
        if self.last_line.is_none_or(|last| last.elapsed() >= BETWEEN_REMINDERS) {
            self.last_line = Some(Instant::now());
            tracing::warn!(%reason, attempts = self.attempts, "not connected to Redis, serving this instance alone");
        }
    }

    fn ended(&mut self, channels: usize) {
        let after = self.since.elapsed();
        match self.up_since {
            None => tracing::info!(channels, ?after, "connected to Redis"),
            Some(_) => tracing::info!(channels, ?after, "connection to Redis restored"),
        }
        self.up_since = Some(Instant::now());
        self.is_up = true;
    }

    fn link_lost(&mut self, reason: &LinkLost) {
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
