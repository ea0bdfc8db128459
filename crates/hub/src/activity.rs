//! The span of a call, named and tagged as ASP.NET Core's activities are, and a watch over calls that block their thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hubline_backplane::TraceParent;
use hubline_pipe::RequestContext;
use hubline_protocol::UserId;
use tracing::Span;

use crate::call_durations::Stopwatch;
use crate::callback::Callback;
use crate::hub::Method;
use crate::{Caller, HubContext, HubError, dispatcher};

/// A poll that takes longer is reported: the other connections of its thread have waited as long.
const BLOCKING: Duration = Duration::from_millis(100);

/// The span of something that a hub runs for a caller. Its name has to be a constant, so this is no function.
macro_rules! span {
    ($name:literal, $kind:literal, $parent:expr, $context:expr, $caller:expr, $method:expr, $trace_parent:expr) => {
        tracing::info_span!(
            target: "hubline::call",
            parent: $parent,
            concat!("Microsoft.AspNetCore.SignalR.Server.", $name),
            otel.name = %format_args!("{}/{}", $context.name(), $method),
            otel.kind = $kind,
            otel.status_code = tracing::field::Empty,
            error.type = tracing::field::Empty,
            traceparent = $trace_parent,
            connection.traceparent = opened_in($caller).as_deref(),
            rpc.system = "signalr",
            rpc.service = $context.name(),
            rpc.method = &*$method,
            connection = %$caller.public_id(),
            user = $caller.user_id().map(UserId::as_str),
        )
    };
}

/// The span in which a message that was sent in another one is delivered to the connections of this instance.
pub(crate) fn delivery(hub: &str, trace_parent: &TraceParent) -> Span {
    tracing::info_span!(
        target: "hubline::call",
        parent: None,
        "Hubline.Delivery",
        otel.name = %format_args!("{hub}/deliver"),
        otel.kind = "consumer",
        traceparent = trace_parent.as_str(),
        rpc.system = "signalr",
        rpc.service = hub,
    )
}

/// The span in which the request was made that opened the caller's connection, if it says so and its endpoint keeps that.
fn opened_in(caller: &Caller) -> Option<String> {
    let request = caller.info().request.clone()?;
    request.header(RequestContext::TRACE_PARENT).map(str::to_owned)
}

/// A hub method or a callback of the hub that runs.
pub(crate) struct Activity {
    span: Span,
    runs: Runs,
    stopwatch: Stopwatch,
}

enum Runs {
    Method(Arc<Method>),
    Callback(Callback),
}

impl Activity {
    /// Of a call, which belongs to no other span here: connections last long, and have many. `trace_parent` is what the caller
    /// says; who exports spans reads it from the field `traceparent`.
    pub(crate) fn of_call(
        context: &HubContext,
        caller: &Caller,
        method: Arc<Method>,
        trace_parent: Option<&str>,
    ) -> Self {
        let span = span!("InvocationIn", "server", None, context, caller, method.name, trace_parent);
        Self { span, runs: Runs::Method(method), stopwatch: Stopwatch::default() }
    }

    pub(crate) fn of_callback(context: &HubContext, caller: &Caller, callback: Callback) -> Self {
        let (parent, none) = (Span::current(), None::<&str>);
        let span = match callback {
            Callback::Connected => {
                span!("OnConnected", "internal", &parent, context, caller, "OnConnectedAsync", none)
            }
            Callback::Disconnected => {
                span!("OnDisconnected", "internal", &parent, context, caller, "OnDisconnectedAsync", none)
            }
            Callback::AuthenticationRefreshed => span!(
                "OnAuthenticationRefreshed",
                "internal",
                &parent,
                context,
                caller,
                "OnAuthenticationRefreshedAsync",
                none
            ),
        };
        Self { span, runs: Runs::Callback(callback), stopwatch: Stopwatch::default() }
    }

    /// Runs it to its end; a panic is an error like any other. Ends the span, as failed where it failed.
    pub(crate) async fn run<T>(
        self,
        context: &HubContext,
        mut future: BoxFuture<'static, Result<T, HubError>>,
    ) -> Result<T, HubError> {
        let outcome = std::future::poll_fn(|cx| self.poll(context, cx, &mut future)).await;
        outcome.inspect_err(|error| self.failed(error, || {}))
    }

    /// Runs it on: in its span, and with a warning if it blocks its thread.
    pub(crate) fn poll<T>(
        &self,
        context: &HubContext,
        cx: &mut Context<'_>,
        future: &mut BoxFuture<'static, Result<T, HubError>>,
    ) -> Poll<Result<T, HubError>> {
        #[expect(
            clippy::disallowed_types,
            reason = "the time of a paused clock does not pass while a thread is blocked"
        )]
        let started = std::time::Instant::now();
        let polled = self.span.in_scope(|| dispatcher::poll_caught(cx, future));
        let took = started.elapsed();
        if let Runs::Method(method) = &self.runs {
            self.stopwatch.polled(started, took, polled.is_ready(), &method.counters.durations);
        }
        if took > BLOCKING {
            self.span.in_scope(|| self.blocked(context, took));
        }
        polled
    }

    /// Marks the span as failed, and logs that within it.
    pub(crate) fn failed(&self, error: &HubError, log: impl FnOnce()) {
        self.span.record("otel.status_code", "ERROR");
        self.span.record("error.type", error.type_name());
        self.span.in_scope(log);
    }

    fn blocked(&self, context: &HubContext, took: Duration) {
        let (method, count): (&str, &AtomicU64) = match &self.runs {
            Runs::Method(method) => (&method.name, &method.counters.blocking_polls),
            Runs::Callback(callback) => (callback.name(), context.0.counters.blocking_polls(*callback)),
        };
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            let took_ms = took.as_millis();
            tracing::warn!(
                hub = context.name(),
                method,
                "a hub method has kept its thread for {took_ms} ms without an await, while other connections waited: \
                 use async functions, or tokio::task::spawn_blocking. Further cases of it are counted, not logged"
            );
        }
    }
}
