//! Which functions can be hub methods.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_protocol::{BindError, HubProtocol, encode};
use serde::Serialize;

use crate::{Binding, FromInvocation, HubError};

/// A running call. Its value comes encoded for the caller.
pub(crate) type Call = BoxFuture<'static, Result<Vec<u8>, HubError>>;

/// An async function that can be a hub method: up to twelve parameters, each a
/// [`FromInvocation`], and a result that is an [`IntoHubResult`].
///
/// `M` is found by the compiler and never written.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a hub method",
    note = "a hub method is an `async fn`: first what it needs from the server (`Clients`, `Caller`, `State<T>` ...), then the client's arguments (`serde::Deserialize`)",
    note = "it returns a `serde::Serialize`, nothing, or a `Result` of these whose error converts into `HubError`; its future must be `Send`"
)]
pub trait Handler<M, S>: Send + Sync + 'static {
    /// How many arguments the client must send.
    const ARGUMENTS: usize;

    /// Binds the parameters at once and returns the call, which has not begun to run.
    ///
    /// # Errors
    /// An argument does not fit.
    fn call(
        &self,
        binding: &mut Binding<'_, S>,
        protocol: HubProtocol,
    ) -> Result<BoxFuture<'static, Result<Vec<u8>, HubError>>, BindError>;
}

/// What a hub method can return: a serializable value or a `Result` of one.
///
/// `M` tells the two apart; the compiler finds it.
pub trait IntoHubResult<M>: Send {
    /// Encodes the value for the caller.
    ///
    /// # Errors
    /// The method failed, or its value cannot be encoded.
    fn into_hub_result(self, protocol: HubProtocol) -> Result<Vec<u8>, HubError>;
}

/// Marks a plain value for [`IntoHubResult`].
#[derive(Debug)]
pub enum Value {}

/// Marks a `Result` for [`IntoHubResult`].
#[derive(Debug)]
pub enum Fallible {}

impl<T: Serialize + Send> IntoHubResult<Value> for T {
    fn into_hub_result(self, protocol: HubProtocol) -> Result<Vec<u8>, HubError> {
        Ok(encode::value(protocol, &self)?)
    }
}

impl<T: Serialize + Send, E: Into<HubError> + Send> IntoHubResult<Fallible> for Result<T, E> {
    fn into_hub_result(self, protocol: HubProtocol) -> Result<Vec<u8>, HubError> {
        Ok(encode::value(protocol, &self.map_err(Into::into)?)?)
    }
}

macro_rules! handler {
    ($($parameter:ident),*) => {
        impl<F, Fut, R, M, S, $($parameter,)*> Handler<(M, $($parameter,)*), S> for F
        where
            F: Fn($($parameter),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = R> + Send + 'static,
            R: IntoHubResult<M>,
            $($parameter: FromInvocation<S>,)*
        {
            const ARGUMENTS: usize = 0 $(+ $parameter::ARGUMENTS)*;

            #[allow(non_snake_case, unused_variables, reason = "one body for every number of parameters")]
            fn call(&self, binding: &mut Binding<'_, S>, protocol: HubProtocol) -> Result<Call, BindError> {
                $(let $parameter = $parameter::from_invocation(binding)?;)*
                let running = self($($parameter),*);
                Ok(running.map(move |result| result.into_hub_result(protocol)).boxed())
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
    fn call(&self, binding: &mut Binding<'_, S>, protocol: HubProtocol) -> Result<Call, BindError>;
}

pub(crate) struct Erased<H, M>(H, std::marker::PhantomData<fn() -> M>);

impl<H, M> Erased<H, M> {
    pub(crate) fn new(handler: H) -> Self {
        Self(handler, std::marker::PhantomData)
    }
}

impl<H: Handler<M, S>, M, S> ErasedHandler<S> for Erased<H, M> {
    fn call(&self, binding: &mut Binding<'_, S>, protocol: HubProtocol) -> Result<Call, BindError> {
        self.0.call(binding, protocol)
    }
}
