//! Calls.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::calls::CallStatistics;

/// Writes them out.
pub(super) fn encode(statistics: &CallStatistics, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut calls = encoder.encode_descriptor(
        "hubline_calls",
        "Calls that go on, whose caller is connected to this instance.",
        None,
        MetricType::Gauge,
    )?;
    for (status, count) in [("ringing", statistics.ringing), ("active", statistics.active)] {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        ConstGauge::new(count).encode(calls.encode_family(&[("status", status)])?)?;
    }
    let mut over = encoder.encode_descriptor(
        "hubline_calls_over",
        "Calls that are over, by what has become of them.",
        None,
        MetricType::Counter,
    )?;
    for (outcome, count) in [
        ("completed", statistics.completed),
        ("cancelled", statistics.cancelled),
        ("declined", statistics.declined),
        ("busy", statistics.busy),
        ("missed", statistics.missed),
        ("lost", statistics.lost),
    ] {
        ConstCounter::new(count).encode(over.encode_family(&[("outcome", outcome)])?)?;
    }
    for (name, help, count) in [
        ("hubline_calls_started", "Calls that began to ring.", statistics.started),
        ("hubline_calls_accepted", "Calls that were accepted.", statistics.accepted),
        (
            "hubline_calls_rejoined",
            "How often a participant of a call went on by another connection.",
            statistics.rejoined,
        ),
        (
            "hubline_calls_refused",
            "What was refused because of Limits:CallsPerMinutePerUser or Limits:CallMessagesPerMinutePerUser.",
            statistics.refused,
        ),
        (
            "hubline_calls_unrecorded",
            "How often a call could not be written into the history at once; what is over is tried again.",
            statistics.unrecorded,
        ),
    ] {
        let counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(count).encode(counter)?;
    }
    Ok(())
}
