//! Spans of calls, each below the span that its caller names.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use hubline::TraceParent;
use opentelemetry::Context as TraceContext;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Span as _, SpanContext, TraceContextExt};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, Span, SpanData, SpanProcessor};
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
/// The field that has what the request said that opened the connection.
const OPENED_IN: &str = "connection.traceparent";

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
        let mut named = Named::default();
        attributes.record(&mut named);
        let Some(around) = named.context().filter(|_| attributes.is_root()) else {
            return self.0.on_new_span(attributes, id, context);
        };
        // A span that is no root takes the context of the thread.
        let _attached = around.attach();
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

/// The span that is entered, for those who carry out what is done in it elsewhere; `None` if it is not exported.
pub(super) fn current() -> Option<TraceParent> {
    let context = TraceContext::current();
    let current = context.span().span_context().clone();
    let name = || format!("00-{}-{}-01", current.trace_id(), current.span_id());
    current.is_sampled().then(name).as_deref().and_then(TraceParent::parse)
}

/// The spans that a call names.
#[derive(Default)]
struct Named {
    /// Of whoever calls.
    parent: Option<String>,
    /// In which the connection was opened. It outlives that, and is linked.
    opened_in: Option<String>,
}

/// What a span is to be linked to.
#[derive(Debug)]
struct OpenedIn(SpanContext);

impl Named {
    /// What the span of the call is made in; `None` if it is a root without links.
    fn context(self) -> Option<TraceContext> {
        let opened_in = self.opened_in.and_then(span_context).map(OpenedIn);
        let parent = self.parent.and_then(span_context);
        if opened_in.is_none() && parent.is_none() {
            return None;
        }
        let mut context = TraceContext::new();
        if let Some(parent) = parent {
            context = context.with_remote_span_context(parent);
        }
        Some(match opened_in {
            Some(opened_in) => context.with_value(opened_in),
            None => context,
        })
    }
}

/// A span, if it is named as W3C's trace context does.
fn span_context(trace_parent: String) -> Option<SpanContext> {
    let carrier = HashMap::from([(TRACE_PARENT.to_owned(), trace_parent)]);
    let named = TraceContextPropagator::new().extract_with_context(&TraceContext::new(), &carrier);
    let context = named.span().span_context().clone();
    context.is_valid().then_some(context)
}

impl Visit for Named {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            TRACE_PARENT => self.parent = Some(value.to_owned()),
            OPENED_IN => self.opened_in = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// Links each span to the one that the client named when it opened the connection. ASP.NET Core links to its own span of that
/// request, a child of it, which there is none of here.
#[derive(Debug)]
pub(super) struct Linking;

impl SpanProcessor for Linking {
    fn on_start(&self, span: &mut Span, context: &TraceContext) {
        if let Some(OpenedIn(opened_in)) = context.get() {
            span.add_link(opened_in.clone(), Vec::new());
        }
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
