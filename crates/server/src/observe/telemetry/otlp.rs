//! The exporter: a thread with a runtime of its own, which waits for nobody who is served.

mod client;
mod environment;
mod exposition;
mod request;
mod spans;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hubline::TraceParent;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use parking_lot::Mutex;
use prost::Message;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::observe::metrics::{Figure, Figures, Metrics};
use client::Client;
use environment::{Environment, MetricsTarget};
use request::Encoder;

/// How long the end of the program waits for what is still to be exported.
const FAREWELL: Duration = Duration::from_secs(5);
/// The name of ASP.NET Core's activity source.
const SOURCE: &str = "Microsoft.AspNetCore.SignalR.Server";

/// What is exported. Clones are the same.
#[derive(Clone)]
pub(super) struct Otlp(Arc<Inner>);

struct Inner {
    client: Client,
    resource: Resource,
    traces: Option<SdkTracerProvider>,
    metrics: Option<MetricsTarget>,
    exporting: Mutex<Option<JoinHandle<()>>>,
    stopping: CancellationToken,
    /// Its worker runs for as long as it is there.
    runtime: Runtime,
}

impl Otlp {
    /// Reads the environment, and returns what there is to say about it too.
    pub(super) fn start(application: Option<&str>) -> (Option<Self>, Vec<String>) {
        let environment = Environment::read(|name| std::env::var(name).ok());
        let mut notes = environment.notes;
        if !environment.traces && environment.metrics.is_none() {
            return (None, notes);
        }
        match Self::build(application, environment.traces, environment.metrics) {
            Ok(otlp) => (Some(otlp), notes),
            Err(error) => {
                notes.push(format!("nothing is exported over OTLP: {error}"));
                (None, notes)
            }
        }
    }

    fn build(
        application: Option<&str>,
        traces: bool,
        metrics: Option<MetricsTarget>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("hubline-otlp").enable_all().build()?;
        let client = Client::new(runtime.handle().clone())?;
        let resource = resource(application);
        let traces = traces.then(|| traces_to(client.clone(), resource.clone())).transpose()?;
        let (exporting, stopping) = (Mutex::default(), CancellationToken::new());
        Ok(Self(Arc::new(Inner { client, resource, traces, metrics, exporting, stopping, runtime })))
    }

    /// What listens to the spans of calls, as ASP.NET Core's activities are called.
    pub(super) fn layer<S>(&self) -> Option<Box<dyn Layer<S> + Send + Sync>>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        self.0.traces.as_ref().map(|provider| spans::layer(provider.tracer(SOURCE)))
    }

    /// Names the span that is entered.
    pub(super) fn current_span() -> Option<TraceParent> {
        spans::current()
    }

    pub(super) fn has_traces(&self) -> bool {
        self.0.traces.is_some()
    }

    /// Exports these metrics each period, and once more at the end. Says what is exported, and not where to: the address may have a key in it.
    pub(super) fn export(&self, metrics: Metrics) {
        tracing::info!(
            traces = self.has_traces(),
            metrics_every_seconds = self.0.metrics.as_ref().map(|target| target.period.as_secs_f64()),
            "OpenTelemetry is exported over OTLP, to where OTEL_EXPORTER_OTLP_* say"
        );
        let Some(target) = self.0.metrics.clone() else { return };
        let mut encoder = Encoder::new(&self.0.resource, target.temporality, SystemTime::now());
        let (client, stopping) = (self.0.client.clone(), self.0.stopping.clone());
        let export = async move {
            loop {
                let is_last = tokio::time::timeout(target.period, stopping.cancelled()).await.is_ok();
                if let Some(page) = metrics.open_metrics().await {
                    let request = encoder.request(&page, SystemTime::now()).encode_to_vec();
                    client.post(&target, request).await;
                }
                if is_last {
                    return;
                }
            }
        };
        *self.0.exporting.lock() = Some(self.0.runtime.spawn(export));
    }

    pub(super) fn figures(&self) -> Figures {
        let client = self.0.client.clone();
        Figures::new(move || {
            let help = "Requests with spans or metrics that the collector did not take; the first of a row is logged.";
            vec![Figure::counter("hubline_telemetry_exports_failed", help, client.failed())]
        })
    }

    /// Exports what is left. Not for a thread of a runtime.
    pub(super) fn stop(&self) {
        self.0.stopping.cancel();
        if let Some(exporting) = self.0.exporting.lock().take() {
            _ = self.0.runtime.block_on(async { tokio::time::timeout(FAREWELL, exporting).await });
        }
        if let Some(traces) = &self.0.traces {
            // It has failed before if it fails now, and that is in the log.
            _ = traces.shutdown_with_timeout(FAREWELL);
        }
    }
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp").finish_non_exhaustive()
    }
}

/// Endpoint, headers, timeout, sampler and batches are read from `OTEL_*` by the exporter itself.
fn traces_to(client: Client, resource: Resource) -> Result<SdkTracerProvider, Box<dyn std::error::Error>> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_http_client(client)
        .build()?;
    Ok(SdkTracerProvider::builder()
        .with_span_processor(spans::Linking)
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build())
}

/// What the environment says of this service (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`), and what is known besides.
fn resource(application: Option<&str>) -> Resource {
    let own = [
        KeyValue::new("service.name", application.unwrap_or("hubline").to_owned()),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", client::random_id()),
    ];
    let of_environment = Resource::builder().build();
    let is_named = environment::names_service(|name| std::env::var(name).ok());
    let theirs = of_environment.iter().filter(|(key, _)| is_named || key.as_str() != "service.name");
    let theirs: Vec<_> = theirs.map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    Resource::builder_empty().with_attributes(own).with_attributes(theirs).build()
}
