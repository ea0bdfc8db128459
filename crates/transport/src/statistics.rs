//! What is counted of connections: what ASP.NET Core counts, as its meter `Microsoft.AspNetCore.Http.Connections`.

use std::time::Duration;

use hubline_protocol::negotiate::TransportKind;

use crate::AddressRefusals;

/// The connections of one instance, by transport.
///
/// A connection counts from the request that brings its transport until the hub is done with it, on the instance
/// that has it; the sockets of a stateful reconnect are one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionStatistics {
    /// Over WebSockets.
    pub web_sockets: TransportStatistics,
    /// Over server-sent events.
    pub server_sent_events: TransportStatistics,
    /// Over long polling.
    pub long_polling: TransportStatistics,
    /// Requests that got 503 because 10,000 connections of their kind wait for their transport: negotiations of version 0,
    /// and refreshes before the transport.
    pub refused: u64,
    /// Negotiations that got 503 because this instance leaves ([`Connections::refuse_negotiations`](crate::Connections::refuse_negotiations)).
    pub negotiations_refused: u64,
    /// Clients that had to wait for their turn ([`Connections::limit_rate`](crate::Connections::limit_rate)).
    pub delayed: u64,
    /// Requests that [`AddressLimits`](crate::AddressLimits) have refused.
    pub address_refusals: AddressRefusals,
}

/// The connections over one transport.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportStatistics {
    /// Number of connections now.
    pub active: u64,
    /// Durations of connections that the client or the hub has ended, or that were lost.
    pub normal_closure: Durations,
    /// Durations of connections whose client has sent no poll for 15 s.
    pub timeout: Durations,
    /// Durations of connections that ended while the server was stopping.
    pub app_shutdown: Durations,
}

impl TransportStatistics {
    /// Number of connections that were ever opened.
    pub fn opened(&self) -> u64 {
        let ended = [&self.normal_closure, &self.timeout, &self.app_shutdown];
        self.active + ended.iter().map(|durations| durations.count).sum::<u64>()
    }
}

/// How long connections lasted, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Durations {
    /// Number of connections.
    pub count: u64,
    /// Sum of their durations.
    pub sum: Duration,
    /// How many lasted no longer than the bound at the same place of [`Durations::BOUNDS`], and longer than the one
    /// before. The last is for those that lasted longer than all bounds.
    pub buckets: [u64; Self::BOUNDS.len() + 1],
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndStatus {
    NormalClosure,
    Timeout,
    AppShutdown,
}

impl ConnectionStatistics {
    pub(crate) fn began(&mut self, transport: TransportKind) {
        self.of(transport).active += 1;
    }

    pub(crate) fn ended(&mut self, transport: TransportKind, status: EndStatus, lasted: Duration) {
        let statistics = self.of(transport);
        statistics.active = statistics.active.saturating_sub(1);
        let durations = match status {
            EndStatus::NormalClosure => &mut statistics.normal_closure,
            EndStatus::Timeout => &mut statistics.timeout,
            EndStatus::AppShutdown => &mut statistics.app_shutdown,
        };
        durations.record(lasted);
    }

    fn of(&mut self, transport: TransportKind) -> &mut TransportStatistics {
        match transport {
            TransportKind::WebSockets => &mut self.web_sockets,
            TransportKind::ServerSentEvents => &mut self.server_sent_events,
            TransportKind::LongPolling => &mut self.long_polling,
        }
    }
}

impl Durations {
    /// The bounds of all buckets but the last, which has none. They are ASP.NET Core's.
    pub const BOUNDS: [Duration; 14] = [
        Duration::from_millis(10),
        Duration::from_millis(20),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(200),
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_secs(2),
        Duration::from_secs(5),
        Duration::from_secs(10),
        Duration::from_secs(30),
        Duration::from_secs(60),
        Duration::from_secs(120),
        Duration::from_secs(300),
    ];

    fn record(&mut self, lasted: Duration) {
        self.count += 1;
        self.sum = self.sum.saturating_add(lasted);
        self.buckets[Self::BOUNDS.partition_point(|bound| *bound < lasted)] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut durations = Durations::default();
        for milliseconds in [0, 10, 11, 300_000, 300_001] {
            durations.record(Duration::from_millis(milliseconds));
        }
        let last = Durations::BOUNDS.len();
        let filled = [0, 1, last - 1, last].map(|bucket| durations.buckets[bucket]);
        assert_eq!(filled, [2, 1, 1, 1]);
        assert_eq!((durations.count, durations.sum), (5, Duration::from_millis(600_022)));
    }

    #[test]
    fn who_has_ended_was_opened() {
        let mut statistics = ConnectionStatistics::default();
        let transport = TransportKind::LongPolling;
        for status in [EndStatus::NormalClosure, EndStatus::Timeout, EndStatus::AppShutdown] {
            statistics.began(transport);
            statistics.began(transport);
            statistics.ended(transport, status, Duration::ZERO);
        }
        assert_eq!((statistics.long_polling.opened(), statistics.long_polling.active), (6, 3));
        assert_eq!(statistics.web_sockets.opened(), 0);
    }
}
