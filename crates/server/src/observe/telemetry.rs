//! Traces and metrics for OpenTelemetry, over OTLP.

#[cfg(feature = "otlp")]
mod otlp;

use hubline::TraceParent;
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

    /// Says that it is not built in where the environment asks for it.
    #[cfg(not(feature = "otlp"))]
    pub(crate) fn start(_application: Option<&str>) -> (Self, Vec<String>) {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        (Self {}, not_built_in(variables).into_iter().collect())
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

    /// Whether spans are exported, to which the traces of clients belong.
    pub(crate) fn has_traces(&self) -> bool {
        #[cfg(feature = "otlp")]
        return self.otlp.as_ref().is_some_and(otlp::Otlp::has_traces);
        #[cfg(not(feature = "otlp"))]
        false
    }

    /// Names the span that is entered, where spans are exported.
    pub(crate) fn current_span(&self) -> Option<fn() -> Option<TraceParent>> {
        #[cfg(feature = "otlp")]
        return self.has_traces().then_some(otlp::Otlp::current_span);
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

/// What there is to say to whoever has set variables of OpenTelemetry for a program that has nothing of it.
#[cfg(any(test, not(feature = "otlp")))]
fn not_built_in(variables: impl Iterator<Item = (String, String)>) -> Option<String> {
    let mut set: Vec<_> =
        variables.filter(|(name, value)| name.starts_with("OTEL_") && !value.trim().is_empty()).collect();
    set.sort_unstable();
    let is_off =
        |(name, value): &(String, String)| name == "OTEL_SDK_DISABLED" && value.eq_ignore_ascii_case("true");
    if set.is_empty() || set.iter().any(is_off) {
        return None;
    }
    let names: Vec<_> = set.iter().map(|(name, _)| name.as_str()).collect();
    Some(format!(
        "{} mean nothing to this program, which was built without OTLP: nothing is exported. Build it with the cargo feature otlp, a default \
         one, or unset them",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_otlp_says_which_variables_it_cannot_follow() {
        let said = |variables: &[(&str, &str)]| {
            not_built_in(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
        };
        assert_eq!(said(&[("PATH", "/bin"), ("OTEL_SERVICE_NAME", " ")]), None);
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://key@c:4318");
        let note = said(&[("OTEL_SERVICE_NAME", "a"), endpoint]).unwrap();
        assert!(
            note.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME mean") && !note.contains("key@"),
            "{note}"
        );
        assert_eq!(said(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]), None);
    }
}
