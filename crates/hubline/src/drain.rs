//! How an instance leaves a fleet while its clients go on.

use std::fmt;
use std::time::Duration;

use hubline_hub::{DrainingConnection, HubContext};
use hubline_protocol::random_bytes;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::Server;

/// How many clients are sent away together at least. Coming back costs ten times what leaving does, and is others' work.
const LEAST_BATCH: usize = 4;
/// Between two batches, give or take half of it.
const BETWEEN_BATCHES: Duration = Duration::from_millis(40);

/// How long draining takes; see [`Server::drain`].
///
/// A [`Duration`] is the options of that timeout without a delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainOptions {
    /// How long everybody is served on while negotiations are answered with 503. Load balancers notice meanwhile, and clients that have
    /// negotiated connect. Default: 5 s.
    pub delay: Duration,
    /// How long clients may take to leave, and calls and streams to end, after that. Default: 3 s.
    pub timeout: Duration,
}

impl Default for DrainOptions {
    fn default() -> Self {
        Self { delay: Duration::from_secs(5), timeout: Duration::from_secs(3) }
    }
}

impl From<Duration> for DrainOptions {
    fn from(timeout: Duration) -> Self {
        Self { delay: Duration::ZERO, timeout }
    }
}

impl DrainOptions {
    /// Sets [`DrainOptions::delay`].
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Sets [`DrainOptions::timeout`].
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

/// What was left when draining was over. Nothing, unless time ran out, a client did not read, or Redis was away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections that had not ended, their clients' part of it included.
    pub connections: usize,
    /// Calls that still run, whose results nobody gets.
    pub calls: usize,
    /// Streams for clients that were cut.
    pub streams: usize,
    /// Messages that had reached neither their clients nor, if they were for other instances, the backplane.
    pub messages: u64,
}

impl Drained {
    /// Whether nothing was left.
    pub fn is_complete(&self) -> bool {
        *self == Self::default()
    }
}

/// Like `0 connections, 0 calls, 0 streams and 0 unsent messages`.
impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, calls, streams, messages } = self;
        write!(
            f,
            "{connections} connections, {calls} calls, {streams} streams and {messages} unsent messages"
        )
    }
}

impl Server {
    /// Leaves the fleet so that clients notice no more than one reconnect, and says what was left:
    ///
    /// 1. Negotiations are answered with 503 ([`Server::refuse_negotiations`]), and everything else is served, for
    ///    [`DrainOptions::delay`].
    /// 2. Clients are handed over ([`Server::hand_over`]), within [`DrainOptions::timeout`].
    ///
    /// The HTTP server has to serve until this is over, since clients with long polling send further requests: stop it
    /// afterwards. [`run`](crate::run) does both. Have the readiness probe fail before you call this.
    ///
    /// ```
    /// # async fn run(listener: tokio::net::TcpListener, app: axum::Router, server: hubline::Server) {
    /// # use tokio_util::sync::CancellationToken;
    /// let stop = CancellationToken::new();
    /// let serving = tokio::spawn(hubline::serve(listener, app, stop.clone()));
    /// // ... until it is time to end:
    /// let left = server.drain(hubline::DrainOptions::default()).await;
    /// stop.cancel();
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropped, negotiations stay refused, and clients that were not handed over yet stay. It may be called again.
    pub async fn drain(&self, options: impl Into<DrainOptions> + Send) -> Drained {
        let DrainOptions { delay, timeout } = options.into();
        self.refuse_negotiations();
        sleep(delay).await;
        self.hand_over(timeout).await
    }

    /// Answers negotiations with 503 and `Retry-After` from now on, so that new clients go to other instances. Connections are served,
    /// those too that open with what was negotiated before, by any instance: a client whose WebSocket is refused would go on to its next
    /// transport rather than negotiate again.
    pub fn refuse_negotiations(&self) {
        self.connections().refuse_negotiations();
    }

    /// Sends every client to another instance, by a Close message with `allowReconnect`, and says what was left:
    ///
    /// - Clients leave in batches, in random order and spread over two thirds of `timeout`, so that they do not come back all at once, but at
    ///   least 100 in a second. Those that connect meanwhile are sent on as soon as they are there.
    /// - A client with running calls or streams, or that is to return a result, leaves once these have ended. When
    ///   five sixths of `timeout` are over those that are still there are closed; calls run on, and streams are cancelled.
    /// - Everything sent to a client is sent before its Close; what waits for the backplane is waited for.
    /// - Connections without a hub leave among the others: their handlers are told ([`Connection::receive`](crate::Connection::receive)
    ///   returns `None`), and waited for.
    ///
    /// Then this instance is removed from the session directory, if there is one. It takes no longer than `timeout`, but for the time of the
    /// directory's last command.
    ///
    /// # Cancel safety
    /// Dropped, clients that were not handed over yet stay. It may be called again.
    pub async fn hand_over(&self, timeout: Duration) -> Drained {
        let begun = Instant::now();
        let deadline = begun + timeout;
        self.refuse_negotiations();
        self.begin_stopping();
        let hubs = self.hubs();
        let of_hubs = hubs.iter().flat_map(HubContext::begin_drain).map(Leaving::OfHub);
        let others = self.stops().begin().into_iter().map(Leaving::WithoutHub);
        let mut waiting: Vec<_> = of_hubs.chain(others).collect();
        shuffle(&mut waiting);
        let handed_over = async {
            let leaving = async {
                hand_over_in_batches(waiting, timeout / 3 * 2).await;
                self.ended().await;
            };
            if timeout_at(begun + timeout / 6 * 5, leaving).await.is_err() {
                self.stops().tell_all();
                for hub in &hubs {
                    hub.close_all();
                }
                self.ended().await;
            }
            for hub in &hubs {
                hub.flush().await;
            }
        };
        _ = timeout_at(deadline, handed_over).await;
        let waiting = async {
            while self.backplane_statistics().waiting > 0 {
                sleep(BETWEEN_BATCHES).await;
            }
        };
        _ = timeout_at(deadline, waiting).await;
        let drained = self.left();
        self.leave_directory().await;
        drained
    }

    fn left(&self) -> Drained {
        let transports = self.connections().statistics();
        let open = [transports.web_sockets, transports.server_sent_events, transports.long_polling];
        let open = open.iter().map(|transport| transport.active).sum::<u64>();
        let mut drained = Drained {
            connections: self.connection_count().max(usize::try_from(open).unwrap_or(usize::MAX)),
            messages: self.backplane_statistics().waiting,
            ..Drained::default()
        };
        for left in self.hubs().iter().map(HubContext::left) {
            drained.calls += left.calls;
            drained.streams += left.streams;
            drained.messages += left.messages as u64;
        }
        drained
    }
}

/// A connection that is to leave.
enum Leaving {
    OfHub(DrainingConnection),
    WithoutHub(CancellationToken),
}

impl Leaving {
    fn hand_over(self) {
        match self {
            Self::OfHub(connection) => connection.hand_over(),
            Self::WithoutHub(stopping) => stopping.cancel(),
        }
    }
}

/// Spreads the connections over this time, as far as there are more than a few.
async fn hand_over_in_batches(waiting: Vec<Leaving>, window: Duration) {
    let begun = Instant::now();
    let batches = (window.as_millis() / BETWEEN_BATCHES.as_millis()).max(1);
    let size = waiting.len().div_ceil(usize::try_from(batches).unwrap_or(usize::MAX)).max(LEAST_BATCH);
    let mut waiting = waiting.into_iter().peekable();
    let mut number = 0;
    while waiting.peek().is_some() {
        waiting.by_ref().take(size).for_each(Leaving::hand_over);
        number += 1;
        if waiting.peek().is_some() {
            sleep_until(begun + BETWEEN_BATCHES * number + jitter()).await;
        }
    }
}

/// Up to half of what is between two batches.
fn jitter() -> Duration {
    BETWEEN_BATCHES / 2 * u32::from(random_bytes::<1>()[0]) / u32::from(u8::MAX)
}

/// Fisher and Yates'.
fn shuffle<T>(items: &mut [T]) {
    for end in (1..items.len()).rev() {
        let other = u64::from_be_bytes(random_bytes()) % (end as u64 + 1);
        items.swap(end, usize::try_from(other).unwrap_or(end));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connections_without_a_hub_leave_in_turn_too() {
        let server = Server::new();
        let begun = Instant::now();
        let leaving = (0..500).map(|_| server.stops().register()).map(|connection| async move {
            connection.stopping.cancelled().await;
            begun.elapsed()
        });
        let leaving = join_all(leaving.collect::<Vec<_>>());
        let (left, times) = tokio::join!(server.hand_over(Duration::from_secs(3)), leaving);
        assert!(left.is_complete(), "{left}");
        let mut batches = BTreeMap::<Duration, usize>::new();
        times.into_iter().for_each(|time| *batches.entry(time).or_default() += 1);
        assert!(batches.len() >= 10 && batches.values().all(|size| *size <= 50), "{batches:?}");
        assert!(server.stops().register().stopping.is_cancelled(), "who comes later is told at once");
    }
}
