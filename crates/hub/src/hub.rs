//! A hub as its author writes it down.

use std::collections::HashMap;
use std::sync::Arc;

use hubline_identity::Policy;
use hubline_pipe::ConnectionInfo;
use hubline_protocol::{BindError, Naming, UserId};

use crate::HubFilter;
use crate::extract::Binding;
use crate::filter::Filters;
use crate::handler::{Call, Erased, ErasedHandler, ErasedStream, Handler, StreamHandler};

/// A hub: methods by name, callbacks, and state of type `S` for them to share.
///
/// See the crate's example. A hub without [`Hub::state`] is a `Hub<()>`.
pub struct Hub<S = ()> {
    pub(crate) name: Box<str>,
    /// By their names in lower case.
    methods: HashMap<String, Arc<Method<S>>>,
    pub(crate) on_connected: Option<Box<dyn ErasedHandler<S>>>,
    pub(crate) on_disconnected: Option<Box<dyn ErasedHandler<S>>>,
    pub(crate) on_authentication_refreshed: Option<Box<dyn ErasedHandler<S>>>,
    pub(crate) user_id: UserIdProvider,
    pub(crate) filters: Filters,
    pub(crate) naming: Naming,
    authorization: Option<Policy>,
}

/// A registered method.
pub(crate) struct Method<S = ()> {
    /// As its author spelled it.
    pub(crate) name: Arc<str>,
    pub(crate) arguments: usize,
    pub(crate) streams: usize,
    pub(crate) is_streaming: bool,
    pub(crate) authorization: Option<Policy>,
    pub(crate) handler: Arc<dyn ErasedHandler<S>>,
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
            on_authentication_refreshed: None,
            user_id: Arc::new(|info| info.principal.as_ref()?.name_identifier.clone()),
            filters: Filters::default(),
            naming: Naming::Serde,
            authorization: None,
        }
    }

    /// Adds a method. Clients may call it in any letter case.
    ///
    /// # Panics
    /// If there is a method of that name, in any letter case.
    #[must_use]
    pub fn method<H, M>(self, name: &str, handler: H) -> Self
    where
        H: Handler<M, S>,
        M: 'static,
    {
        self.add(Method {
            name: name.into(),
            arguments: H::ARGUMENTS,
            streams: H::STREAMS,
            is_streaming: false,
            authorization: None,
            handler: Arc::new(Erased::new(handler)),
        })
    }

    /// Adds a method that returns a stream; see [`crate::HubStream`].
    ///
    /// A method that takes a [`crate::Cancellation`] ends its stream itself when that is cancelled; any other
    /// stream is dropped when the client cancels it or has gone.
    ///
    /// # Panics
    /// As [`Hub::method`].
    #[must_use]
    pub fn stream<H, M>(self, name: &str, handler: H) -> Self
    where
        H: StreamHandler<M, S>,
        M: 'static,
    {
        self.add(Method {
            name: name.into(),
            arguments: H::ARGUMENTS,
            streams: H::STREAMS,
            is_streaming: true,
            authorization: None,
            handler: Arc::new(ErasedStream::new(handler)),
        })
    }

    fn add(mut self, method: Method<S>) -> Self {
        let name = Arc::clone(&method.name);
        let taken = self.methods.insert(key(&name), Arc::new(method));
        assert!(taken.is_none(), "the hub has two methods named `{name}`; SignalR knows no overloads");
        self
    }

    /// Lets only those call a method who meet the policy. Others get an error completion; the connection
    /// goes on. Checked with the principal of that moment, before each call.
    ///
    /// # Panics
    /// If the hub has no such method yet.
    #[must_use]
    pub fn authorize_method(mut self, name: &str, policy: Policy) -> Self {
        let method = self.methods.get_mut(&key(name));
        let Some(method) = method.and_then(Arc::get_mut) else {
            panic!("the hub has no method named `{name}` to authorize; add the method first");
        };
        method.authorization = Some(policy);
        self
    }

    /// Lets only those connect who meet the policy. Others get status 401 or 403, from negotiate on, on every
    /// path that the hub is mapped on.
    #[must_use]
    pub fn authorize(mut self, policy: Policy) -> Self {
        self.authorization = Some(policy);
        self
    }

    /// Wraps calls and callbacks in a filter, inside of those added before: an `async fn` or a closure that takes an
    /// [`crate::Invocation`] and a [`crate::Next`], or a type that implements [`HubFilter`].
    #[must_use]
    pub fn filter(mut self, filter: impl HubFilter) -> Self {
        self.filters.add(filter);
        self
    }

    /// Under which names structures and enums travel. Default: those that serde gives them.
    #[must_use]
    pub fn naming(mut self, naming: Naming) -> Self {
        self.naming = naming;
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

    /// Called when a client has refreshed its authentication (.NET 11), which
    /// `EndpointOptions::authentication_refresh` must allow. [`crate::Caller::principal`] is the new one already, for
    /// everything that begins after the client was answered; the user and the groups of the connection stay.
    ///
    /// It runs as if it were a call of the client: it waits for its turn and takes a place of
    /// `maximum_parallel_invocations_per_client`. If it fails that is logged, and the connection goes on. It cannot
    /// ask the client for a result ([`crate::InvokeError::Connecting`]). It is not called for a refresh before the
    /// handshake.
    #[must_use]
    pub fn on_authentication_refreshed<H, M>(mut self, handler: H) -> Self
    where
        H: Handler<M, S>,
        M: 'static,
    {
        const { assert!(H::ARGUMENTS == 0, "no client's arguments come with a refresh") };
        self.on_authentication_refreshed = Some(Box::new(Erased::new(handler)));
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
        let methods = self.methods.into_iter().map(|(key, method)| {
            let method = Method {
                name: Arc::clone(&method.name),
                arguments: method.arguments,
                streams: method.streams,
                is_streaming: method.is_streaming,
                authorization: method.authorization.clone(),
                handler: Arc::new(WithState {
                    handler: Arc::clone(&method.handler),
                    state: Arc::clone(&state),
                }) as _,
            };
            (key, Arc::new(method))
        });
        let callback = |handler: Option<Box<dyn ErasedHandler<S>>>| {
            let state = Arc::clone(&state);
            handler.map(|handler| {
                Box::new(WithState { handler: Arc::from(handler), state }) as Box<dyn ErasedHandler<()>>
            })
        };
        Hub {
            name: self.name,
            methods: methods.collect(),
            on_connected: callback(self.on_connected),
            on_disconnected: callback(self.on_disconnected),
            on_authentication_refreshed: callback(self.on_authentication_refreshed),
            user_id: self.user_id,
            filters: self.filters,
            naming: self.naming,
            authorization: self.authorization,
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

    /// What [`Hub::authorize`] requires.
    pub fn authorization(&self) -> Option<&Policy> {
        self.authorization.as_ref()
    }

    pub(crate) fn find(&self, target: &str) -> Option<&Arc<Method<S>>> {
        // Nearly every call: a short name, for which no lower-case copy has to be allocated.
        let mut lower = [0; 64];
        if let Some(lower) = lower.get_mut(..target.len()).filter(|_| target.is_ascii()) {
            lower.copy_from_slice(target.as_bytes());
            lower.make_ascii_lowercase();
            return self.methods.get(std::str::from_utf8(lower).ok()?);
        }
        self.methods.get(&key(target))
    }
}

fn key(name: &str) -> String {
    name.to_lowercase()
}

struct WithState<S> {
    handler: Arc<dyn ErasedHandler<S>>,
    state: Arc<S>,
}

impl<S: Send + Sync> ErasedHandler<()> for WithState<S> {
    fn call(&self, binding: &mut Binding<'_, ()>) -> Result<Call, BindError> {
        let mut binding = Binding {
            caller: binding.caller,
            context: binding.context,
            state: &*self.state,
            arguments: std::mem::take(&mut binding.arguments),
            disconnected: binding.disconnected,
            parts: binding.parts,
        };
        self.handler.call(&mut binding)
    }
}

impl<S> std::fmt::Debug for Hub<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut methods: Vec<_> = self.methods.values().map(|method| &method.name).collect();
        methods.sort();
        f.debug_struct("Hub").field("name", &self.name).field("methods", &methods).finish_non_exhaustive()
    }
}
