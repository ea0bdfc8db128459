//! What a collector of OpenTelemetry gets.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]
#![cfg(feature = "otlp")]

mod client;

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use hubline_testkit::{Launch, RedisServer, ServerProcess};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const OPENING_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OPENING_SPAN: &str = "00f067aa0ba902b7";
/// Exports that a collector keeps: more than any test makes.
const REQUESTS: usize = 1000;

/// A collector that takes everything, or nothing.
struct Collector {
    port: u16,
    traces: mpsc::Receiver<ExportTraceServiceRequest>,
    metrics: mpsc::Receiver<ExportMetricsServiceRequest>,
}

impl Collector {
    async fn start() -> Self {
        let (trace, traces) = mpsc::channel(REQUESTS);
        let (metric, metrics) = mpsc::channel(REQUESTS);
        let take_traces = move |headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers[CONTENT_TYPE], "application/x-protobuf");
            _ = trace.try_send(ExportTraceServiceRequest::decode(body).unwrap());
        };
        let take_metrics = move |headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers[CONTENT_TYPE], "application/x-protobuf");
            assert_eq!(headers["api-key"], "s3cr3t word");
            _ = metric.try_send(ExportMetricsServiceRequest::decode(body).unwrap());
        };
        let app =
            Router::new().route("/v1/traces", post(take_traces)).route("/v1/metrics", post(take_metrics));
        Self { port: serve(app).await, traces, metrics }
    }

    /// The next span of this name that comes from another process than `here`; and which one.
    async fn span_elsewhere(&mut self, name: &str, here: &str) -> (Span, String) {
        loop {
            let request = timeout(PATIENCE, self.traces.recv()).await.unwrap().unwrap();
            let instance = attribute(
                &request.resource_spans[0].resource.clone().unwrap().attributes,
                "service.instance.id",
            );
            let scopes = request.resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
            let mut spans = scopes.flat_map(|scope| scope.spans);
            if let Some(span) = spans.find(|span| span.name == name).filter(|_| instance != here) {
                return (span, instance);
            }
        }
    }

    /// The next span of this name.
    async fn span(&mut self, name: &str) -> Span {
        loop {
            let request = timeout(PATIENCE, self.traces.recv()).await.unwrap().unwrap();
            assert_eq!(
                attribute(&request.resource_spans[0].resource.clone().unwrap().attributes, "service.name"),
                "clinic"
            );
            let scopes = request.resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
            if let Some(span) = scopes.flat_map(|scope| scope.spans).find(|span| span.name == name) {
                return span;
            }
        }
    }

    /// The metrics of the next request.
    async fn metrics(&mut self) -> Vec<Metric> {
        let request = timeout(PATIENCE, self.metrics.recv()).await.unwrap().unwrap();
        let scopes = request.resource_metrics.into_iter().flat_map(|metrics| metrics.scope_metrics);
        scopes.flat_map(|scope| scope.metrics).collect()
    }
}

async fn serve(app: Router) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    port
}

fn exporting(port: u16) -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_hubline"))
        .arg("serve")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{port}"))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cr3t%20word")
        .env("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
        .env("OTEL_SERVICE_NAME", "clinic")
}

fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let value =
        attributes.iter().find(|attribute| attribute.key == key).and_then(|found| found.value.clone());
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key}: {other:?} in {attributes:?}"),
    }
}

fn value(point: &Option<number_data_point::Value>) -> f64 {
    match point {
        Some(number_data_point::Value::AsDouble(value)) => *value,
        other => panic!("{other:?}"),
    }
}

/// The sum of a counter, which is a delta.
fn delta(metrics: &[Metric], name: &str) -> f64 {
    let metric = metrics.iter().find(|metric| metric.name == name).unwrap();
    let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
    assert!(sum.is_monotonic && sum.aggregation_temporality == AggregationTemporality::Delta as i32);
    assert!(sum.data_points.iter().all(|point| point.start_time_unix_nano < point.time_unix_nano));
    sum.data_points.iter().map(|point| value(&point.value)).sum()
}

#[tokio::test]
async fn a_call_is_a_span_below_its_callers_and_what_is_counted_is_told_as_deltas() {
    let mut collector = Collector::start().await;
    let launch = exporting(collector.port)
        .env("OTEL_METRIC_EXPORT_INTERVAL", "200")
        .env("OTEL_BSP_SCHEDULE_DELAY", "100");
    let port = launch.port();
    let _server = ServerProcess::start(launch).await.unwrap();
    let opening = format!("traceparent: 00-{OPENING_TRACE}-{OPENING_SPAN}-01\r\n");
    let mut socket = client::connect_with(port, "/hubs/navigation-state", &opening).await;
    let call = format!(
        r#"{{"type":1,"headers":{{"traceparent":"00-{TRACE}-{PARENT}-01"}},"invocationId":"1","target":"RequestCurrentState","arguments":[]}}"#
    );
    socket.write_all(&client::frame(&call)).await.unwrap();

    let span = collector.span("NavigationStateHub/RequestCurrentState").await;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
    assert_eq!(span.kind, 2, "a server's");
    let links: Vec<_> = span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect();
    assert_eq!(links, [(OPENING_TRACE.to_owned(), OPENING_SPAN.to_owned())], "of the request that connected");
    for (key, expected) in [
        ("rpc.system", "signalr"),
        ("rpc.service", "NavigationStateHub"),
        ("rpc.method", "RequestCurrentState"),
    ] {
        assert_eq!(attribute(&span.attributes, key), expected);
    }

    // The state as an event, and as the result of the call, in one delta or in two.
    let mut sent = 0.0;
    let metrics = loop {
        let metrics = collector.metrics().await;
        sent += delta(&metrics, "signalr.messages.sent");
        if sent >= 2.0 {
            break metrics;
        }
    };
    assert_eq!(sent, 2.0);
    let again = collector.metrics().await;
    assert_eq!(delta(&again, "signalr.messages.sent"), 0.0, "what was told is not told again");
    let metric =
        |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name}"));
    let Some(Data::Gauge(connections)) = &metric("signalr.connection.count").data else { panic!() };
    assert_eq!(value(&connections.data_points[0].value), 1.0);
    let lasted = metric("signalr.server.connection.duration");
    let Some(Data::Histogram(histogram)) = &lasted.data else { panic!("{lasted:?}") };
    assert_eq!(lasted.unit, "s");
    assert_eq!(
        histogram.data_points[0].bucket_counts.len(),
        histogram.data_points[0].explicit_bounds.len() + 1
    );
}

#[tokio::test]
async fn what_is_left_at_the_end_is_exported_before_it() {
    let mut collector = Collector::start().await;
    let launch = exporting(collector.port);
    let port = launch.port();
    let mut server = ServerProcess::start(launch).await.unwrap();
    let mut socket = client::connect(port, "/chathub").await;
    let call = r#"{"type":1,"invocationId":"1","target":"JoinRoom","arguments":["r"]}"#;
    socket.write_all(&client::frame(call)).await.unwrap();
    let mut answer = [0; 16];
    socket.read_exact(&mut answer).await.unwrap();
    server.terminate().unwrap();
    let span = collector.span("ChatHub/JoinRoom").await;
    assert!(span.parent_span_id.is_empty(), "nobody said what it belongs to");
    assert!(delta(&collector.metrics().await, "signalr.messages.sent") >= 1.0);
    assert!(server.exit_status(PATIENCE).await.unwrap().success());
}

#[tokio::test]
async fn a_collector_that_takes_nothing_stops_nothing_and_is_told_once() {
    let refuse = || async { StatusCode::UNAUTHORIZED };
    let port = serve(Router::new().fallback(refuse)).await;
    let launch = exporting(port).env("OTEL_METRIC_EXPORT_INTERVAL", "50").env("OTEL_TRACES_EXPORTER", "none");
    let launch = launch.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let mut server = ServerProcess::start(launch).await.unwrap();
    let line = server.line_with("The collector does not take traces or metrics").await.unwrap();
    assert!(line.contains("401") && line.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{line}");
    server.line_with("grpc is not spoken, metrics go over http/protobuf").await.unwrap();
    server.terminate().unwrap();
    assert!(server.exit_status(PATIENCE).await.unwrap().success());
    let lines = server.lines();
    assert_eq!(lines.iter().filter(|line| line.contains("does not take")).count(), 1, "{lines:?}");
    assert!(!lines.join("\n").contains("s3cr3t"), "the key is not in the log");
}

/// Invokes and waits for the completion.
async fn invoke(socket: &mut TcpStream, headers: &str, id: u8, target: &str, arguments: &str) {
    let call = format!(
        r#"{{"type":1{headers},"invocationId":"{id}","target":"{target}","arguments":[{arguments}]}}"#
    );
    socket.write_all(&client::frame(&call)).await.unwrap();
    hears(socket, &format!(r#""invocationId":"{id}""#)).await;
}

async fn hears(socket: &mut TcpStream, text: &str) {
    let mut heard = Vec::new();
    let hearing = async {
        while !String::from_utf8_lossy(&heard).contains(text) {
            heard.push(socket.read_u8().await.unwrap());
        }
    };
    assert!(timeout(PATIENCE, hearing).await.is_ok(), "{text}: {}", String::from_utf8_lossy(&heard));
}

#[tokio::test]
async fn what_other_instances_deliver_belongs_to_the_call_that_sent_it() {
    let mut collector = Collector::start().await;
    let redis = RedisServer::start().await.unwrap();
    let launch = || {
        let launch = exporting(collector.port).env("OTEL_BSP_SCHEDULE_DELAY", "100");
        launch.env("OTEL_METRICS_EXPORTER", "none").arg("--redis").arg(redis.connection_string())
    };
    let (here, there) = (launch(), launch());
    let ports = [here.port(), there.port()];
    let (_here, there) =
        (ServerProcess::start(here).await.unwrap(), ServerProcess::start(there).await.unwrap());
    let mut receiver = client::connect(ports[1], "/chathub").await;
    invoke(&mut receiver, "", 1, "JoinRoom", r#""r""#).await;
    let (_, instance_there) = collector.span_elsewhere("ChatHub/JoinRoom", "").await;
    let mut sender = client::connect(ports[0], "/chathub").await;
    invoke(&mut sender, "", 1, "JoinRoom", r#""r""#).await;
    let headers = format!(r#","headers":{{"traceparent":"00-{TRACE}-{PARENT}-01"}}"#);
    invoke(&mut sender, &headers, 2, "SendToRoom", r#""r","hello""#).await;
    hears(&mut receiver, "ReceiveRoomMessage").await;

    let mut sent = None;
    let mut delivered = None;
    while sent.is_none() || delivered.is_none() {
        let request = timeout(PATIENCE, collector.traces.recv()).await.unwrap().unwrap();
        let resource = request.resource_spans[0].resource.clone().unwrap();
        let is_there = attribute(&resource.attributes, "service.instance.id") == instance_there;
        let scopes = request.resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans).filter(|span| span.kind != 0) {
            match &*span.name {
                "ChatHub/SendToRoom" => sent = Some(span),
                // Joining is told, too, in a trace of its own.
                "ChatHub/deliver" if is_there && span.trace_id == trace_id() => delivered = Some(span),
                _ => {}
            }
        }
    }
    let (sent, delivered) = (sent.unwrap(), delivered.unwrap());
    assert_eq!(sent.trace_id, trace_id());
    assert_eq!((delivered.parent_span_id, delivered.kind), (sent.span_id, 5), "a consumer's");
    assert!(there.health().await.is_some());
}

fn trace_id() -> Vec<u8> {
    (0..TRACE.len()).step_by(2).map(|at| u8::from_str_radix(&TRACE[at..at + 2], 16).unwrap()).collect()
}
