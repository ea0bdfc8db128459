use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};

/// In the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Measure {
    IdleMemoryAtFirst,
    IdleMemoryHeld,
    TlsMemoryAtFirst,
    TlsMemoryHeld,
    EventStreamMemoryAtFirst,
    EventStreamMemoryHeld,
    LongPollingMemoryAtFirst,
    LongPollingMemoryHeld,
    ConnectCpu,
    TlsConnectCpu,
    IdleCpu,
    DeliveryCpu,
    DeliveryLatencyMedian,
    DeliveryLatencyHigh,
    FastDeliveryCpu,
    FastDeliveryLatencyHigh,
    FewDeliveryCpu,
    FewDeliveryLatencyHigh,
    SaturatedCpu,
    SaturatedLatencyMedian,
    SaturatedLatencyHigh,
    SaturatedRate,
    SaturatedSenderLate,
    EchoCpuAlone,
    EchoRateAlone,
    EchoCpuCrowded,
    EchoRateCrowded,
    FleetLatencyMedian,
    FleetLatencyHigh,
    FleetCpu,
    FleetRedisCpu,
    FleetRate,
    GroupsRate,
    GroupsCpu,
    GroupsChannelsPeak,
    GroupsMemoryPeak,
    GroupsChannelsLeft,
    GroupsMemoryLeft,
    OutageGapHere,
    OutageMissingHere,
    OutageMissingElsewhere,
    OutageDoubled,
    OutageLost,
    ConnectHere,
    ConnectElsewhere,
    ConnectHereCpu,
    ConnectElsewhereCpu,
    PollHere,
    PollElsewhere,
    PollHereCpu,
    PollElsewhereCpu,
    SendHere,
    SendElsewhere,
    SendHereCpu,
    SendElsewhereCpu,
    NavigationMemory,
    NavigationMemoryOfUser,
    ChatMemory,
    ChatMemoryOfUser,
    CallsMemory,
    CallsMemoryOfUser,
    StoredCpuCrowded,
    StoredCpuAlone,
    StoredLatencyAlone,
    StoredCpuPostgresCrowded,
    StoredCpuPostgresAlone,
}

impl Measure {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::IdleMemoryAtFirst => "memory per idle connection, just connected (KB)",
            Self::IdleMemoryHeld => "memory per idle connection, after 40 s (KB)",
            Self::TlsMemoryAtFirst => "TLS: memory per idle connection, just connected (KB)",
            Self::TlsMemoryHeld => "TLS: the same, after 40 s (KB)",
            Self::EventStreamMemoryAtFirst => "server-sent events: memory per idle connection, at first (KB)",
            Self::EventStreamMemoryHeld => "server-sent events: the same, after 40 s (KB)",
            Self::LongPollingMemoryAtFirst => "long polling: memory per idle connection, at first (KB)",
            Self::LongPollingMemoryHeld => "long polling: the same, after 40 s (KB)",
            Self::ConnectCpu => "CPU per connection made (µs)",
            Self::TlsConnectCpu => "TLS: CPU per connection made (µs)",
            Self::IdleCpu => "CPU per idle connection and minute (µs)",
            Self::DeliveryCpu => "CPU per delivery of the broadcast (µs)",
            Self::FastDeliveryCpu => "CPU per delivery, 100 connections at 500 a second (µs)",
            Self::FastDeliveryLatencyHigh => "100 connections at 500 a second: latency, p99 (ms)",
            Self::FewDeliveryCpu => "CPU per delivery, 10 connections at 1,000 a second (µs)",
            Self::FewDeliveryLatencyHigh => "10 connections at 1,000 a second: latency, p99 (ms)",
            Self::DeliveryLatencyMedian => "broadcast latency, p50 (ms)",
            Self::DeliveryLatencyHigh => "broadcast latency, p99 (ms)",
            Self::SaturatedCpu => "CPU per delivery, saturated (µs)",
            Self::SaturatedLatencyMedian => "saturated latency, p50 (ms)",
            Self::SaturatedLatencyHigh => "saturated latency, p99 (ms)",
            Self::SaturatedRate => "saturated: broadcasts a second until all arrived",
            Self::SaturatedSenderLate => "saturated: sender behind its pace, at most (ms)",
            Self::EchoCpuAlone => "CPU per echo, 1 in flight (µs)",
            Self::EchoRateAlone => "echoes a second, 1 in flight",
            Self::EchoCpuCrowded => "CPU per echo, 16 in flight (µs)",
            Self::EchoRateCrowded => "echoes a second, 16 in flight",
            Self::FleetLatencyMedian => "to another instance, p50 (ms)",
            Self::FleetLatencyHigh => "to another instance, p99 (ms)",
            Self::FleetCpu => "CPU of all instances per broadcast (µs)",
            Self::FleetRedisCpu => "CPU of Redis per broadcast (µs)",
            Self::FleetRate => "broadcasts a second with a p99 within 20 ms",
            Self::GroupsRate => "groups joined a second",
            Self::GroupsCpu => "CPU per group joined and left (µs)",
            Self::GroupsChannelsPeak => "groups: channels more while joined",
            Self::GroupsMemoryPeak => "groups: Redis memory more while joined (MB)",
            Self::GroupsChannelsLeft => "groups: channels more afterwards",
            Self::GroupsMemoryLeft => "groups: Redis memory more afterwards (MB)",
            Self::OutageGapHere => "outage: longest time without a local message (ms)",
            Self::OutageMissingHere => "outage: local deliveries lost",
            Self::OutageMissingElsewhere => "outage: deliveries to other instances lost",
            Self::OutageDoubled => "outage: deliveries doubled",
            Self::OutageLost => "outage: connections lost",
            Self::ConnectHere => "WebSocket where it was negotiated, p50 (ms)",
            Self::ConnectElsewhere => "WebSocket on another instance, p50 (ms)",
            Self::ConnectHereCpu => "WebSocket where it was negotiated, CPU of all (µs)",
            Self::ConnectElsewhereCpu => "WebSocket on another instance, CPU of all (µs)",
            Self::PollHere => "poll where the connection is, p50 (ms)",
            Self::PollElsewhere => "poll on another instance, p50 (ms)",
            Self::PollHereCpu => "call and poll where the connection is, CPU of all (µs)",
            Self::PollElsewhereCpu => "call here and poll on another instance, CPU of all (µs)",
            Self::SendHere => "POST where the connection is, p50 (ms)",
            Self::SendElsewhere => "POST on another instance, p50 (ms)",
            Self::SendHereCpu => "POST and poll where the connection is, CPU of all (µs)",
            Self::SendElsewhereCpu => "POST on another instance and poll here, CPU of all (µs)",
            Self::NavigationMemory => "navigation: memory per idle connection (KB)",
            Self::NavigationMemoryOfUser => "navigation: the same with a user (KB)",
            Self::ChatMemory => "chat: memory per idle connection (KB)",
            Self::ChatMemoryOfUser => "chat: the same with a user (KB)",
            Self::CallsMemory => "calls: memory per idle connection (KB)",
            Self::CallsMemoryOfUser => "calls: the same with a user (KB)",
            Self::StoredCpuCrowded => "CPU per stored message, SQLite (µs)",
            Self::StoredCpuAlone => "CPU per stored message, SQLite, one at a time (µs)",
            Self::StoredLatencyAlone => "a message is confirmed, SQLite, one at a time, p50 (ms)",
            Self::StoredCpuPostgresCrowded => "CPU per stored message, PostgreSQL, without its own (µs)",
            Self::StoredCpuPostgresAlone => {
                "CPU per stored message, PostgreSQL, one at a time, without its own (µs)"
            }
        }
    }
}

/// What was measured of one server: a value a round.
#[derive(Debug, Default)]
pub(super) struct Figures(BTreeMap<Measure, Vec<f64>>);

impl Figures {
    pub(super) fn add(&mut self, measure: Measure, value: f64) {
        self.0.entry(measure).or_default().push(value);
    }

    pub(super) fn get(&self, measure: Measure) -> Option<Figure> {
        let mut values = self.0.get(&measure)?.clone();
        values.sort_by(f64::total_cmp);
        let (lower, upper) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Figure { median: f64::midpoint(lower, upper), least: *values.first()?, most: *values.last()? })
    }

    pub(super) fn measures(&self) -> impl Iterator<Item = Measure> {
        self.0.keys().copied()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figure {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let digits = match self.most {
            most if most >= 1000.0 => 0,
            most if most >= 100.0 => 1,
            _ => 2,
        };
        write!(f, "{:.digits$}", self.median)?;
        if self.least < self.most {
            write!(f, " ({:.digits$}-{:.digits$})", self.least, self.most)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_shown_with_the_spread() {
        let mut figures = Figures::default();
        for value in [9.0, 1.0, 2.0, 4.0] {
            figures.add(Measure::DeliveryCpu, value);
        }
        figures.add(Measure::EchoRateAlone, 12_345.6);
        let text = |measure| figures.get(measure).map(|figure| figure.to_string());
        assert_eq!(text(Measure::DeliveryCpu).as_deref(), Some("3.00 (1.00-9.00)"));
        assert_eq!(text(Measure::EchoRateAlone).as_deref(), Some("12346"));
        assert_eq!(text(Measure::ConnectCpu), None);
    }
}
