//! What the server counts, under the names that operators look for.
//!
//! `signalr_server_*` are ASP.NET Core's metrics under the names that OpenTelemetry's exporters give them; the rest
//! has no counterpart there.

use std::fmt;

use hubline::{
    ConnectionStatistics, Durations, HubStatistics, Latencies, Server, Statistics, Status,
    TransportStatistics,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use tokio::sync::watch;

use crate::observe::Output;

#[derive(Debug)]
pub(super) struct ServerCollector {
    server: Server,
    log: Output,
    backplane: watch::Receiver<Status>,
    /// What else needs Redis, each with its metric and what that tells.
    parts: [(&'static str, &'static str, watch::Receiver<Status>); 2],
}

impl ServerCollector {
    pub(super) fn new(server: &Server, log: &Output) -> Self {
        let parts = [
            (
                "hubline_directory_connected",
                "Whether the session directory can ask the other instances: 1, or 0.",
                server.directory_status(),
            ),
            (
                "hubline_token_keys_agreed",
                "Whether the instances have agreed on a key for connection tokens: 1, or 0.",
                server.key_agreement_status(),
            ),
        ];
        Self { server: server.clone(), log: log.clone(), backplane: server.backplane_status(), parts }
    }
}

impl Collector for ServerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let statistics = self.server.statistics();
        encoder
            .encode_descriptor("hubline_build", "Which Hubline this is.", None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        transports(&mut encoder, &statistics.connections)?;
        totals(&mut encoder, &statistics.hubs)?;
        hubs(&mut encoder, &statistics.hubs)?;
        durations(&mut encoder, &statistics.hubs)?;
        process(&mut encoder, self.log.lost())?;
        for (name, help, status) in &self.parts {
            let status = status.borrow();
            if *status != Status::Alone {
                let part = ConstGauge::new(u64::from(*status == Status::Connected));
                part.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
            }
        }
        let is_connected = match &*self.backplane.borrow() {
            Status::Alone => return Ok(()),
            Status::Connected => true,
            Status::Disconnected(_) => false,
        };
        backplane(&mut encoder, is_connected, &statistics.backplane)
    }
}

/// `Microsoft.AspNetCore.Http.Connections`.
fn transports(encoder: &mut DescriptorEncoder<'_>, connections: &ConnectionStatistics) -> fmt::Result {
    let transports = [
        ("web_sockets", &connections.web_sockets),
        ("server_sent_events", &connections.server_sent_events),
        ("long_polling", &connections.long_polling),
    ];
    let mut active = encoder.encode_descriptor(
        "signalr_server_active_connections",
        "Connections that are active now.",
        None,
        MetricType::Gauge,
    )?;
    for (transport, TransportStatistics { active: count, .. }) in transports {
        ConstGauge::new(*count).encode(active.encode_family(&[("signalr_transport", transport)])?)?;
    }
    let mut opened = encoder.encode_descriptor(
        "hubline_connections_opened",
        "Connections that were opened, those that have ended among them.",
        None,
        MetricType::Counter,
    )?;
    for (transport, statistics) in transports {
        let labels = [("signalr_transport", transport)];
        ConstCounter::new(statistics.opened()).encode(opened.encode_family(&labels)?)?;
    }
    let mut durations = encoder.encode_descriptor(
        "signalr_server_connection_duration",
        "How long connections lasted.",
        Some(&Unit::Seconds),
        MetricType::Histogram,
    )?;
    for (transport, statistics) in transports {
        let ended = [
            ("normal_closure", Some(&statistics.normal_closure)),
            // Only who polls can stay away.
            ("timeout", (transport == "long_polling").then_some(&statistics.timeout)),
            ("app_shutdown", Some(&statistics.app_shutdown)),
        ];
        for (status, lasted) in ended {
            let Some(lasted) = lasted else { continue };
            let labels = [("signalr_connection_status", status), ("signalr_transport", transport)];
            histogram(durations.encode_family(&labels)?, lasted)?;
        }
    }
    let counters = [
        (
            "hubline_connections_refused",
            "Negotiations of version 0, and refreshes before the transport, that got 503 because too many wait.",
            connections.refused,
        ),
        (
            "hubline_negotiations_refused_draining",
            "Negotiations that got 503 because this instance is draining.",
            connections.negotiations_refused,
        ),
    ];
    for (name, help, value) in counters {
        let counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(counter)?;
    }
    Ok(())
}

fn histogram(mut encoder: MetricEncoder<'_>, durations: &Durations) -> fmt::Result {
    let bounds = Durations::BOUNDS.iter().map(|bound| bound.as_secs_f64()).chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(durations.buckets).collect();
    encoder.encode_histogram::<NoLabelSet>(durations.sum.as_secs_f64(), durations.count, &buckets, None)
}

/// Under names of their own, as applications that count for themselves call them; dotted over OTLP.
fn totals(encoder: &mut DescriptorEncoder<'_>, hubs: &[HubStatistics]) -> fmt::Result {
    let connections = encoder.encode_descriptor(
        "signalr_connection_count",
        "Connections of this instance to all hubs, past their handshake.",
        None,
        MetricType::Gauge,
    )?;
    let count: usize = hubs.iter().map(|hub| hub.connections).sum();
    ConstGauge::new(count as u64).encode(connections)?;
    let messages = encoder.encode_descriptor(
        "signalr_messages_sent",
        "Messages that were handed to connections of this instance, one for each that gets it.",
        None,
        MetricType::Counter,
    )?;
    ConstCounter::new(hubs.iter().map(|hub| hub.messages_sent).sum::<u64>()).encode(messages)
}

fn durations(encoder: &mut DescriptorEncoder<'_>, hubs: &[HubStatistics]) -> fmt::Result {
    let mut durations = encoder.encode_descriptor(
        "hubline_hub_method_duration",
        "How long calls of hub methods took; of those that stream, until the stream began.",
        Some(&Unit::Seconds),
        MetricType::Histogram,
    )?;
    for hub in hubs {
        for method in &hub.methods {
            let labels = [("hub", hub.name.as_str()), ("method", method.name.as_str())];
            latencies(durations.encode_family(&labels)?, &method.durations)?;
        }
    }
    Ok(())
}

fn hubs(encoder: &mut DescriptorEncoder<'_>, hubs: &[HubStatistics]) -> fmt::Result {
    let mut connections = encoder.encode_descriptor(
        "hubline_hub_connections",
        "Connections of this instance to each hub, past their handshake.",
        None,
        MetricType::Gauge,
    )?;
    for hub in hubs {
        let labels = [("hub", hub.name.as_str())];
        ConstGauge::new(hub.connections).encode(connections.encode_family(&labels)?)?;
    }
    let mut closed = encoder.encode_descriptor(
        "hubline_hub_connections_closed",
        "Connections that have ended, by why.",
        None,
        MetricType::Counter,
    )?;
    for hub in hubs {
        for (reason, count) in &hub.closed {
            let labels = [("hub", hub.name.as_str()), ("reason", reason)];
            ConstCounter::new(*count).encode(closed.encode_family(&labels)?)?;
        }
    }
    let mut held = encoder.encode_descriptor(
        "hubline_hub_senders_held",
        "Invocations that waited because those their sender had sent to were behind with reading, by what ended that.",
        None,
        MetricType::Counter,
    )?;
    for hub in hubs {
        let timed_out = hub.sender_holds_timed_out;
        let others = hub.senders_held.saturating_sub(timed_out);
        for (end, count) in [("timeout", timed_out), ("room", others)] {
            let labels = [("hub", hub.name.as_str()), ("end", end)];
            ConstCounter::new(count).encode(held.encode_family(&labels)?)?;
        }
    }
    let mut limited = encoder.encode_descriptor(
        "hubline_hub_clients_limited",
        "How often a client met a limit: it was not read for a while, or its call failed.",
        None,
        MetricType::Counter,
    )?;
    for hub in hubs {
        for (limit, count) in &hub.limited {
            let labels = [("hub", hub.name.as_str()), ("limit", limit)];
            ConstCounter::new(*count).encode(limited.encode_family(&labels)?)?;
        }
    }
    hub_methods(encoder, hubs)
}

/// What goes wrong in hub methods.
fn hub_methods(encoder: &mut DescriptorEncoder<'_>, hubs: &[HubStatistics]) -> fmt::Result {
    type Count = fn(&HubStatistics) -> u64;
    let counters: [(&str, &str, Count); 3] = [
        ("hubline_hub_unknown_methods", "Invocations of methods that the hub does not have.", |hub| {
            hub.unknown_methods
        }),
        ("hubline_hub_binding_failures", "Invocations whose arguments did not fit the method.", |hub| {
            hub.binding_failures
        }),
        (
            "hubline_hub_blocking_polls",
            "How often a hub method kept its thread for more than 100 ms.",
            |hub| hub.blocking_polls,
        ),
    ];
    for (name, help, count) in counters {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for hub in hubs {
            let labels = [("hub", hub.name.as_str())];
            ConstCounter::new(count(hub)).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// What goes wrong in the process itself.
fn process(encoder: &mut DescriptorEncoder<'_>, log_lines_lost: u64) -> fmt::Result {
    let counters = [
        ("hubline_log_lines_lost", "Lines of the log that whoever reads it did not take.", log_lines_lost),
        (
            "hubline_task_restarts",
            "How often a task that has to live was started again after a panic.",
            hubline_supervision::restarts(),
        ),
    ];
    for (name, help, value) in counters {
        let counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(counter)?;
    }
    Ok(())
}

/// Counters of their own rather than one with a label for the fate: a queued message is counted again when its
/// fate is known, so that their sum would mean nothing. Those of `lost` add up.
fn backplane(
    encoder: &mut DescriptorEncoder<'_>,
    is_connected: bool,
    statistics: &Statistics,
) -> fmt::Result {
    let gauges = [
        (
            "hubline_backplane_connected",
            "Whether the other instances can be reached: 1, or 0.",
            u64::from(is_connected),
        ),
        (
            "hubline_backplane_outbox_messages",
            "Messages that wait for the backplane to come back.",
            statistics.waiting,
        ),
        ("hubline_backplane_outbox_bytes", "What those messages take.", statistics.waiting_bytes),
    ];
    for (name, help, value) in gauges {
        ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
    }
    let counters = [
        (
            "hubline_backplane_messages_published",
            "Messages that the backplane took at once, one for each target.",
            statistics.published,
        ),
        (
            "hubline_backplane_messages_queued",
            "Messages put into the outbox because the link was down.",
            statistics.queued,
        ),
        (
            "hubline_backplane_messages_replayed",
            "Messages sent from the outbox once the link was back.",
            statistics.replayed,
        ),
        (
            "hubline_backplane_messages_unknown",
            "Messages that were sent and never answered: the other instances may have got them or not.",
            statistics.unknown,
        ),
        ("hubline_backplane_reconnects", "How often a lost link was restored.", statistics.reconnects),
        ("hubline_backplane_garbage", "Payloads of others that could not be used.", statistics.garbage),
    ];
    for (name, help, value) in counters {
        ConstCounter::new(value).encode(encoder.encode_descriptor(
            name,
            help,
            None,
            MetricType::Counter,
        )?)?;
    }
    let mut lost = encoder.encode_descriptor(
        "hubline_backplane_messages_lost",
        "Messages that reached the clients of this instance alone, by why.",
        None,
        MetricType::Counter,
    )?;
    let causes = [
        ("expired", statistics.expired),
        ("overflowed", statistics.overflowed),
        ("refused", statistics.refused),
    ];
    for (cause, count) in causes {
        ConstCounter::new(count).encode(lost.encode_family(&[("cause", cause)])?)?;
    }
    let encoder = encoder.encode_descriptor(
        "hubline_backplane_latency",
        "From a hub that sends until its message has come back from Redis, as it comes to the other instances; of up to ten messages a second.",
        Some(&Unit::Seconds),
        MetricType::Histogram,
    )?;
    latencies(encoder, &statistics.latencies)
}

fn latencies(mut encoder: MetricEncoder<'_>, latencies: &Latencies) -> fmt::Result {
    let bounds = Latencies::BOUNDS.iter().map(|bound| bound.as_secs_f64()).chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(latencies.buckets).collect();
    encoder.encode_histogram::<NoLabelSet>(latencies.sum.as_secs_f64(), latencies.count, &buckets, None)
}
