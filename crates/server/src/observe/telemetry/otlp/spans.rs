//! Spans of calls, each below the span that its caller names.

use std::collections::HashMap;
use std::fmt;

use opentelemetry::Context as TraceContext;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The target of the spans of calls.
const CALLS: &str = "hubline::call";
/// The field that has what the caller says.
const TRACE_PARENT: &str = "traceparent";

/// What exports spans of calls, and looks at nothing else.
pub(super) fn layer<S>(tracer: SdkTracer) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let inner = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_level(false)
        .with_tracked_inactivity(false);
    Box::new(Parented(inner).with_filter(Targets::new().with_target(CALLS, LevelFilter::INFO)))
}

/// The layer with the parent of each span that its field names.
struct Parented<S>(OpenTelemetryLayer<S, SdkTracer>);

impl<S> Layer<S> for Parented<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(parent) = parent(attributes) else { return self.0.on_new_span(attributes, id, context) };
        // A span that is no root takes the context of the thread.
        let _attached = parent.attach();
        let attributes = Attributes::new(attributes.metadata(), attributes.values());
        self.0.on_new_span(&attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        self.0.on_event(event, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.0.on_enter(id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.0.on_exit(id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.0.on_close(id, context);
    }
}

/// The caller's span, if it names one as W3C's trace context does.
fn parent(attributes: &Attributes<'_>) -> Option<TraceContext> {
    let mut found = TraceParent(None);
    attributes.record(&mut found);
    let carrier = HashMap::from([(TRACE_PARENT.to_owned(), found.0?)]);
    let parent = TraceContextPropagator::new().extract_with_context(&TraceContext::new(), &carrier);
    parent.span().span_context().is_valid().then_some(parent.clone())
}

struct TraceParent(Option<String>);

impl Visit for TraceParent {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == TRACE_PARENT {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
