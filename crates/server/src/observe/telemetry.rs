//! Traces and metrics for OpenTelemetry, over OTLP.

#[cfg(feature = "otlp")]
mod otlp;

use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::metrics::{Figures, Metrics};

/// What is sent to a collector, if the variables `OTEL_*` name one. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Telemetry {
    #[cfg(feature = "otlp")]
    otlp: Option<otlp::Otlp>,
}

impl Telemetry {
    /// Reads the environment. `application` names the service where the environment does not. The second is what there is to say
    /// about it in the log.
    #[cfg(feature = "otlp")]
    pub(crate) fn start(application: Option<&str>) -> (Self, Vec<String>) {
        let (otlp, notes) = otlp::Otlp::start(application);
        (Self { otlp }, notes)
    }

    /// Says that it is not built in where a collector is named.
    #[cfg(not(feature = "otlp"))]
    pub(crate) fn start(_application: Option<&str>) -> (Self, Vec<String>) {
        let is_asked_for = std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").is_ok_and(|value| !value.is_empty());
        let note = "OTEL_EXPORTER_OTLP_ENDPOINT is set, and this program was built without OTLP: build it with the cargo feature otlp";
        (Self {}, is_asked_for.then(|| note.to_owned()).into_iter().collect())
    }

    /// What listens to the spans that are exported, and to nothing else.
    pub(crate) fn layer<S>(&self) -> Option<Box<dyn Layer<S> + Send + Sync>>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        #[cfg(feature = "otlp")]
        return self.otlp.as_ref().and_then(otlp::Otlp::layer);
        #[cfg(not(feature = "otlp"))]
        None
    }

    /// Exports these metrics from now on.
    pub(crate) fn export(&self, metrics: &Metrics) {
        #[cfg(feature = "otlp")]
        if let Some(otlp) = &self.otlp {
            otlp.export(metrics.clone());
        }
        #[cfg(not(feature = "otlp"))]
        let _ = metrics;
    }

    /// What it counts itself.
    pub(crate) fn figures(&self) -> Option<Figures> {
        #[cfg(feature = "otlp")]
        return self.otlp.as_ref().map(otlp::Otlp::figures);
        #[cfg(not(feature = "otlp"))]
        None
    }

    /// Exports what is left, for 5 s at most.
    pub(crate) fn stop(&self) {
        #[cfg(feature = "otlp")]
        if let Some(otlp) = &self.otlp {
            otlp.stop();
        }
    }
}
