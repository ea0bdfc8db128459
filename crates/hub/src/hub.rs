//! A hub as its author writes it down.

use std::collections::HashMap;
use std::sync::Arc;

use hubline_pipe::ConnectionInfo;
use hubline_protocol::{BindError, HubProtocol, UserId};

use crate::extract::Binding;
use crate::handler::{Call, Erased, ErasedHandler, Handler};

/// A hub: methods by name, callbacks, and state of type `S` for them to share.
///
/// See the crate's example. A hub without [`Hub::state`] is a `Hub<()>`.
pub struct Hub<S = ()> {
    pub(crate) name: Box<str>,
    pub(crate) methods: HashMap<String, Method<S>>,
    pub(crate) on_connected: Option<Box<dyn ErasedHandler<S>>>,
    pub(crate) on_disconnected: Option<Box<dyn ErasedHandler<S>>>,
    pub(crate) user_id: UserIdProvider,
}

/// A registered method.
pub(crate) struct Method<S> {
    /// As its author spelled it.
    pub(crate) name: Box<str>,
    pub(crate) arguments: usize,
    pub(crate) handler: Box<dyn ErasedHandler<S>>,
}

pub(crate) type UserIdProvider = Arc<dyn Fn(&ConnectionInfo) -> Option<UserId> + Send + Sync>;

impl<S: Send + Sync + 'static> Hub<S> {
    /// An empty hub. The name is the one other servers know it by on Redis: for a fleet that is mixed with
    /// ASP.NET Core the full CLR name, like `Clinic.Hubs.ChatHub`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into().into(),
            methods: HashMap::new(),
            on_connected: None,
            on_disconnected: None,
            user_id: Arc::new(|info| info.principal.as_ref()?.name_identifier.clone()),
        }
    }

    /// Adds a method. Clients may call it in any letter case.
    ///
    /// # Panics
    /// If there is a method of that name, in any letter case.
    #[must_use]
    pub fn method<H, M>(mut self, name: &str, handler: H) -> Self
    where
        H: Handler<M, S>,
        M: 'static,
    {
        let method =
            Method { name: name.into(), arguments: H::ARGUMENTS, handler: Box::new(Erased::new(handler)) };
        let taken = self.methods.insert(key(name), method);
        assert!(taken.is_none(), "the hub has two methods named `{name}`; SignalR knows no overloads");
        self
    }

    /// Called for each new connection before any of its messages. If it fails the connection is closed with
    /// an error, and [`Hub::on_disconnected`] is not called for it.
    #[must_use]
    pub fn on_connected<H, M>(mut self, handler: H) -> Self
    where
        H: Handler<M, S>,
        M: 'static,
    {
        const { assert!(H::ARGUMENTS == 0, "no client's arguments come with a connection") };
        self.on_connected = Some(Box::new(Erased::new(handler)));
        self
    }

    /// Called once for each connection that has ended. It may take a [`crate::Disconnected`] to learn why.
    #[must_use]
    pub fn on_disconnected<H, M>(mut self, handler: H) -> Self
    where
        H: Handler<M, S>,
        M: 'static,
    {
        const { assert!(H::ARGUMENTS == 0, "no client's arguments come with a disconnection") };
        self.on_disconnected = Some(Box::new(Erased::new(handler)));
        self
    }

    /// Decides whom a connection belongs to. Without it: the principal's name identifier, or nobody.
    #[must_use]
    pub fn user_id(
        mut self,
        provider: impl Fn(&ConnectionInfo) -> Option<UserId> + Send + Sync + 'static,
    ) -> Self {
        self.user_id = Arc::new(provider);
        self
    }

    /// Gives the methods the state that their [`crate::State`] parameters take.
    #[must_use]
    pub fn state(self, state: S) -> Hub {
        let state = Arc::new(state);
        let with_state = |handler| {
            Box::new(WithState { handler, state: Arc::clone(&state) }) as Box<dyn ErasedHandler<()>>
        };
        let methods = self.methods.into_iter().map(|(key, method)| {
            let Method { name, arguments, handler } = method;
            (key, Method { name, arguments, handler: with_state(handler) })
        });
        Hub {
            name: self.name,
            methods: methods.collect(),
            on_connected: self.on_connected.map(with_state),
            on_disconnected: self.on_disconnected.map(with_state),
            user_id: self.user_id,
        }
    }
}

impl<S> Hub<S> {
    /// The name other servers know it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives it another name on Redis.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into().into();
        self
    }

    pub(crate) fn find(&self, target: &str) -> Option<&Method<S>> {
        self.methods.get(&key(target))
    }
}

fn key(name: &str) -> String {
    name.to_lowercase()
}

struct WithState<S> {
    handler: Box<dyn ErasedHandler<S>>,
    state: Arc<S>,
}

impl<S: Send + Sync> ErasedHandler<()> for WithState<S> {
    fn call(&self, binding: &mut Binding<'_, ()>, protocol: HubProtocol) -> Result<Call, BindError> {
        let mut binding = Binding {
            caller: binding.caller,
            context: binding.context,
            state: &*self.state,
            arguments: std::mem::take(&mut binding.arguments),
            disconnected: binding.disconnected,
        };
        self.handler.call(&mut binding, protocol)
    }
}

impl<S> std::fmt::Debug for Hub<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut methods: Vec<_> = self.methods.values().map(|method| &method.name).collect();
        methods.sort();
        f.debug_struct("Hub").field("name", &self.name).field("methods", &methods).finish_non_exhaustive()
    }
}
