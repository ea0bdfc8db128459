//! Metrics as OTLP has them.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::environment::Temporality;
use super::exposition::{Family, Kind, Sample, parse};

/// Names that differ from Prometheus' in more than what that appends.
const NAMES: [(&str, &str); 4] = [
    ("signalr_connection_count", "signalr.connection.count"),
    ("signalr_messages_sent", "signalr.messages.sent"),
    ("signalr_server_active_connections", "signalr.server.active_connections"),
    ("signalr_server_connection_duration", "signalr.server.connection.duration"),
];

/// Makes requests of pages.
pub(super) struct Encoder {
    resource: Resource,
    temporality: Temporality,
    started: u64,
    /// When the last request was made, and what counters and buckets were then, by series.
    last: (u64, HashMap<String, Vec<f64>>),
}

/// The series of a histogram, put together again.
#[derive(Default)]
struct Buckets {
    labels: Vec<(String, String)>,
    sum: f64,
    /// Upper bounds with how many are not above them.
    cumulative: Vec<(f64, f64)>,
}

impl Encoder {
    /// Counts from `now` on are those since the start of the program, as far as that matters.
    pub(super) fn new(
        resource: &opentelemetry_sdk::Resource,
        temporality: Temporality,
        now: SystemTime,
    ) -> Self {
        let attributes =
            resource.iter().map(|(key, value)| attribute(key.as_str(), value.as_str().into_owned()));
        let resource = Resource { attributes: attributes.collect(), ..Resource::default() };
        let now = nanoseconds(now);
        Self { resource, temporality, started: now, last: (now, HashMap::new()) }
    }

    /// The request with what a page has.
    pub(super) fn request(&mut self, page: &[u8], now: SystemTime) -> ExportMetricsServiceRequest {
        let now = nanoseconds(now);
        let page = String::from_utf8_lossy(page);
        let metrics = parse(&page).iter().map(|family| self.metric(family, now)).collect();
        self.last.0 = now;
        let scope = InstrumentationScope {
            name: "hubline".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
        let resource = Some(self.resource.clone());
        let resource_metrics =
            vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
        ExportMetricsServiceRequest { resource_metrics }
    }

    fn metric(&mut self, family: &Family<'_>, now: u64) -> Metric {
        let (name, unit) = match family.name.rsplit_once('_') {
            Some((name, "seconds")) => (name, "s"),
            Some((_, "bytes")) => (family.name, "By"),
            _ => (family.name, ""),
        };
        let dotted = NAMES.iter().find(|(known, _)| *known == name).map(|(_, dotted)| *dotted);
        let data = match family.kind {
            Kind::Gauge => Data::Gauge(Gauge {
                data_points: family
                    .samples
                    .iter()
                    .map(|sample| number(sample, sample.value, 0, now))
                    .collect(),
            }),
            Kind::Counter => self.sum(family, now),
            Kind::Histogram => self.histogram(family, now),
        };
        Metric {
            name: dotted.unwrap_or(name).to_owned(),
            description: family.help.to_owned(),
            unit: unit.to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }

    fn sum(&mut self, family: &Family<'_>, now: u64) -> Data {
        let is_delta = self.temporality == Temporality::Delta;
        let start = if is_delta { self.last.0 } else { self.started };
        let points = family.samples.iter().map(|sample| {
            let value = match is_delta {
                true => self.grown(family.name, &sample.labels, vec![sample.value])[0],
                false => sample.value,
            };
            number(sample, value, start, now)
        });
        let data_points = points.collect();
        Data::Sum(Sum { data_points, aggregation_temporality: temporality(is_delta), is_monotonic: true })
    }

    fn histogram(&mut self, family: &Family<'_>, now: u64) -> Data {
        let is_delta = self.temporality != Temporality::Cumulative;
        let start = if is_delta { self.last.0 } else { self.started };
        let points = buckets(family).into_iter().map(|Buckets { labels, sum, cumulative }| {
            let bounds =
                cumulative.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect();
            let before = [0.0].into_iter().chain(cumulative.iter().map(|(_, count)| *count));
            let mut values: Vec<f64> =
                cumulative.iter().zip(before).map(|((_, count), before)| count - before).collect();
            values.push(sum);
            if is_delta {
                values = self.grown(family.name, &labels, values);
            }
            let sum = values.pop();
            let bucket_counts: Vec<u64> = values.into_iter().map(whole).collect();
            HistogramDataPoint {
                attributes: labels.iter().map(|(name, value)| label(name, value)).collect(),
                start_time_unix_nano: start,
                time_unix_nano: now,
                count: bucket_counts.iter().sum(),
                sum,
                bucket_counts,
                explicit_bounds: bounds,
                ..HistogramDataPoint::default()
            }
        });
        let data_points = points.collect();
        Data::Histogram(Histogram { data_points, aggregation_temporality: temporality(is_delta) })
    }

    /// By how much the values of a series have grown since the last time.
    fn grown<N: AsRef<str>>(&mut self, family: &str, labels: &[(N, String)], values: Vec<f64>) -> Vec<f64> {
        let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_ref(), value)).collect();
        let last = self.last.1.insert(format!("{family}{labels:?}"), values.clone()).unwrap_or_default();
        let last = last.into_iter().chain(std::iter::repeat(0.0));
        // What is less than before has begun anew.
        values
            .into_iter()
            .zip(last)
            .map(|(value, last)| if value < last { value } else { value - last })
            .collect()
    }
}

/// The samples of a histogram by their labels without `le`.
fn buckets(family: &Family<'_>) -> Vec<Buckets> {
    let mut series: Vec<Buckets> = Vec::new();
    for Sample { suffix, labels, value } in &family.samples {
        let bound = labels.iter().find(|(name, _)| *name == "le").and_then(|(_, bound)| bound.parse().ok());
        let own = labels.iter().filter(|(name, _)| *name != "le");
        let own: Vec<_> = own.map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let at = series.iter().position(|known| known.labels == own).unwrap_or_else(|| {
            series.push(Buckets { labels: own, ..Buckets::default() });
            series.len() - 1
        });
        match (*suffix, bound) {
            ("_bucket", Some(bound)) => series[at].cumulative.push((bound, *value)),
            ("_sum", _) => series[at].sum = *value,
            _ => {}
        }
    }
    series
}

fn number(sample: &Sample<'_>, value: f64, start: u64, now: u64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: sample.labels.iter().map(|(name, value)| label(name, value)).collect(),
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

/// Labels of ASP.NET Core's metrics have dots there.
fn label(name: &str, value: &str) -> KeyValue {
    let dotted = match name {
        "signalr_transport" => "signalr.transport",
        "signalr_connection_status" => "signalr.connection.status",
        other => other,
    };
    attribute(dotted, value.to_owned())
}

fn attribute(key: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn temporality(is_delta: bool) -> i32 {
    let temporality =
        if is_delta { AggregationTemporality::Delta } else { AggregationTemporality::Cumulative };
    temporality.into()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole, and not below zero"
)]
fn whole(count: f64) -> u64 {
    count as u64
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
