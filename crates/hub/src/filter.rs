//! What runs around hub methods and around the life of connections.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::{Caller, Disconnected, HubContext, HubError, Returned};

/// Middleware of a hub (ASP.NET Core's `IHubFilter`).
///
/// Filters wrap each other in the order in which they were added, the first outermost, and the method or
/// callback innermost. Each decides whether and when `next` runs, and sees how it ended. The default of each
/// function is to do nothing but go on.
///
/// ```
/// use futures_util::future::{BoxFuture, FutureExt};
/// use hubline_hub::{Hub, HubError, HubFilter, Invocation, Next, Returned};
///
/// struct Maintenance;
///
/// impl HubFilter for Maintenance {
///     fn invoke(&self, call: Invocation, next: Next) -> BoxFuture<'static, Result<Returned, HubError>> {
///         async move {
///             if call.method() == "Ping" {
///                 return next.run().await;
///             }
///             Err(HubError::new("closed for maintenance"))
///         }
///         .boxed()
///     }
/// }
/// let hub: Hub = Hub::new("Example").filter(Maintenance);
/// ```
pub trait HubFilter: Send + Sync + 'static {
    /// Around a call, once its arguments are bound and its caller is authorized. A stream that it returns
    /// has not begun.
    fn invoke(&self, call: Invocation, next: Next) -> BoxFuture<'static, Result<Returned, HubError>> {
        drop(call);
        next.run()
    }

    /// Around `on_connected`; an error refuses the connection.
    fn connected(&self, caller: Caller, next: NextCallback) -> BoxFuture<'static, Result<(), HubError>> {
        drop(caller);
        next.run()
    }

    /// Around `on_disconnected`.
    fn disconnected(
        &self,
        caller: Caller,
        disconnected: Disconnected,
        next: NextCallback,
    ) -> BoxFuture<'static, Result<(), HubError>> {
        drop((caller, disconnected));
        next.run()
    }
}

/// A call on its way to its method.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub(crate) context: HubContext,
    pub(crate) caller: Caller,
    pub(crate) method: Arc<str>,
}

impl Invocation {
    /// The method's name as it was registered.
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
}

/// The rest of a call: the next filter, or the method itself. Dropping it without running leaves the method
/// out.
pub struct Next(BoxFuture<'static, Result<Returned, HubError>>);

impl Next {
    /// Runs it.
    ///
    /// # Errors
    /// Those of the method or of a filter.
    pub fn run(self) -> BoxFuture<'static, Result<Returned, HubError>> {
        self.0
    }
}

/// The rest of a callback: the next filter, or the hub's own.
pub struct NextCallback(BoxFuture<'static, Result<(), HubError>>);

impl NextCallback {
    /// Runs it.
    ///
    /// # Errors
    /// Those of the callback or of a filter.
    pub fn run(self) -> BoxFuture<'static, Result<(), HubError>> {
        self.0
    }
}

/// A hub's filters, outermost first.
#[derive(Clone, Default)]
pub(crate) struct Filters(Vec<Arc<dyn HubFilter>>);

impl Filters {
    pub(crate) fn add(&mut self, filter: impl HubFilter) {
        self.0.push(Arc::new(filter));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn around_call(
        &self,
        call: &Invocation,
        method: BoxFuture<'static, Result<Returned, HubError>>,
    ) -> BoxFuture<'static, Result<Returned, HubError>> {
        self.0.iter().rev().fold(method, |inner, filter| {
            let (filter, call) = (Arc::clone(filter), call.clone());
            // A filter's own code runs when its turn comes, not while the layers are put together.
            async move { filter.invoke(call, Next(inner)).await }.boxed()
        })
    }

    pub(crate) fn around_connected(
        &self,
        caller: &Caller,
        callback: BoxFuture<'static, Result<(), HubError>>,
    ) -> BoxFuture<'static, Result<(), HubError>> {
        self.0.iter().rev().fold(callback, |inner, filter| {
            let (filter, caller) = (Arc::clone(filter), caller.clone());
            async move { filter.connected(caller, NextCallback(inner)).await }.boxed()
        })
    }

    pub(crate) fn around_disconnected(
        &self,
        caller: &Caller,
        disconnected: &Disconnected,
        callback: BoxFuture<'static, Result<(), HubError>>,
    ) -> BoxFuture<'static, Result<(), HubError>> {
        self.0.iter().rev().fold(callback, |inner, filter| {
            let (filter, caller, disconnected) = (Arc::clone(filter), caller.clone(), disconnected.clone());
            async move { filter.disconnected(caller, disconnected, NextCallback(inner)).await }.boxed()
        })
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
