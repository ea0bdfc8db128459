//! Which functions can handle a call of a client's method.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_hub::{HubError, IntoHubResult};
use hubline_protocol::Dialect;

use super::arguments::{Received, ReceivedArguments};

/// A function that [`TestClient::on`](super::TestClient::on) takes: async, with up to six parameters that serde can deserialize,
/// and a result that a hub method could have.
///
/// `M` is found by the compiler and never written.
pub trait ClientHandler<M>: Send + Sync + 'static {
    /// Decodes the arguments at once and returns the call, which has not begun to run.
    ///
    /// # Errors
    /// The arguments do not fit; why.
    fn call(&self, received: &Received, dialect: Dialect) -> Result<Answering, String>;

    /// The type of its result, if that is a `Result` that would be sent as a value.
    #[doc(hidden)]
    fn result_as_value() -> Option<&'static str>;
}

/// A handler at work, on the encoded result.
pub type Answering = BoxFuture<'static, Result<Vec<u8>, HubError>>;

macro_rules! client_handler {
    ($($parameter:ident),*) => {
        impl<F, Fut, R, M, $($parameter),*> ClientHandler<(M, $($parameter,)*)> for F
        where
            F: Fn($($parameter),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = R> + Send + 'static,
            R: IntoHubResult<M>,
            ($($parameter,)*): ReceivedArguments,
        {
            #[allow(non_snake_case, reason = "one body for every number of parameters")]
            fn call(&self, received: &Received, dialect: Dialect) -> Result<Answering, String> {
                let ($($parameter,)*) = ReceivedArguments::decode(received)?;
                Ok(self($($parameter),*).map(move |result| result.into_hub_result(dialect)).boxed())
            }

            fn result_as_value() -> Option<&'static str> {
                R::result_as_value()
            }
        }
    };
}

client_handler!();
client_handler!(P1);
client_handler!(P1, P2);
client_handler!(P1, P2, P3);
client_handler!(P1, P2, P3, P4);
client_handler!(P1, P2, P3, P4, P5);
client_handler!(P1, P2, P3, P4, P5, P6);

/// A handler without its type.
pub(super) trait ErasedHandler: Send + Sync {
    fn call(&self, received: &Received, dialect: Dialect) -> Result<Answering, String>;
}

pub(super) struct Erased<H, M>(pub(super) H, pub(super) std::marker::PhantomData<fn() -> M>);

impl<H: ClientHandler<M>, M> ErasedHandler for Erased<H, M> {
    fn call(&self, received: &Received, dialect: Dialect) -> Result<Answering, String> {
        self.0.call(received, dialect)
    }
}
