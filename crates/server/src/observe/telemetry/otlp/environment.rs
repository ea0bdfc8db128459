//! What the variables of OpenTelemetry ask for, as far as the exporter of spans does not read them itself.

use std::time::Duration;

use http::Uri;
use percent_encoding::percent_decode_str;

/// Whether counters are told since the start, or since the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Temporality {
    Cumulative,
    Delta,
    /// Histograms since the last time, counters since the start.
    LowMemory,
}

/// What is exported.
#[derive(Debug)]
pub(super) struct Environment {
    pub(super) traces: bool,
    /// `None` if metrics are not exported.
    pub(super) metrics: Option<MetricsTarget>,
    /// What there is to say.
    pub(super) notes: Vec<String>,
}

/// Where metrics go, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MetricsTarget {
    pub(super) endpoint: Uri,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timeout: Duration,
    pub(super) period: Duration,
    pub(super) temporality: Temporality,
}

impl Environment {
    /// Exports what a collector is named for, unless `OTEL_SDK_DISABLED` or `OTEL_{TRACES,METRICS}_EXPORTER=none` forbid it.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let mut notes = Vec::new();
        let is_disabled =
            variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let is_wanted = |signal: &str| {
            let exporter = variable(&format!("OTEL_{signal}_EXPORTER"));
            let is_named = variable("OTEL_EXPORTER_OTLP_ENDPOINT").is_some()
                || variable(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")).is_some();
            !is_disabled
                && exporter.map_or(is_named, |exporter| exporter.split(',').any(|one| one.trim() == "otlp"))
        };
        let (traces, metrics) = (is_wanted("TRACES"), is_wanted("METRICS"));
        for (signal, is_exported) in [("TRACES", traces), ("METRICS", metrics)] {
            let protocol = variable(&format!("OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"))
                .or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
            if let Some(other) = protocol.filter(|protocol| is_exported && protocol != "http/protobuf") {
                notes.push(format!(
                    "OTEL_EXPORTER_OTLP_PROTOCOL={other} is not spoken, {} go over http/protobuf: name the collector's port for that, usually 4318",
                    signal.to_lowercase()
                ));
            }
        }
        notes.extend(port_of_grpc(&variable).filter(|_| notes.is_empty() && (traces || metrics)));
        let metrics = metrics.then(|| target(&variable, &mut notes)).flatten();
        Self { traces, metrics, notes }
    }
}

/// What there is to say of an endpoint at the port that collectors have for gRPC, unless the environment says that it is none of that.
fn port_of_grpc(variable: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let names =
        ["ENDPOINT", "TRACES_ENDPOINT", "METRICS_ENDPOINT"].map(|name| format!("OTEL_EXPORTER_OTLP_{name}"));
    let is_at_port = |name: &&String| {
        let uri = variable(name).and_then(|value| value.trim().parse::<Uri>().ok());
        uri.and_then(|uri| uri.port_u16()) == Some(4317)
    };
    let name = names.iter().find(is_at_port)?;
    variable("OTEL_EXPORTER_OTLP_PROTOCOL").is_none().then(|| {
        format!(
            "{name} names port 4317, at which collectors usually speak grpc, and http/protobuf is spoken here: name the port for that, \
             usually 4318. OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf says that it is right as it is"
        )
    })
}

/// Whether the environment names the service.
pub(super) fn names_service(variable: impl Fn(&str) -> Option<String>) -> bool {
    variable("OTEL_SERVICE_NAME").is_some_and(|name| !name.is_empty())
        || variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|attributes| attributes.contains("service.name="))
}

fn target(variable: &impl Fn(&str) -> Option<String>, notes: &mut Vec<String>) -> Option<MetricsTarget> {
    let either = |name: &str| {
        let own = variable(&format!("OTEL_EXPORTER_OTLP_METRICS_{name}"));
        own.or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{name}")))
    };
    let endpoint = variable("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT").unwrap_or_else(|| {
        let base =
            variable("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or_else(|| "http://localhost:4318".to_owned());
        format!("{}/v1/metrics", base.trim_end_matches('/'))
    });
    let milliseconds = |name: &str, value: Option<String>, default: u64, notes: &mut Vec<String>| {
        let number = value.as_ref().map(|value| value.trim().parse::<u64>());
        if let Some(Err(_) | Ok(0)) = number {
            notes.push(format!("{name} is not a number of milliseconds above 0; {default} is used"));
        }
        Duration::from_millis(number.and_then(Result::ok).filter(|number| *number > 0).unwrap_or(default))
    };
    let timeout = milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT", either("TIMEOUT"), 10_000, notes);
    let period =
        milliseconds("OTEL_METRIC_EXPORT_INTERVAL", variable("OTEL_METRIC_EXPORT_INTERVAL"), 60_000, notes);
    let preference = variable("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE").unwrap_or_default();
    let temporality = match preference.to_ascii_lowercase().as_str() {
        "" | "cumulative" => Temporality::Cumulative,
        "delta" => Temporality::Delta,
        "lowmemory" => Temporality::LowMemory,
        other => {
            notes.push(format!(
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE={other} is unknown, expected cumulative, delta or lowmemory; cumulative is used"
            ));
            Temporality::Cumulative
        }
    };
    match endpoint.parse::<Uri>() {
        Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() => {
            Some(MetricsTarget {
                endpoint: uri,
                headers: headers(&either("HEADERS").unwrap_or_default()),
                timeout,
                period,
                temporality,
            })
        }
        _ => {
            notes.push(
                "metrics are not exported: the endpoint of OTEL_EXPORTER_OTLP_ENDPOINT is no URL such as http://localhost:4318"
                    .to_owned(),
            );
            None
        }
    }
}

/// `name=value,name=value`, values percent-encoded.
fn headers(text: &str) -> Vec<(String, String)> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| {
            let value = percent_decode_str(value.trim()).decode_utf8_lossy().into_owned();
            (name.trim().to_owned(), value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Environment {
        Environment::read(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_is_exported_unless_a_collector_is_named() {
        for variables in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_SDK_DISABLED", "true")],
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
                ("OTEL_TRACES_EXPORTER", "none"),
                ("OTEL_METRICS_EXPORTER", "none"),
            ],
        ] {
            let environment = read(variables);
            assert!(!environment.traces && environment.metrics.is_none(), "{variables:?}");
        }
        let traces_alone = read(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/v1/traces")]);
        assert!(traces_alone.traces && traces_alone.metrics.is_none());
    }

    #[test]
    fn metrics_have_variables_of_their_own() {
        let environment = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4318/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x=y"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "250"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta"),
        ]);
        let metrics = environment.metrics.unwrap();
        assert_eq!(metrics.endpoint, "https://c:4318/v1/metrics");
        assert_eq!(
            metrics.headers,
            [("api-key".to_owned(), "a b".to_owned()), ("x".to_owned(), "y".to_owned())]
        );
        assert_eq!((metrics.timeout, metrics.period), (Duration::from_millis(250), Duration::from_secs(1)));
        assert_eq!((metrics.temporality, environment.notes.len()), (Temporality::Delta, 0));
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let notes = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "soon"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "none"),
        ])
        .notes;
        assert_eq!(notes.len(), 4, "{notes:?}");
        assert!(notes[0].contains("grpc is not spoken, traces go over http/protobuf"), "{notes:?}");
        let at_port = |more: &[(&str, &str)]| {
            read(&[&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317")], more].concat()).notes
        };
        let notes = at_port(&[]);
        assert!(
            matches!(&notes[..], [note] if note.contains("port 4317") && note.contains("usually 4318")),
            "{notes:?}"
        );
        assert!(at_port(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]).is_empty());
        let nowhere = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector")]);
        assert!(nowhere.metrics.is_none() && nowhere.notes[0].contains("is no URL"), "{nowhere:?}");
    }
}
