//! Which functions can be hub methods.

use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_pipe::RequestParts;
use hubline_protocol::BindError;

use crate::result::{Fallible, Kind};
use crate::stream::HubStream;
use crate::{Binding, FromInvocation, HubError, IntoHubResult, Returned};

/// A call that has not begun to run.
pub(crate) type Call = BoxFuture<'static, Result<Returned, HubError>>;

/// An async function that can be a hub method: up to twelve parameters, each a
/// [`FromInvocation`], and a result that is an [`IntoHubResult`].
///
/// `M` is found by the compiler and never written.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a method of a hub whose state is `{S}`",
    note = "`#[hubline::method]` (feature `macros`) on the function, with `(state = App)` where the hub has a state, tells which parameter or result it is that does not fit",
    note = "a hub method is an `async fn` of 12 parameters at most, whose future is `Send`: what it needs from the server (`Clients`, `Caller`, `State<T>` ...), and the client's arguments, owned (`String`, not `&str`) and `serde::Deserialize`",
    note = "`State<T>` is `hubline::State`, and `FromRef` is `hubline::FromRef`, not axum's; the state comes from `Hub::with_state(name, state)`, whose methods are added after it",
    note = "it returns nothing, a `serde::Serialize`, or a `Result` of these whose error converts into a `HubError`",
    note = "a method that returns a stream is registered with `Hub::stream`"
)]
pub trait Handler<M, S>: Send + Sync + 'static {
    /// How many arguments the client must send.
    const ARGUMENTS: usize;
    /// How many streams the client must upload.
    const STREAMS: usize;
    /// Which parts of the connection's request it takes.
    const REQUEST_PARTS: RequestParts;

    /// Binds the parameters at once and returns the call, which has not begun to run.
    ///
    /// # Errors
    /// An argument does not fit.
    fn call(
        self: &Arc<Self>,
        binding: &mut Binding<'_, S>,
    ) -> Result<BoxFuture<'static, Result<Returned, HubError>>, BindError>;

    /// The type, if the function returns a `Result` that would be sent as a value.
    #[doc(hidden)]
    fn result_as_value() -> Option<&'static str>;
}

/// A function that can be a streaming hub method: as [`Handler`], but it returns a [`HubStream`], at once or
/// as an `async fn`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a streaming method of a hub whose state is `{S}`",
    note = "`#[hubline::method]` (feature `macros`) on the function tells which parameter it is that does not fit",
    note = "a streaming hub method is a function, `async` or not, that returns a `Stream` of `serde::Serialize` items, or a `Result` or `Option` of one; stream and future must be `Send` and own what they use",
    note = "its parameters are those of any hub method; one that returns a value is registered with `Hub::method`"
)]
pub trait StreamHandler<M, S>: Send + Sync + 'static {
    /// How many arguments the client must send.
    const ARGUMENTS: usize;
    /// How many streams the client must upload.
    const STREAMS: usize;
    /// Which parts of the connection's request it takes.
    const REQUEST_PARTS: RequestParts;

    /// As [`Handler::call`].
    ///
    /// # Errors
    /// An argument does not fit.
    fn call(
        self: &Arc<Self>,
        binding: &mut Binding<'_, S>,
    ) -> Result<BoxFuture<'static, Result<Returned, HubError>>, BindError>;

    /// The type, if the function returns a `Result` that would be sent as a value.
    #[doc(hidden)]
    fn result_as_value() -> Option<&'static str>;
}

/// What calling a hub method gives: a future of an [`IntoHubResult`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a hub method can give",
    note = "a hub method is an `async fn` whose future is `Send`, and which returns a `serde::Serialize` or a `Result` of one"
)]
pub trait MethodFuture<M> {
    /// The marker of the output.
    type Marker;
    /// What the method returns.
    type Output: IntoHubResult<Self::Marker>;
    /// The method as it runs.
    type Future: Future<Output = Self::Output> + Send + 'static;

    /// Begins the call.
    fn into_future(self) -> Self::Future;
}

impl<F, M> MethodFuture<M> for F
where
    F: Future + Send + 'static,
    F::Output: IntoHubResult<M>,
{
    type Marker = M;
    type Output = F::Output;
    type Future = F;

    fn into_future(self) -> F {
        self
    }
}

/// A future whose output is a `Result` and not a value, also where its error can be serialized; awaiting it gives the
/// `Result`. Functions under `#[hubline::method]` return it.
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct ResultFuture<F>(pub F);

/// Marks a [`ResultFuture`] for [`MethodFuture`].
#[derive(Debug)]
pub enum Decided {}

impl<F, T, E> MethodFuture<Decided> for ResultFuture<F>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    Result<T, E>: IntoHubResult<Fallible>,
{
    type Marker = Fallible;
    type Output = F::Output;
    type Future = F;

    fn into_future(self) -> F {
        self.0
    }
}

impl<F: Future> IntoFuture for ResultFuture<F> {
    type Output = F::Output;
    type IntoFuture = F;

    fn into_future(self) -> F {
        self.0
    }
}

macro_rules! handler {
    ($($parameter:ident),*) => {
        impl<F, Fut, M, S, $($parameter,)*> Handler<(M, $($parameter,)*), S> for F
        where
            F: Fn($($parameter),*) -> Fut + Send + Sync + 'static,
            Fut: MethodFuture<M>,
            $($parameter: FromInvocation<S> + Send + 'static,)*
        {
            const ARGUMENTS: usize = 0 $(+ $parameter::ARGUMENTS)*;
            const STREAMS: usize = 0 $(+ $parameter::STREAMS)*;
            const REQUEST_PARTS: RequestParts = RequestParts::NONE $(.and($parameter::REQUEST_PARTS))*;

            #[allow(non_snake_case, unused_variables, reason = "one body for every number of parameters")]
            fn call(self: &Arc<Self>, binding: &mut Binding<'_, S>) -> Result<Call, BindError> {
                $(let $parameter = $parameter::from_invocation(binding)?;)*
                let (method, dialect) = (Arc::clone(self), binding.dialect());
                Ok(async move {
                    let result = method($($parameter),*).into_future().await;
                    result.into_hub_result(dialect).map(|value| Returned(Kind::Value(value)))
                }
                .boxed())
            }

            fn result_as_value() -> Option<&'static str> {
                Fut::Output::result_as_value()
            }
        }

        impl<F, R, M, S, $($parameter,)*> StreamHandler<(M, $($parameter,)*), S> for F
        where
            F: Fn($($parameter),*) -> R + Send + Sync + 'static,
            R: HubStream<M>,
            $($parameter: FromInvocation<S> + Send + 'static,)*
        {
            const ARGUMENTS: usize = 0 $(+ $parameter::ARGUMENTS)*;
            const STREAMS: usize = 0 $(+ $parameter::STREAMS)*;
            const REQUEST_PARTS: RequestParts = RequestParts::NONE $(.and($parameter::REQUEST_PARTS))*;

            #[allow(non_snake_case, unused_variables, reason = "one body for every number of parameters")]
            fn call(self: &Arc<Self>, binding: &mut Binding<'_, S>) -> Result<Call, BindError> {
                $(let $parameter = $parameter::from_invocation(binding)?;)*
                let (method, dialect) = (Arc::clone(self), binding.dialect());
                Ok(async move {
                    let stream = method($($parameter),*).into_items(dialect);
                    Ok(Returned(stream.await?.map_or(Kind::NoStream, Kind::Stream)))
                }
                .boxed())
            }

            fn result_as_value() -> Option<&'static str> {
                R::result_as_value()
            }
        }
    };
}

handler!();
handler!(P1);
handler!(P1, P2);
handler!(P1, P2, P3);
handler!(P1, P2, P3, P4);
handler!(P1, P2, P3, P4, P5);
handler!(P1, P2, P3, P4, P5, P6);
handler!(P1, P2, P3, P4, P5, P6, P7);
handler!(P1, P2, P3, P4, P5, P6, P7, P8);
handler!(P1, P2, P3, P4, P5, P6, P7, P8, P9);
handler!(P1, P2, P3, P4, P5, P6, P7, P8, P9, P10);
handler!(P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11);
handler!(P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12);

/// A hub method without its types, and with the state it takes.
pub(crate) trait ErasedHandler: Send + Sync {
    fn call(&self, binding: Binding<'_>) -> Result<Call, BindError>;
}

pub(crate) struct Erased<H, M, S> {
    handler: Arc<H>,
    state: Arc<S>,
    marker: PhantomData<fn() -> M>,
}

impl<H, M, S> Erased<H, M, S> {
    pub(crate) fn new(handler: H, state: Arc<S>) -> Self {
        Self { handler: Arc::new(handler), state, marker: PhantomData }
    }
}

impl<H: Handler<M, S>, M, S: Send + Sync> ErasedHandler for Erased<H, M, S> {
    fn call(&self, binding: Binding<'_>) -> Result<Call, BindError> {
        self.handler.call(&mut binding.with_state(&*self.state))
    }
}

pub(crate) struct ErasedStream<H, M, S>(Erased<H, M, S>);

impl<H, M, S> ErasedStream<H, M, S> {
    pub(crate) fn new(handler: H, state: Arc<S>) -> Self {
        Self(Erased::new(handler, state))
    }
}

impl<H: StreamHandler<M, S>, M, S: Send + Sync> ErasedHandler for ErasedStream<H, M, S> {
    fn call(&self, binding: Binding<'_>) -> Result<Call, BindError> {
        self.0.handler.call(&mut binding.with_state(&*self.0.state))
    }
}
