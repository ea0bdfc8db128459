//! The definition of a hub: methods, callbacks, state and rules.

use std::collections::HashMap;
use std::sync::Arc;

use hubline_identity::Policy;
use hubline_pipe::{ConnectionInfo, RequestParts};
use hubline_protocol::{Naming, UserId};

use crate::error_rules::ErrorRules;
use crate::filter::Filters;
use crate::handler::{Erased, ErasedHandler, ErasedStream, Handler, StreamHandler};
use crate::request_parts::{MissingRequestParts, TakenParts};
use crate::statistics::MethodCounters;
use crate::{HubError, HubFilter};

/// A hub: methods by name, callbacks, and state of type `S` for them to share.
///
/// See the crate's example. A hub that was made by [`Hub::new`] has no state, and is a `Hub<()>`.
pub struct Hub<S = ()> {
    pub(crate) definition: Definition,
    shared: Arc<S>,
}

/// A hub whose methods have the state that they take.
pub(crate) struct Definition {
    pub(crate) name: Box<str>,
    /// By their names in lower case.
    methods: HashMap<String, Arc<Method>>,
    pub(crate) on_connected: Option<Box<dyn ErasedHandler>>,
    pub(crate) on_disconnected: Option<Box<dyn ErasedHandler>>,
    pub(crate) on_authentication_refreshed: Option<Box<dyn ErasedHandler>>,
    pub(crate) user_id: UserIdProvider,
    pub(crate) filters: Filters,
    pub(crate) error_rules: ErrorRules,
    pub(crate) naming: Naming,
    pub(crate) authorization: Option<Policy>,
    taken_parts: TakenParts,
}

/// A registered method.
pub(crate) struct Method {
    /// As its author spelled it.
    pub(crate) name: Arc<str>,
    pub(crate) arguments: usize,
    pub(crate) streams: usize,
    pub(crate) is_streaming: bool,
    pub(crate) authorization: Option<Policy>,
    pub(crate) handler: Arc<dyn ErasedHandler>,
    pub(crate) counters: MethodCounters,
}

pub(crate) type UserIdProvider = Arc<dyn Fn(&ConnectionInfo) -> Option<UserId> + Send + Sync>;

impl Hub {
    /// A hub without methods and without state. The name is the one other servers know it by on Redis: for a fleet that
    /// is mixed with ASP.NET Core the full CLR name, like `Clinic.Hubs.ChatHub`.
    pub fn new(name: impl Into<String>) -> Self {
        Self::with_state(name, ())
    }
}

impl<S: Send + Sync + 'static> Hub<S> {
    /// As [`Hub::new`], with the state that the [`State`](crate::State) parameters of its methods take.
    ///
    /// ```
    /// use hubline_hub::{Hub, State};
    ///
    /// #[derive(Clone)]
    /// struct Greeting(&'static str);
    ///
    /// async fn greet(State(greeting): State<Greeting>, name: String) -> String {
    ///     format!("{} {name}", greeting.0)
    /// }
    /// let hub = Hub::with_state("Example", Greeting("hello")).method("Greet", greet);
    /// ```
    #[doc(alias = "state")]
    pub fn with_state(name: impl Into<String>, state: S) -> Self {
        let definition = Definition {
            name: name.into().into(),
            methods: HashMap::new(),
            on_connected: None,
            on_disconnected: None,
            on_authentication_refreshed: None,
            user_id: Arc::new(|info| info.principal.as_ref()?.name_identifier.clone()),
            filters: Filters::default(),
            error_rules: ErrorRules::default(),
            naming: Naming::Serde,
            authorization: None,
            taken_parts: TakenParts::default(),
        };
        Self { definition, shared: Arc::new(state) }
    }

    /// Adds a method. Clients may call it in any letter case.
    ///
    /// # Panics
    /// If there is a method of that name, in any letter case. If it returns a `Result` whose error can be serialized and does
    /// not convert into a [`HubError`](crate::HubError): its clients would be told of a success.
    #[must_use]
    #[track_caller]
    pub fn method<H, M>(mut self, name: &str, handler: H) -> Self
    where
        H: Handler<M, S>,
        M: 'static,
    {
        refuse_result_as_value(name, H::result_as_value());
        self.definition.taken_parts.add(name, H::REQUEST_PARTS);
        let handler = Arc::new(Erased::new(handler, Arc::clone(&self.shared)));
        self.add(Method {
            name: name.into(),
            arguments: H::ARGUMENTS,
            streams: H::STREAMS,
            is_streaming: false,
            authorization: None,
            handler,
            counters: MethodCounters::default(),
        })
    }

    /// Adds a method that returns a stream; see [`crate::HubStream`].
    ///
    /// A method that takes a [`crate::Cancellation`] ends its stream itself when that is cancelled; any other
    /// stream is dropped when the client cancels it or has gone.
    ///
    /// # Panics
    /// As [`Hub::method`]; what is said there of a `Result` holds for the items.
    #[must_use]
    #[track_caller]
    pub fn stream<H, M>(mut self, name: &str, handler: H) -> Self
    where
        H: StreamHandler<M, S>,
        M: 'static,
    {
        refuse_result_as_value(name, H::result_as_value());
        self.definition.taken_parts.add(name, H::REQUEST_PARTS);
        let handler = Arc::new(ErasedStream::new(handler, Arc::clone(&self.shared)));
        self.add(Method {
            name: name.into(),
            arguments: H::ARGUMENTS,
            streams: H::STREAMS,
            is_streaming: true,
            authorization: None,
            handler,
            counters: MethodCounters::default(),
        })
    }

    #[track_caller]
    fn add(mut self, method: Method) -> Self {
        let name = Arc::clone(&method.name);
        let taken = self.definition.methods.insert(key(&name), Arc::new(method));
        assert!(taken.is_none(), "the hub has two methods named `{name}`; SignalR knows no overloads");
        self
    }

    /// Requires a policy of the callers of a method. A caller that does not meet it gets an error completion, and its connection
    /// goes on. The policy is evaluated before each call, with the principal that the connection has then.
    ///
    /// # Panics
    /// If the hub has no such method yet.
    #[must_use]
    #[track_caller]
    pub fn authorize_method(mut self, name: &str, policy: Policy) -> Self {
        let method = self.definition.methods.get_mut(&key(name));
        let Some(method) = method.and_then(Arc::get_mut) else {
            panic!("the hub has no method named `{name}` to authorize; add the method first");
        };
        method.authorization = Some(policy);
        self
    }

    /// Requires a policy of the connections. Requests that do not meet it get status 401 or 403, negotiate too, on every path
    /// that the hub is mapped on.
    #[must_use]
    pub fn authorize(mut self, policy: Policy) -> Self {
        self.definition.authorization = Some(policy);
        self
    }

    /// Wraps calls and callbacks in a filter, inside of those added before: an `async fn` or a closure that takes an
    /// [`crate::Invocation`] and a [`crate::Next`], or a type that implements [`HubFilter`]. It wraps all methods, also those
    /// that are added later.
    #[must_use]
    pub fn filter(mut self, filter: impl HubFilter) -> Self {
        self.definition.filters.add(filter);
        self
    }

    /// Sets under which names fields and enums are written and read. Default: those that serde gives them.
    #[must_use]
    pub fn naming(mut self, naming: Naming) -> Self {
        self.definition.naming = naming;
        self
    }

    /// Called for each new connection before any of its messages. If it fails the connection is closed with
    /// an error, and [`Hub::on_disconnected`] is not called for it.
    ///
    /// # Panics
    /// If it returns a `Result` whose error can be serialized and does not convert into a [`HubError`](crate::HubError).
    #[must_use]
    #[track_caller]
    pub fn on_connected<H, M>(mut self, handler: H) -> Self
    where
        H: Handler<M, S>,
        M: 'static,
    {
        const {
            assert!(
                H::ARGUMENTS + H::STREAMS == 0,
                "`on_connected` takes what the server gives (`Caller`, `Clients`, `State` ...): no client's arguments come with a connection"
            );
        };
        refuse_result_as_value("on_connected", H::result_as_value());
        self.definition.taken_parts.add("on_connected", H::REQUEST_PARTS);
        self.definition.on_connected = Some(Box::new(Erased::new(handler, Arc::clone(&self.shared))));
        self
    }

    /// Called once for each connection that has ended. It may take a [`crate::Disconnected`] to learn why.
    ///
    /// # Panics
    /// If it returns a `Result` whose error can be serialized and does not convert into a [`HubError`](crate::HubError).
    #[must_use]
    #[track_caller]
    pub fn on_disconnected<H, M>(mut self, handler: H) -> Self
    where
        H: Handler<M, S>,
        M: 'static,
    {
        const {
            assert!(
                H::ARGUMENTS + H::STREAMS == 0,
                "`on_disconnected` takes what the server gives (`Caller`, `Clients`, `State` ...): no client's arguments come with a disconnection"
            );
        };
        refuse_result_as_value("on_disconnected", H::result_as_value());
        self.definition.taken_parts.add("on_disconnected", H::REQUEST_PARTS);
        self.definition.on_disconnected = Some(Box::new(Erased::new(handler, Arc::clone(&self.shared))));
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
    ///
    /// # Panics
    /// If it returns a `Result` whose error can be serialized and does not convert into a [`HubError`](crate::HubError).
    #[must_use]
    #[track_caller]
    pub fn on_authentication_refreshed<H, M>(mut self, handler: H) -> Self
    where
        H: Handler<M, S>,
        M: 'static,
    {
        const {
            assert!(
                H::ARGUMENTS + H::STREAMS == 0,
                "`on_authentication_refreshed` takes what the server gives (`Caller`, `Clients`, `State` ...): no client's arguments come with a refresh"
            );
        };
        refuse_result_as_value("on_authentication_refreshed", H::result_as_value());
        self.definition.taken_parts.add("on_authentication_refreshed", H::REQUEST_PARTS);
        self.definition.on_authentication_refreshed =
            Some(Box::new(Erased::new(handler, Arc::clone(&self.shared))));
        self
    }

    /// Sets how the user of a connection is found (ASP.NET Core's `IUserIdProvider`). Default: the principal's name identifier;
    /// a connection without one belongs to no user.
    #[must_use]
    pub fn user_id(
        mut self,
        provider: impl Fn(&ConnectionInfo) -> Option<UserId> + Send + Sync + 'static,
    ) -> Self {
        self.definition.user_id = Arc::new(provider);
        self
    }

    /// Says what clients are told of an error of type `E` that a method, a stream or `on_connected` fails with: the
    /// [`HubError`] that the rule returns. Where it returns `None`, and without a rule, the error is logged and hidden,
    /// unless it has an error of Hubline as its source, of which clients are told what [`HubError`] says.
    ///
    /// A rule is asked about every error of type `E` that a method, a filter or `on_connected` returns, and about every error
    /// that has an `E` among its [sources](std::error::Error::source), but not about texts that are meant for clients
    /// ([`HubError::new`]). Of several rules the first that returns something counts. Filters see the error as the method
    /// returned it. Rules apply to all methods, also to those that are added later.
    ///
    /// ```
    /// use hubline_hub::{Hub, HubError};
    ///
    /// #[derive(Debug, thiserror::Error)]
    /// enum ChatError {
    ///     #[error("the room {0} is full")]
    ///     RoomIsFull(String),
    ///     #[error("the store cannot be read")]
    ///     Store(#[from] std::io::Error),
    /// }
    ///
    /// async fn join_room(room: String) -> Result<usize, ChatError> {
    ///     let members = std::fs::read_to_string("members")?;
    ///     if members.lines().count() > 9 { Err(ChatError::RoomIsFull(room)) } else { Ok(members.len()) }
    /// }
    ///
    /// let hub = Hub::new("Chat").method("JoinRoom", join_room).map_error(|error: &ChatError| match error {
    ///     ChatError::RoomIsFull(_) => Some(HubError::named("RoomIsFull", error.to_string())),
    ///     ChatError::Store(_) => None,
    /// });
    /// ```
    #[must_use]
    pub fn map_error<E, R>(mut self, rule: impl Fn(&E) -> R + Send + Sync + 'static) -> Self
    where
        E: std::error::Error + 'static,
        R: Into<Option<HubError>>,
    {
        self.definition.error_rules.add(rule);
        self
    }
}

impl<S> Hub<S> {
    /// The name under which other servers know the hub.
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// Sets the name under which other servers know the hub, on Redis for instance.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.definition.name = name.into().into();
        self
    }

    /// Checks that an endpoint which keeps these parts of requests keeps what the hub's methods take.
    ///
    /// # Errors
    /// It does not; the error names the first method that takes more.
    pub fn check_request_parts(&self, kept: RequestParts) -> Result<(), MissingRequestParts> {
        self.definition.check_request_parts(kept)
    }

    /// What [`Hub::authorize`] requires.
    pub fn authorization(&self) -> Option<&Policy> {
        self.definition.authorization.as_ref()
    }
}

impl Definition {
    pub(crate) fn check_request_parts(&self, kept: RequestParts) -> Result<(), MissingRequestParts> {
        self.taken_parts.check(&self.name, kept)
    }

    pub(crate) fn methods(&self) -> impl Iterator<Item = &Method> {
        self.methods.values().map(|method| &**method)
    }

    pub(crate) fn find(&self, target: &str) -> Option<&Arc<Method>> {
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

#[track_caller]
fn refuse_result_as_value(method: &str, result: Option<&str>) {
    if let Some(result) = result {
        panic!(
            "the hub method `{method}` returns `{result}`, whose error does not convert into a `HubError`: it would be sent as the \
             value of a success. Return a `HubError`, implement `std::error::Error` for the error, or put \
             `.map_err(HubError::internal)` where it comes from"
        );
    }
}

impl std::fmt::Debug for Definition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut methods: Vec<_> = self.methods.values().map(|method| &method.name).collect();
        methods.sort();
        f.debug_struct("Hub").field("name", &self.name).field("methods", &methods).finish_non_exhaustive()
    }
}

impl<S> std::fmt::Debug for Hub<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.definition.fmt(f)
    }
}
