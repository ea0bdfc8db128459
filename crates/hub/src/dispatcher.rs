//! From an invocation to the call of a hub method, and from its end to what the caller is told.
//!
//! The texts are ASP.NET Core's; users and tests match them.

use std::borrow::Cow;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_identity::Access;
use hubline_pipe::LifecycleKind;
use hubline_protocol::encode::{self, CompletionOutcome};
use hubline_protocol::{BindError, Encoded};
use tokio_util::sync::CancellationToken;

use crate::activity::Activity;
use crate::callback::Callback;
use crate::extract::Binding;
use crate::filter::{self, EncodedArguments};
use crate::handler::{Call, ErasedHandler};
use crate::hub::Method;
use crate::invocation::{CallParts, Occasion};
use crate::result::Kind;
use crate::statistics::Limit;
use crate::{Caller, CloseReason, Disconnected, HubContext, HubError, Returned};

/// Bytes of what a client has sent that a log line repeats.
const LONGEST_IN_LOG: usize = 200;

/// A call that is bound and may begin.
pub(crate) struct BoundCall {
    pub(crate) reply: Reply,
    pub(crate) parts: CallParts,
    /// Ids of the streams that the client uploads with it.
    pub(crate) stream_ids: Vec<Box<str>>,
    /// Whether the client expects a stream of results.
    pub(crate) streaming: bool,
    method: Arc<Method>,
    call: Call,
    /// For the hub's filters, if it has any.
    arguments: Option<EncodedArguments>,
}

/// Whom the end of a call is told, and how.
pub(crate) struct Reply {
    context: HubContext,
    caller: Caller,
    /// Absent if the caller does not want to know.
    pub(crate) invocation_id: Option<Box<str>>,
    /// The method as registered, or as the client spelled one that does not exist; for error texts.
    method: Arc<str>,
    /// Which span of its own trace the caller says that the call belongs to.
    trace_parent: Option<Box<str>>,
    /// Of a call that has begun.
    activity: Option<Activity>,
}

/// Binds an invocation to its method.
///
/// # Errors
/// It cannot be called; with the completion for the caller, if there is to be one.
pub(crate) fn bind(
    context: &HubContext,
    caller: &Caller,
    invocation: hubline_protocol::Invocation<'_>,
) -> Result<BoundCall, Option<Encoded>> {
    let hubline_protocol::Invocation {
        invocation_id,
        target,
        arguments,
        stream_ids,
        streaming,
        trace_parent,
    } = invocation;
    let longest = context.0.options.limits.method_name_bytes;
    let is_too_long = (1..target.len()).contains(&longest);
    let found = if is_too_long { None } else { context.0.hub.find(&target) };
    let target = if is_too_long { shortened(&target, longest).into_owned().into() } else { target };
    let reply = Reply {
        context: context.clone(),
        caller: caller.clone(),
        invocation_id: invocation_id.map(|id| id.into()),
        method: found.map_or_else(|| Arc::from(&*target), |method| Arc::clone(&method.name)),
        trace_parent: trace_parent.map(Into::into),
        activity: None,
    };
    if is_too_long {
        context.limited(caller, Limit::MethodNameBytes);
        let text = format!("The name of a method may have {longest} bytes (Limits:MethodNameBytes).");
        return Err(reply.failed_to_invoke(&HubError::new(text)));
    }
    let Some(method) = found else {
        reply.log_unknown_method();
        return Err(reply.failed_to_invoke(&HubError::new("Method does not exist.")));
    };
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(error) => {
            reply.log_binding_failure(method, &error.to_string());
            return Err(reply.does_not_bind(&error));
        }
    };
    if arguments.len() != method.arguments {
        let message = format!(
            "Invocation provides {} argument(s) but target expects {}.",
            arguments.len(),
            method.arguments
        );
        reply.log_binding_failure(method, &message);
        return Err(reply.failed_to_invoke(&HubError::hidden("InvalidDataException", message)));
    }
    let takes_slot = !streaming && method.streams == 0;
    let has_filters = context.0.hub.filters.wrap_calls();
    let encoded = has_filters.then(|| arguments.iter().map(|value| value.encoded().into()).collect());
    let mut parts = CallParts::on(if takes_slot { Occasion::Call } else { Occasion::Free });
    parts.nobody_waits = reply.invocation_id.is_none();
    let binding = Binding { caller, context, state: &(), arguments, disconnected: None, parts: &mut parts };
    let call = match method.handler.call(binding) {
        Ok(call) => call,
        Err(error) => {
            reply.log_binding_failure(method, &error.to_string());
            return Err(reply.does_not_bind(&BindError::new(
                "Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked.",
            )));
        }
    };
    let stream_ids = stream_ids.into_iter().map(Into::into).collect();
    let method = Arc::clone(method);
    Ok(BoundCall { reply, parts, stream_ids, streaming, method, call, arguments: encoded })
}

/// The beginning of a text that is longer than this.
fn shortened(name: &str, bytes: usize) -> Cow<'_, str> {
    if name.len() <= bytes {
        return name.into();
    }
    let end = (0..=bytes.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &name[..end]).into()
}

impl BoundCall {
    /// Whether it counts against `maximum_parallel_invocations_per_client`.
    pub(crate) fn takes_slot(&self) -> bool {
        self.parts.occasion == Occasion::Call
    }

    /// The client does not want it any more, which its method may care about.
    pub(crate) fn cancel(&self) {
        if let Some(cancellation) = &self.parts.cancellation {
            cancellation.cancel();
        }
    }

    /// Whether it is cancelled, and its method cares.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.parts.cancellation.as_ref().is_some_and(CancellationToken::is_cancelled)
    }

    /// Whether its stream is dropped when the client cancels it, because its method does not look.
    pub(crate) fn is_dropped_when_cancelled(&self) -> bool {
        self.parts.cancellation.is_none()
    }

    /// What is checked when its turn has come.
    ///
    /// # Errors
    /// It may not run; with the completion for the caller, if there is to be one.
    pub(crate) fn admit(&self) -> Result<(), Option<Encoded>> {
        let (reply, method) = (&self.reply, &self.method);
        let name = &*method.name;
        if let Some(policy) = &method.authorization
            && policy.evaluate(reply.caller.principal().as_deref()) != Access::Granted
        {
            tracing::debug!(hub = reply.context.name(), method = name, "the caller is not authorized");
            return Err(reply.error(&format!("Failed to invoke '{name}' because user is unauthorized")));
        }
        let refused = match (method.is_streaming, self.streaming) {
            (true, false) => Some(("streaming", "non-streaming")),
            (false, true) => Some(("non-streaming", "streaming")),
            _ => None,
        };
        if let Some((is, used_as)) = refused {
            let text = format!(
                "The client attempted to invoke the {is} '{name}' method with a {used_as} invocation."
            );
            reply.log_binding_failure(method, &text);
            return Err(reply.error(&text));
        }
        if self.stream_ids.len() != method.streams {
            let text = format!(
                "Client sent {} stream(s), Hub method expects {}.",
                self.stream_ids.len(),
                method.streams
            );
            reply.log_binding_failure(method, &text);
            return Err(reply.unexpected_error(&HubError::new(text)));
        }
        Ok(())
    }

    /// The call itself with the hub's filters around it. A panic fails it and nothing else.
    pub(crate) fn into_future(self) -> (Reply, BoxFuture<'static, Result<Returned, HubError>>) {
        let Self { mut reply, call, method, arguments, .. } = self;
        let name = Arc::clone(&method.name);
        reply.activity = Some(Activity::of_call(
            &reply.context,
            &reply.caller,
            method,
            reply.trace_parent.take().as_deref(),
        ));
        let Some(arguments) = arguments else { return (reply, call) };
        let invocation = filter::Invocation {
            context: reply.context.clone(),
            caller: reply.caller.clone(),
            method: name,
            arguments,
        };
        let call = reply.context.0.hub.filters.around_call(&invocation, call);
        (reply, call)
    }
}

/// Runs a call or a callback on. A panic is an error like any other.
pub(crate) fn poll_caught<T>(
    cx: &mut Context<'_>,
    call: &mut BoxFuture<'static, Result<T, HubError>>,
) -> Poll<Result<T, HubError>> {
    match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
        Ok(polled) => polled,
        Err(panic) => Poll::Ready(Err(panicked(panic.as_ref()))),
    }
}

impl Reply {
    /// Runs the call, or the stream that it has returned, on.
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        call: &mut BoxFuture<'static, Result<T, HubError>>,
    ) -> Poll<Result<T, HubError>> {
        match &self.activity {
            Some(activity) => activity.poll(&self.context, cx, call),
            None => poll_caught(cx, call),
        }
    }

    /// As [`poll`](Self::poll), to its end.
    pub(crate) async fn run<T>(
        &self,
        mut call: BoxFuture<'static, Result<T, HubError>>,
    ) -> Result<T, HubError> {
        poll_fn(|cx| self.poll(cx, &mut call)).await
    }

    /// The completion of a call that is not a stream.
    pub(crate) fn outcome(&self, outcome: Result<Returned, HubError>) -> Option<Encoded> {
        match outcome.map(|returned| returned.0) {
            Ok(Kind::Value(value)) => self.complete(CompletionOutcome::Value(&value)),
            // A filter may have brought another method's result.
            Ok(Kind::Stream(_) | Kind::NoStream) => self.no_stream(),
            Err(error) => self.failed(error),
        }
    }

    /// The completion of a stream that ended.
    pub(crate) fn void(&self) -> Option<Encoded> {
        self.complete(CompletionOutcome::Void)
    }

    /// The completion of a call that failed while it ran.
    pub(crate) fn failed(&self, error: HubError) -> Option<Encoded> {
        let error = self.log(error);
        self.unexpected_error(&error)
    }

    /// The completion of a stream that failed.
    pub(crate) fn stream_failed(&self, error: HubError) -> Option<Encoded> {
        let error = self.log(error);
        self.with_base("An error occurred on the server while streaming results.", &error)
    }

    pub(crate) fn no_stream(&self) -> Option<Encoded> {
        let name = &self.method;
        self.error(&format!(
            "The value returned by the streaming method '{name}' is not a ChannelReader<> or IAsyncEnumerable<>."
        ))
    }

    /// The completion with this text alone.
    pub(crate) fn error(&self, text: &str) -> Option<Encoded> {
        self.complete(CompletionOutcome::Error(text))
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Logs a failure, and returns it as the hub's rules put it.
    fn log(&self, error: HubError) -> HubError {
        let error = self.context.0.hub.error_rules.apply(error);
        match &self.activity {
            Some(activity) => activity.failed(&error, || self.log_failure(&error)),
            None => self.log_failure(&error),
        }
        if error.is_fatal() {
            self.caller.0.outbox.close(CloseReason::Unwritable(error.to_string().into()));
        }
        error
    }

    fn log_failure(&self, error: &HubError) {
        let (hub, method, connection) = (self.context.name(), &*self.method, self.caller.public_id());
        let causes = format_args!("{error:#}");
        if error.is_cancelled() {
            tracing::debug!(hub, method, %connection, "a hub method was cancelled");
        } else if !error.is_for_caller() {
            tracing::error!(hub, method, %connection, error = %causes, "a hub method failed");
        } else if error.source().is_some() {
            tracing::info!(hub, method, %connection, error = %causes, "a hub method failed, and its client was told");
        }
    }

    /// The first of the hub is a warning, since such a client and this server do not fit together.
    fn log_unknown_method(&self) {
        let (hub, connection) = (self.context.name(), self.caller.public_id());
        let method = &*shortened(&self.method, LONGEST_IN_LOG);
        if self.context.0.counters.unknown_method() == 0 {
            tracing::warn!(
                hub,
                method,
                %connection,
                "a client has called a method that the hub does not have. Further cases are counted, and logged at level \
                 debug"
            );
        } else {
            tracing::debug!(hub, method, %connection, "unknown hub method");
        }
    }

    /// The first of each method is a warning, for the same reason.
    fn log_binding_failure(&self, method: &Method, error: &str) {
        let (hub, method_name, connection) = (self.context.name(), &*method.name, self.caller.public_id());
        // What does not fit may be quoted in it, and be long.
        let error = shortened(error, LONGEST_IN_LOG);
        if method.counters.binding_failures.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                hub,
                method = method_name,
                %connection,
                error = &*error,
                "a client's call does not fit the parameters of the hub method, and failed. Further cases of this method \
                 are counted, and logged at level debug"
            );
        } else {
            tracing::debug!(hub, method = method_name, %connection, error = &*error, "a call does not fit its method");
        }
    }

    fn does_not_bind(&self, error: &BindError) -> Option<Encoded> {
        self.failed_to_invoke(&HubError::hidden("InvalidDataException", error.to_string()))
    }

    fn failed_to_invoke(&self, error: &HubError) -> Option<Encoded> {
        self.with_base(&format!("Failed to invoke '{}' due to an error on the server.", self.method), error)
    }

    fn unexpected_error(&self, error: &HubError) -> Option<Encoded> {
        self.with_base(
            &format!("An unexpected error occurred invoking '{}' on the server.", self.method),
            error,
        )
    }

    fn with_base(&self, base: &str, error: &HubError) -> Option<Encoded> {
        self.error(&error.text_for_client(base, self.context.0.options.detailed_errors))
    }

    fn complete(&self, outcome: CompletionOutcome<'_>) -> Option<Encoded> {
        if matches!(outcome, CompletionOutcome::Error(_)) {
            self.caller.0.failed_calls.fetch_add(1, Ordering::Relaxed);
            self.context.report_between(&self.caller, || LifecycleKind::call_failed(&self.method));
        }
        let protocol = self.caller.0.outbox.protocol;
        self.invocation_id.as_deref().map(|id| encode::completion(protocol, id, outcome))
    }
}

/// Runs `on_connected` with the filters around it.
pub(crate) async fn connected(context: &HubContext, caller: &Caller) -> Result<(), HubError> {
    let hub = &context.0.hub;
    if hub.on_connected.is_none() && hub.filters.is_empty() {
        return Ok(());
    }
    let own = callback(hub.on_connected.as_deref(), Occasion::Connecting, context, caller, None)?;
    let activity = Activity::of_callback(context, caller, Callback::Connected);
    let connected = activity.run(context, hub.filters.around_connected(caller, own)).await;
    connected.map_err(|error| hub.error_rules.apply(error))
}

/// Runs `on_disconnected` with the filters around it.
pub(crate) async fn disconnected(
    context: &HubContext,
    caller: &Caller,
    disconnected: &Disconnected,
) -> Result<(), HubError> {
    let hub = &context.0.hub;
    if hub.on_disconnected.is_none() && hub.filters.is_empty() {
        return Ok(());
    }
    let own = callback(hub.on_disconnected.as_deref(), Occasion::Free, context, caller, Some(disconnected))?;
    let activity = Activity::of_callback(context, caller, Callback::Disconnected);
    activity.run(context, hub.filters.around_disconnected(caller, disconnected, own)).await
}

/// Runs `on_authentication_refreshed`; its failure is logged.
pub(crate) async fn refreshed(context: HubContext, caller: Caller) {
    let Some(handler) = context.0.hub.on_authentication_refreshed.as_deref() else { return };
    let outcome = match callback(Some(handler), Occasion::Connecting, &context, &caller, None) {
        Ok(callback) => {
            let activity = Activity::of_callback(&context, &caller, Callback::AuthenticationRefreshed);
            activity.run(&context, callback).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        tracing::error!(hub = context.name(), connection = %caller.public_id(), error = %format_args!("{error:#}"), "on_authentication_refreshed failed");
    }
}

fn callback(
    handler: Option<&dyn ErasedHandler>,
    occasion: Occasion,
    context: &HubContext,
    caller: &Caller,
    disconnected: Option<&Disconnected>,
) -> Result<BoxFuture<'static, Result<(), HubError>>, HubError> {
    let Some(handler) = handler else { return Ok(std::future::ready(Ok(())).boxed()) };
    let mut parts = CallParts::on(occasion);
    let arguments = Default::default();
    let binding = Binding { caller, context, state: &(), arguments, disconnected, parts: &mut parts };
    let call = handler.call(binding)?;
    Ok(call.map(|outcome| outcome.map(drop)).boxed())
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> HubError {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    HubError::hidden("Panic", text.unwrap_or("the hub method panicked"))
}
