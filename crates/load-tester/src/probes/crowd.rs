//! Many connections that listen.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

use crate::measure::{Percentiles, Recorder};
use crate::wire::connection::{Connection, PING_INTERVAL, Receive, Transport};
use crate::wire::messages::Protocol;
use crate::wire::target::Target;

/// What a member of the crowd does with what it receives.
pub(crate) trait Listener: Send + 'static {
    fn message(&mut self, kind: u8, message: &[u8]);
}

/// Connections that are kept alive until [`Crowd::leave`]; dropping it cuts them off.
#[derive(Debug)]
pub(crate) struct Crowd<L> {
    members: JoinSet<Member<L>>,
    stop: watch::Sender<bool>,
    pub(crate) connect_time: Duration,
    pub(crate) connect_latency: Percentiles,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct Member<L> {
    pub(crate) listener: L,
    /// Why it ended before it should.
    pub(crate) lost: Option<String>,
}

impl<L: Listener> Crowd<L> {
    /// Opens `count` connections, at most `connecting` at a time.
    ///
    /// # Errors
    /// The first connection that fails; a measurement with fewer would not be comparable.
    pub(crate) async fn gather(
        target: &Target,
        transport: Transport,
        protocol: Protocol,
        count: usize,
        connecting: usize,
        listener: impl FnMut() -> L,
    ) -> anyhow::Result<Self> {
        let target = Arc::new(target.clone());
        let same = |_| Arc::clone(&target);
        Self::gather_each(same, transport, protocol, count, connecting, listener).await
    }

    /// As [`Crowd::gather`], each connection to a target of its own.
    pub(crate) async fn gather_each(
        target: impl Fn(usize) -> Arc<Target>,
        transport: Transport,
        protocol: Protocol,
        count: usize,
        connecting: usize,
        mut listener: impl FnMut() -> L,
    ) -> anyhow::Result<Self> {
        let permits = Arc::new(Semaphore::new(connecting));
        let (stop, stopped) = watch::channel(false);
        let (opened, mut openings) = mpsc::channel(connecting);
        let started = Instant::now();
        let mut members = JoinSet::new();
        for number in 0..count {
            let (target, permits) = (target(number), Arc::clone(&permits));
            let (opened, stopped, listener) = (opened.clone(), stopped.clone(), listener());
            members.spawn(async move {
                match open(&target, transport, protocol, &permits).await {
                    Ok((connection, took)) => {
                        let _ = opened.send(Ok(took)).await;
                        drop(opened);
                        listen(connection, listener, stopped).await
                    }
                    Err(error) => {
                        let lost = Some(format!("{error:#}"));
                        let _ = opened.send(Err(error)).await;
                        Member { listener, lost }
                    }
                }
            });
        }
        drop(opened);
        let mut latency = Recorder::new();
        for number in 1..=count {
            let took = openings.recv().await.context("a connection's task ended early")?;
            let took = took.with_context(|| format!("connection {number} of {count}"))?;
            latency.record(u64::try_from(took.as_micros())?);
        }
        let connect_time = started.elapsed();
        Ok(Self { members, stop, connect_time, connect_latency: latency.percentiles() })
    }

    /// Closes all connections.
    pub(crate) async fn leave(self) -> Vec<Member<L>> {
        self.stop.send_replace(true);
        self.members.join_all().await
    }
}

async fn open(
    target: &Target,
    transport: Transport,
    protocol: Protocol,
    permits: &Semaphore,
) -> anyhow::Result<(Connection, Duration)> {
    let _permit = permits.acquire().await?;
    let started = Instant::now();
    let connection = Connection::open(target, transport, protocol).await?;
    Ok((connection, started.elapsed()))
}

async fn listen<L: Listener>(
    mut connection: Connection,
    mut listener: L,
    mut stopped: watch::Receiver<bool>,
) -> Member<L> {
    let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
    let lost = loop {
        let step = tokio::select! {
            received = connection.receive(|kind, message| listener.message(kind, message)) => received,
            _ = pings.tick() => connection.ping().await,
            // An error means that the crowd is gone, which stops its members too.
            _ = stopped.changed() => break None,
        };
        if let Err(error) = step {
            break Some(format!("{error:#}"));
        }
    };
    if lost.is_none() {
        connection.close();
    }
    Member { listener, lost }
}

/// Refuses more connections than this process may open.
///
/// # Errors
/// Says how many it may open.
pub(crate) fn check_room(connections: usize) -> anyhow::Result<()> {
    const OTHER_FILES: usize = 64;
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let open_files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
    if let Some(limit) = open_files {
        ensure!(
            connections + OTHER_FILES <= limit,
            "{connections} connections do not fit into this process: it may open {limit} files (ulimit -n)"
        );
    }
    Ok(())
}
