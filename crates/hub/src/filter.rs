//! What runs around hub methods and around the life of connections.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_protocol::{BindError, ClientValue, HubProtocol};
use serde::de::DeserializeOwned;

use crate::{Caller, Disconnected, HubContext, HubError, Returned};

/// Middleware of a hub (ASP.NET Core's `IHubFilter`): any `async fn(Invocation, Next) -> Result<Returned, HubError>`, or a
/// type with state of its own, or with something to do around the life of connections.
///
/// Filters wrap each other in the order in which they were added: the first is the outermost, the hub method or callback
/// is the innermost. A filter decides whether and when `next` runs, and sees the outcome. Each function of the trait
/// defaults to `next.run()`.
///
/// ```
/// use hubline_hub::{Caller, Hub, HubError, HubFilter, Invocation, Next, NextCallback, Returned};
///
/// async fn maintenance(call: Invocation, next: Next) -> Result<Returned, HubError> {
///     if call.method() == "Ping" {
///         return next.run().await;
///     }
///     Err(HubError::new("closed for maintenance"))
/// }
///
/// struct Rooms {
///     open: Vec<String>,
/// }
///
/// impl HubFilter for Rooms {
///     async fn invoke(&self, call: Invocation, next: Next) -> Result<Returned, HubError> {
///         let room: String = call.argument(0)?;
///         if !self.open.contains(&room) {
///             return Err(HubError::new("no such room"));
///         }
///         next.run().await
///     }
///
///     async fn connected(&self, caller: Caller, next: NextCallback) -> Result<(), HubError> {
///         println!("{} connects", caller.public_id());
///         next.run().await
///     }
/// }
/// let hub: Hub = Hub::new("Example")
///     .filter(maintenance)
///     .filter(async |call: Invocation, next: Next| {
///         println!("{} is called", call.method());
///         next.run().await
///     })
///     .filter(Rooms { open: vec!["kitchen".to_owned()] });
/// ```
pub trait HubFilter: Send + Sync + 'static {
    /// Whether the filter has anything to do around calls. `false` for one that looks at the life of connections alone:
    /// [`invoke`](Self::invoke) is not called then, and calls cost no more than without it. Default: `true`.
    const WRAPS_CALLS: bool = true;

    /// Runs around a call, once its arguments are bound and its caller is authorized. A stream in the returned value
    /// has not begun.
    fn invoke(
        &self,
        call: Invocation,
        next: Next,
    ) -> impl Future<Output = Result<Returned, HubError>> + Send {
        drop(call);
        next.run()
    }

    /// Runs around `on_connected`. An error closes the connection.
    fn connected(
        &self,
        caller: Caller,
        next: NextCallback,
    ) -> impl Future<Output = Result<(), HubError>> + Send {
        drop(caller);
        next.run()
    }

    /// Runs around `on_disconnected`.
    fn disconnected(
        &self,
        caller: Caller,
        disconnected: Disconnected,
        next: NextCallback,
    ) -> impl Future<Output = Result<(), HubError>> + Send {
        drop((caller, disconnected));
        next.run()
    }
}

impl<F, Fut> HubFilter for F
where
    F: Fn(Invocation, Next) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Returned, HubError>> + Send,
{
    fn invoke(
        &self,
        call: Invocation,
        next: Next,
    ) -> impl Future<Output = Result<Returned, HubError>> + Send {
        self(call, next)
    }
}

/// A call on its way to its method.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub(crate) context: HubContext,
    pub(crate) caller: Caller,
    pub(crate) method: Arc<str>,
    pub(crate) arguments: EncodedArguments,
}

/// The arguments of a call as the client encoded them. Kept only for hubs with filters.
pub(crate) type EncodedArguments = Arc<[Box<[u8]>]>;

impl Invocation {
    /// The name that the method was registered under.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The hub that is called.
    pub fn context(&self) -> &HubContext {
        &self.context
    }

    /// How many arguments the client sent. Streams that it uploads are none.
    pub fn argument_count(&self) -> usize {
        self.arguments.len()
    }

    /// Decodes the argument at `index`, counted from 0, anew at each call.
    ///
    /// # Errors
    /// There is no such argument, or it is not a `T`.
    pub fn argument<T: DeserializeOwned>(&self, index: usize) -> Result<T, BindError> {
        let Some(encoded) = self.arguments.get(index) else {
            return Err(BindError::new(format!(
                "`{}` has {} argument(s), and none at index {index}",
                self.method,
                self.arguments.len()
            )));
        };
        let value = match self.caller.0.outbox.protocol {
            HubProtocol::Json => ClientValue::Json(encoded),
            HubProtocol::MessagePack => ClientValue::MessagePack(encoded),
        };
        value.decode(self.context.naming())
    }
}

/// The rest of a call: the next filter, or the method itself. Dropped without [`Next::run`], the method is not called.
pub struct Next(BoxFuture<'static, Result<Returned, HubError>>);

impl Next {
    /// Runs the inner filters and the method.
    ///
    /// # Errors
    /// Those of the method or of an inner filter.
    ///
    /// # Cancel safety
    /// Not safe: the method is dropped with the future.
    pub fn run(self) -> BoxFuture<'static, Result<Returned, HubError>> {
        self.0
    }
}

/// The rest of a callback: the next filter, or the hub's own.
pub struct NextCallback(BoxFuture<'static, Result<(), HubError>>);

impl NextCallback {
    /// Runs the inner filters and the callback.
    ///
    /// # Errors
    /// Those of the callback or of an inner filter.
    ///
    /// # Cancel safety
    /// Not safe: the callback is dropped with the future.
    pub fn run(self) -> BoxFuture<'static, Result<(), HubError>> {
        self.0
    }
}

/// A [`HubFilter`] without its type.
trait ErasedFilter: Send + Sync {
    fn wraps_calls(&self) -> bool;
    fn invoke(
        self: Arc<Self>,
        call: Invocation,
        next: Next,
    ) -> BoxFuture<'static, Result<Returned, HubError>>;
    fn connected(self: Arc<Self>, caller: Caller, next: NextCallback) -> Callback;
    fn disconnected(self: Arc<Self>, caller: Caller, why: Disconnected, next: NextCallback) -> Callback;
}

type Callback = BoxFuture<'static, Result<(), HubError>>;

/// A filter's own code runs when its turn comes, not while the layers are put together.
impl<F: HubFilter> ErasedFilter for F {
    fn wraps_calls(&self) -> bool {
        F::WRAPS_CALLS
    }

    fn invoke(
        self: Arc<Self>,
        call: Invocation,
        next: Next,
    ) -> BoxFuture<'static, Result<Returned, HubError>> {
        async move { HubFilter::invoke(&*self, call, next).await }.boxed()
    }

    fn connected(self: Arc<Self>, caller: Caller, next: NextCallback) -> Callback {
        async move { HubFilter::connected(&*self, caller, next).await }.boxed()
    }

    fn disconnected(self: Arc<Self>, caller: Caller, why: Disconnected, next: NextCallback) -> Callback {
        async move { HubFilter::disconnected(&*self, caller, why, next).await }.boxed()
    }
}

/// A hub's filters, outermost first.
#[derive(Clone, Default)]
pub(crate) struct Filters(Vec<Arc<dyn ErasedFilter>>);

impl Filters {
    pub(crate) fn add(&mut self, filter: impl HubFilter) {
        self.0.push(Arc::new(filter));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether calls have anything around them.
    pub(crate) fn wrap_calls(&self) -> bool {
        self.0.iter().any(|filter| filter.wraps_calls())
    }

    pub(crate) fn around_call(
        &self,
        call: &Invocation,
        method: BoxFuture<'static, Result<Returned, HubError>>,
    ) -> BoxFuture<'static, Result<Returned, HubError>> {
        let around =
            |next, filter: &Arc<dyn ErasedFilter>| Arc::clone(filter).invoke(call.clone(), Next(next));
        self.0.iter().rev().filter(|filter| filter.wraps_calls()).fold(method, around)
    }

    pub(crate) fn around_connected(&self, caller: &Caller, callback: Callback) -> Callback {
        let around = |next, filter: &Arc<dyn ErasedFilter>| {
            Arc::clone(filter).connected(caller.clone(), NextCallback(next))
        };
        self.0.iter().rev().fold(callback, around)
    }

    pub(crate) fn around_disconnected(
        &self,
        caller: &Caller,
        disconnected: &Disconnected,
        callback: Callback,
    ) -> Callback {
        let around = |next, filter: &Arc<dyn ErasedFilter>| {
            Arc::clone(filter).disconnected(caller.clone(), disconnected.clone(), NextCallback(next))
        };
        self.0.iter().rev().fold(callback, around)
    }
}

impl std::fmt::Debug for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Next(..)")
    }
}

impl std::fmt::Debug for NextCallback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NextCallback(..)")
    }
}
