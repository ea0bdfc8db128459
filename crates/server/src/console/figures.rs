//! What an instance counts, as consoles show it: no more than what the metrics have.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hubline::{HubProtocol, Latencies, Server, ServerStatistics, Status};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::host::Host;
use super::{CHECK, NAME};

/// Rates are those of so long, or less.
const WINDOW: Duration = Duration::from_secs(10);
/// Readings that are kept for that, and how far they are apart at least, however many ask.
const MOST_READINGS: usize = 24;
const APART: Duration = Duration::from_millis(500);

/// Figures of one instance, or of several together.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    /// Past their handshake, to all hubs.
    pub(super) connections: u64,
    /// How many of these are people at consoles.
    pub(super) console_connections: u64,
    pub(super) by_transport: ByTransport,
    pub(super) by_protocol: ByProtocol,
    pub(super) by_hub: Vec<OfHub>,
    /// Calls that have ended.
    pub(super) messages_in_per_second: f64,
    /// Messages that were handed to clients.
    pub(super) messages_out_per_second: f64,
    /// Messages that were sent to other instances.
    pub(super) published_per_second: f64,
    pub(super) calls: Calls,
    /// From this instance's hubs to other instances.
    #[serde(default)]
    pub(super) deliveries: Deliveries,
    /// Clients that were closed because they read too slowly, since the start.
    pub(super) slow_clients: u64,
    /// Messages that other instances did not get, since the start.
    pub(super) dropped: Vec<Count>,
    pub(super) refusals: Vec<Count>,
    pub(super) closed: Vec<Count>,
    pub(super) redis: RedisLink,
    pub(super) database: DatabaseLink,
    /// `None` if nothing is remembered.
    pub(super) timeline: Option<TimelineFill>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ByTransport {
    pub(super) web_sockets: u64,
    pub(super) server_sent_events: u64,
    pub(super) long_polling: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ByProtocol {
    pub(super) json: u64,
    pub(super) message_pack: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfHub {
    pub(super) hub: String,
    pub(super) connections: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_console: bool,
}

/// How often something has happened, by why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Count {
    pub(super) reason: String,
    pub(super) count: u64,
}

/// Calls of the last seconds: how many, and a time that half, or 99 of 100, of them did not exceed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Calls {
    pub(super) per_second: f64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    /// By duration, of which the instances' together make the fleet's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) buckets: Vec<u64>,
}

/// How long messages to other instances took in the last seconds, of a sample; `None` if there is none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deliveries {
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) buckets: Vec<u64>,
}

/// How many things took how long: each is counted at the place of its bound in [`Latencies::BOUNDS`].
pub(super) type Buckets = [u64; Latencies::BOUNDS.len() + 1];

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RedisLink {
    /// `connected`, `disconnected` or, without Redis, `alone`.
    pub(super) status: String,
    pub(super) why: Option<String>,
    pub(super) round_trip_ms: Option<f64>,
    pub(super) outbox_messages: u64,
    pub(super) outbox_bytes: u64,
    pub(super) reconnects: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DatabaseLink {
    pub(super) status: String,
    pub(super) why: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TimelineFill {
    pub(super) bytes: usize,
    pub(super) limit_bytes: usize,
    pub(super) oldest_at: Option<u64>,
}

/// What is counted at one time.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    pub(super) connections: u64,
    pub(super) calls: Buckets,
    pub(super) deliveries: Buckets,
    pub(super) messages_out: u64,
    pub(super) published: u64,
    pub(super) slow_clients: u64,
    pub(super) dropped: u64,
    pub(super) refused: u64,
}

/// The readings of the last seconds, which rates come from.
#[derive(Debug, Default)]
pub(super) struct Readings(Mutex<VecDeque<(Instant, Reading)>>);

impl Reading {
    pub(super) fn of(statistics: &ServerStatistics, refusals: &[Count]) -> Self {
        let mut reading = Self::default();
        for hub in &statistics.hubs {
            reading.connections += hub.connections as u64;
            reading.slow_clients += hub.closed.get("slow_client").copied().unwrap_or_default();
            if hub.name == NAME {
                continue;
            }
            reading.messages_out += hub.messages_sent;
            for method in &hub.methods {
                for (sum, count) in reading.calls.iter_mut().zip(method.durations.buckets) {
                    *sum += count;
                }
            }
        }
        let backplane = &statistics.backplane;
        reading.published = backplane.published + backplane.replayed;
        reading.deliveries = backplane.latencies.buckets;
        reading.dropped = dropped(statistics).iter().map(|count| count.count).sum();
        reading.refused = refusals.iter().map(|count| count.count).sum();
        reading
    }

    /// Calls between two readings, by duration.
    pub(super) fn calls_since(&self, before: &Self) -> Vec<u64> {
        between(&before.calls, &self.calls)
    }

    /// Messages to other instances between two readings, by how long they took; of a sample.
    pub(super) fn deliveries_since(&self, before: &Self) -> Vec<u64> {
        between(&before.deliveries, &self.deliveries)
    }
}

impl Readings {
    /// Adds a reading, and returns the one that rates are counted from, with the seconds that have passed since.
    pub(super) fn add(&self, reading: Reading) -> (Reading, f64) {
        let now = Instant::now();
        let mut readings = self.0.lock();
        while readings.len() > 1
            && (readings.len() >= MOST_READINGS || readings.get(1).is_some_and(|(at, _)| now - *at >= WINDOW))
        {
            readings.pop_front();
        }
        let (at, before) = readings.front().cloned().unwrap_or_else(|| (now, reading.clone()));
        if readings.back().is_none_or(|(at, _)| now - *at >= APART) {
            readings.push_back((now, reading));
        }
        (before, (now - at).as_secs_f64())
    }
}

fn between(before: &Buckets, now: &Buckets) -> Vec<u64> {
    now.iter().zip(before).map(|(now, before)| now.saturating_sub(*before)).collect()
}

/// Reads what an instance counts now; the timeline is the caller's.
pub(super) fn read(server: &Server, host: &dyn Host, readings: &Readings) -> Figures {
    let statistics = server.statistics();
    let refusals = refusals(&statistics, host);
    let reading = Reading::of(&statistics, &refusals);
    let (before, seconds) = readings.add(reading.clone());
    let per_second = |now: u64, before: u64| rate(now.saturating_sub(before), seconds);
    let buckets = reading.calls_since(&before);
    let transports = &statistics.connections;
    let by_hub: Vec<_> = statistics
        .hubs
        .iter()
        // The hub of `hubline check` has clients now and then.
        .filter(|hub| hub.name != CHECK || hub.connections > 0)
        .map(|hub| OfHub {
            hub: hub.name.clone(),
            connections: hub.connections as u64,
            is_console: hub.name == NAME,
        })
        .collect();
    Figures {
        connections: reading.connections,
        console_connections: by_hub.iter().filter(|hub| hub.is_console).map(|hub| hub.connections).sum(),
        by_transport: ByTransport {
            web_sockets: transports.web_sockets.active,
            server_sent_events: transports.server_sent_events.active,
            long_polling: transports.long_polling.active,
        },
        by_protocol: ByProtocol::default(),
        by_hub,
        messages_in_per_second: rate(buckets.iter().sum(), seconds),
        messages_out_per_second: per_second(reading.messages_out, before.messages_out),
        published_per_second: per_second(reading.published, before.published),
        calls: Calls::new(buckets, seconds),
        deliveries: Deliveries::new(reading.deliveries_since(&before)),
        slow_clients: reading.slow_clients,
        dropped: dropped(&statistics),
        refusals,
        closed: closed(&statistics),
        redis: redis_link(server, host, &statistics),
        database: {
            let (status, why) = link(&host.database());
            DatabaseLink { status, why }
        },
        timeline: None,
    }
}

impl Calls {
    fn new(buckets: Vec<u64>, seconds: f64) -> Self {
        Self {
            per_second: rate(buckets.iter().sum(), seconds),
            p50_ms: quantile(&buckets, 0.5),
            p99_ms: quantile(&buckets, 0.99),
            buckets,
        }
    }

    fn add(&mut self, other: &Self) {
        self.per_second += other.per_second;
        add_buckets(&mut self.buckets, &other.buckets);
        (self.p50_ms, self.p99_ms) = (quantile(&self.buckets, 0.5), quantile(&self.buckets, 0.99));
    }
}

impl Deliveries {
    fn new(buckets: Vec<u64>) -> Self {
        Self { p50_ms: quantile(&buckets, 0.5), p99_ms: quantile(&buckets, 0.99), buckets }
    }

    fn add(&mut self, other: &Self) {
        add_buckets(&mut self.buckets, &other.buckets);
        *self = Self::new(std::mem::take(&mut self.buckets));
    }
}

/// Those of another version, which has other bounds, are in no sum.
fn add_buckets(sums: &mut Vec<u64>, counts: &[u64]) {
    if counts.len() != Latencies::BOUNDS.len() + 1 {
        return;
    }
    sums.resize(counts.len(), 0);
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum += count;
    }
}

impl Figures {
    /// Without what only the fleet's are made from.
    pub(super) fn shown(mut self) -> Self {
        self.calls.buckets.clear();
        self.deliveries.buckets.clear();
        self
    }

    /// Adds those of another instance; links are each instance's own.
    pub(super) fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.console_connections += other.console_connections;
        self.by_transport.web_sockets += other.by_transport.web_sockets;
        self.by_transport.server_sent_events += other.by_transport.server_sent_events;
        self.by_transport.long_polling += other.by_transport.long_polling;
        self.by_protocol.json += other.by_protocol.json;
        self.by_protocol.message_pack += other.by_protocol.message_pack;
        for hub in &other.by_hub {
            match self.by_hub.iter_mut().find(|known| known.hub == hub.hub) {
                Some(known) => known.connections += hub.connections,
                None => self.by_hub.push(hub.clone()),
            }
        }
        self.messages_in_per_second += other.messages_in_per_second;
        self.messages_out_per_second += other.messages_out_per_second;
        self.published_per_second += other.published_per_second;
        self.calls.add(&other.calls);
        self.deliveries.add(&other.deliveries);
        self.slow_clients += other.slow_clients;
        add_counts(&mut self.dropped, &other.dropped);
        add_counts(&mut self.refusals, &other.refusals);
        add_counts(&mut self.closed, &other.closed);
    }
}

fn add_counts(sums: &mut Vec<Count>, counts: &[Count]) {
    for count in counts {
        match sums.iter_mut().find(|sum| sum.reason == count.reason) {
            Some(sum) => sum.count += count.count,
            None => sums.push(count.clone()),
        }
    }
}

/// To two decimals, 0 while no time has passed.
pub(super) fn rate(count: u64, seconds: f64) -> f64 {
    if seconds < 0.001 { 0.0 } else { rounded(count as f64 / seconds) }
}

pub(super) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// In milliseconds, the bound that so great a part did not exceed. `None` of nothing; of what took longer than all bounds the greatest of these.
pub(super) fn quantile(buckets: &[u64], part: f64) -> Option<f64> {
    let all: u64 = buckets.iter().sum();
    if all == 0 {
        return None;
    }
    let mut passed = 0;
    let place = buckets.iter().position(|count| {
        passed += count;
        passed as f64 >= part * all as f64
    });
    let last = Latencies::BOUNDS.len() - 1;
    let bound = Latencies::BOUNDS[place.unwrap_or(last).min(last)];
    Some(bound.as_secs_f64() * 1_000.0)
}

fn dropped(statistics: &ServerStatistics) -> Vec<Count> {
    let backplane = &statistics.backplane;
    let reasons = [
        ("expired", backplane.expired),
        ("overflowed", backplane.overflowed),
        ("refused", backplane.refused),
        ("unknown", backplane.unknown),
    ];
    counts(reasons.map(|(reason, count)| (reason.to_owned(), count)))
}

/// What was refused, by hubs and by everybody else.
pub(super) fn refusals(statistics: &ServerStatistics, host: &dyn Host) -> Vec<Count> {
    let handshakes = |hub: &hubline::HubStatistics| hub.closed.get("handshake_refused").copied();
    let handshakes = statistics.hubs.iter().filter_map(handshakes).sum();
    let mut limited = BTreeMap::<&str, u64>::new();
    for (limit, count) in statistics.hubs.iter().flat_map(|hub| &hub.limited) {
        *limited.entry(limit).or_default() += count;
    }
    let sum = |count: fn(&hubline::HubStatistics) -> u64| statistics.hubs.iter().map(count).sum();
    let own = [
        ("handshake_refused".to_owned(), handshakes),
        ("too_many_pending".to_owned(), statistics.connections.refused),
        ("unknown_method".to_owned(), sum(|hub| hub.unknown_methods)),
        ("arguments".to_owned(), sum(|hub| hub.binding_failures)),
    ];
    let limited = limited.into_iter().map(|(limit, count)| (format!("limit_{limit}"), count));
    counts(own.into_iter().chain(limited).chain(host.refusals()))
}

fn closed(statistics: &ServerStatistics) -> Vec<Count> {
    let mut sums = BTreeMap::<&str, u64>::new();
    for (reason, count) in statistics.hubs.iter().flat_map(|hub| &hub.closed) {
        *sums.entry(reason).or_default() += count;
    }
    counts(sums.into_iter().map(|(reason, count)| (reason.to_owned(), count)))
}

/// Those that are not 0.
fn counts(reasons: impl IntoIterator<Item = (String, u64)>) -> Vec<Count> {
    let counted = reasons.into_iter().filter(|(_, count)| *count > 0);
    counted.map(|(reason, count)| Count { reason, count }).collect()
}

fn redis_link(server: &Server, host: &dyn Host, statistics: &ServerStatistics) -> RedisLink {
    let (status, why) = link(&server.backplane_status().borrow());
    let backplane = &statistics.backplane;
    RedisLink {
        status,
        why,
        round_trip_ms: host.redis_round_trip().map(in_ms),
        outbox_messages: backplane.waiting,
        outbox_bytes: backplane.waiting_bytes,
        reconnects: backplane.reconnects,
    }
}

fn link(status: &Status) -> (String, Option<String>) {
    match status {
        Status::Alone => ("alone".to_owned(), None),
        Status::Connected => ("connected".to_owned(), None),
        Status::Disconnected(why) => ("disconnected".to_owned(), Some(why.clone())),
    }
}

pub(super) fn in_ms(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1_000.0)
}

/// Counts one more connection by its protocol.
pub(super) fn count_protocol(counts: &mut ByProtocol, protocol: HubProtocol) {
    match protocol {
        HubProtocol::Json => counts.json += 1,
        HubProtocol::MessagePack => counts.message_pack += 1,
    }
}

#[cfg(test)]
mod tests;
