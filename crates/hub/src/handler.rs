//! Which functions can be hub methods.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_protocol::BindError;

use crate::result::Kind;
use crate::stream::HubStream;
use crate::{Binding, FromInvocation, HubError, IntoHubResult, Returned};

/// A call that has not begun to run.
pub(crate) type Call = BoxFuture<'static, Result<Returned, HubError>>;

/// An async function that can be a hub method: up to twelve parameters, each a
/// [`FromInvocation`], and a result that is an [`IntoHubResult`].
///
/// `M` is found by the compiler and never written.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a hub method",
    note = "a hub method is an `async fn`: first what it needs from the server (`Clients`, `Caller`, `State<T>` ...), then the client's arguments (`serde::Deserialize`)",
    note = "it returns a `serde::Serialize`, nothing, or a `Result` of these whose error converts into `HubError`; its future must be `Send`",
    note = "a method that returns a stream is registered with `Hub::stream`"
)]
pub trait Handler<M, S>: Send + Sync + 'static {
    /// How many arguments the client must send.
    const ARGUMENTS: usize;
    /// How many streams the client must upload.
    const STREAMS: usize;

    /// Binds the parameters at once and returns the call, which has not begun to run.
    ///
    /// # Errors
    /// An argument does not fit.
    fn call(
        self: &Arc<Self>,
        binding: &mut Binding<'_, S>,
    ) -> Result<BoxFuture<'static, Result<Returned, HubError>>, BindError>;
}

/// A function that can be a streaming hub method: as [`Handler`], but it returns a [`HubStream`], at once or
/// as an `async fn`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a streaming hub method",
    note = "a streaming hub method is a function, `async` or not, that returns a `Stream` of `serde::Serialize` items, or a `Result` or `Option` of one; stream and future must be `Send` and own what they use"
)]
pub trait StreamHandler<M, S>: Send + Sync + 'static {
    /// How many arguments the client must send.
    const ARGUMENTS: usize;
    /// How many streams the client must upload.
    const STREAMS: usize;

    /// As [`Handler::call`].
    ///
    /// # Errors
    /// An argument does not fit.
    fn call(
        self: &Arc<Self>,
        binding: &mut Binding<'_, S>,
    ) -> Result<BoxFuture<'static, Result<Returned, HubError>>, BindError>;
}

macro_rules! handler {
    ($($parameter:ident),*) => {
        impl<F, Fut, R, M, S, $($parameter,)*> Handler<(M, $($parameter,)*), S> for F
        where
            F: Fn($($parameter),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = R> + Send + 'static,
            R: IntoHubResult<M>,
            $($parameter: FromInvocation<S> + Send + 'static,)*
        {
            const ARGUMENTS: usize = 0 $(+ $parameter::ARGUMENTS)*;
            const STREAMS: usize = 0 $(+ $parameter::STREAMS)*;

            #[allow(non_snake_case, unused_variables, reason = "one body for every number of parameters")]
            fn call(self: &Arc<Self>, binding: &mut Binding<'_, S>) -> Result<Call, BindError> {
                $(let $parameter = $parameter::from_invocation(binding)?;)*
                let (method, dialect) = (Arc::clone(self), binding.dialect());
                Ok(async move {
                    let result = method($($parameter),*).await;
                    result.into_hub_result(dialect).map(|value| Returned(Kind::Value(value)))
                }
                .boxed())
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

/// A hub method without its types.
pub(crate) trait ErasedHandler<S>: Send + Sync {
    fn call(&self, binding: &mut Binding<'_, S>) -> Result<Call, BindError>;
}

pub(crate) struct Erased<H, M>(Arc<H>, std::marker::PhantomData<fn() -> M>);

impl<H, M> Erased<H, M> {
    pub(crate) fn new(handler: H) -> Self {
        Self(Arc::new(handler), std::marker::PhantomData)
    }
}

impl<H: Handler<M, S>, M, S> ErasedHandler<S> for Erased<H, M> {
    fn call(&self, binding: &mut Binding<'_, S>) -> Result<Call, BindError> {
        self.0.call(binding)
    }
}

pub(crate) struct ErasedStream<H, M>(Arc<H>, std::marker::PhantomData<fn() -> M>);

impl<H, M> ErasedStream<H, M> {
    pub(crate) fn new(handler: H) -> Self {
        Self(Arc::new(handler), std::marker::PhantomData)
    }
}

impl<H: StreamHandler<M, S>, M, S> ErasedHandler<S> for ErasedStream<H, M> {
    fn call(&self, binding: &mut Binding<'_, S>) -> Result<Call, BindError> {
        self.0.call(binding)
    }
}
