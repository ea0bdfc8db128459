//! From an invocation to the call of a hub method, and from its end to what the caller is told.
//!
//! The texts are ASP.NET Core's; users and tests match them.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_protocol::encode::{self, CompletionOutcome};
use hubline_protocol::{Encoded, HubProtocol, Invocation};

use crate::extract::Binding;
use crate::handler::{Call, ErasedHandler};
use crate::{Caller, Disconnected, HubContext, HubError};

/// A call that is bound and may begin.
pub(crate) struct BoundCall {
    reply: Reply,
    call: Call,
}

/// Whom the end of a call is told, and how.
pub(crate) struct Reply {
    /// Absent if the caller does not want to know.
    invocation_id: Option<Box<str>>,
    /// The method as registered, for error texts.
    method: Box<str>,
}

/// Binds an invocation to its method.
///
/// # Errors
/// It cannot be called; with the completion for the caller, if there is to be one.
pub(crate) fn bind(
    context: &HubContext,
    caller: &Caller,
    invocation: Invocation<'_>,
) -> Result<BoundCall, Option<Encoded>> {
    let protocol = caller.0.outbox.protocol;
    let Invocation { invocation_id, target, arguments, stream_ids, streaming } = invocation;
    let mut reply = Reply { invocation_id: invocation_id.map(|id| id.into()), method: target.into() };

    let Some(method) = context.0.hub.find(&reply.method) else {
        tracing::debug!(hub = context.name(), method = %reply.method, "unknown hub method");
        return Err(reply.failed_to_invoke(context, protocol, &HubError::new("Method does not exist.")));
    };
    reply.method.clone_from(&method.name);
    if arguments.len() != method.arguments {
        let message = format!(
            "Invocation provides {} argument(s) but target expects {}.",
            arguments.len(),
            method.arguments
        );
        return Err(reply.failed_to_invoke(
            context,
            protocol,
            &HubError::hidden("InvalidDataException", message),
        ));
    }
    let mut binding = Binding { caller, context, state: &(), arguments, disconnected: None };
    let call = method.handler.call(&mut binding, protocol).map_err(|error| {
        tracing::debug!(hub = context.name(), method = %reply.method, %error, "the arguments do not fit");
        let message = "Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked.";
        reply.failed_to_invoke(context, protocol, &HubError::hidden("InvalidDataException", message))
    })?;
    if streaming {
        let name = &reply.method;
        let text = format!(
            "The client attempted to invoke the non-streaming '{name}' method with a streaming invocation."
        );
        return Err(reply.error(protocol, &text));
    }
    if !stream_ids.is_empty() {
        let error =
            HubError::new(format!("Client sent {} stream(s), Hub method expects 0.", stream_ids.len()));
        return Err(reply.unexpected_error(context, protocol, &error));
    }
    Ok(BoundCall { reply, call })
}

impl BoundCall {
    /// Runs the call to its end. A panic fails the call and nothing else.
    pub(crate) fn run(
        self,
        context: HubContext,
        protocol: HubProtocol,
    ) -> BoxFuture<'static, Option<Encoded>> {
        let Self { reply, call } = self;
        AssertUnwindSafe(call)
            .catch_unwind()
            .map(move |outcome| match outcome.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))) {
                Ok(value) => reply.complete(protocol, CompletionOutcome::Value(&value)),
                Err(error) => {
                    if !error.is_for_caller() {
                        tracing::error!(hub = context.name(), method = %reply.method, %error, "a hub method failed");
                    }
                    reply.unexpected_error(&context, protocol, &error)
                }
            })
            .boxed()
    }
}

impl Reply {
    fn failed_to_invoke(
        &self,
        context: &HubContext,
        protocol: HubProtocol,
        error: &HubError,
    ) -> Option<Encoded> {
        let base = format!("Failed to invoke '{}' due to an error on the server.", self.method);
        self.error(protocol, &error.text_for_client(&base, context.0.options.detailed_errors))
    }

    fn unexpected_error(
        &self,
        context: &HubContext,
        protocol: HubProtocol,
        error: &HubError,
    ) -> Option<Encoded> {
        let base = format!("An unexpected error occurred invoking '{}' on the server.", self.method);
        self.error(protocol, &error.text_for_client(&base, context.0.options.detailed_errors))
    }

    fn error(&self, protocol: HubProtocol, text: &str) -> Option<Encoded> {
        self.complete(protocol, CompletionOutcome::Error(text))
    }

    fn complete(&self, protocol: HubProtocol, outcome: CompletionOutcome<'_>) -> Option<Encoded> {
        self.invocation_id.as_deref().map(|id| encode::completion(protocol, id, outcome))
    }
}

/// Runs a lifetime callback, if the hub has one.
pub(crate) async fn callback(
    handler: Option<&dyn ErasedHandler<()>>,
    context: &HubContext,
    caller: &Caller,
    disconnected: Option<&Disconnected>,
) -> Result<(), HubError> {
    let Some(handler) = handler else { return Ok(()) };
    let call = {
        let mut binding =
            Binding { caller, context, state: &(), arguments: Default::default(), disconnected };
        handler.call(&mut binding, caller.0.outbox.protocol)?
    };
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(outcome) => outcome.map(drop),
        Err(panic) => Err(panicked(panic.as_ref())),
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> HubError {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    HubError::hidden("Panic", text.unwrap_or("the hub method panicked"))
}
