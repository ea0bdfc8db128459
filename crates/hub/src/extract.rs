//! Parameters of hub methods: arguments of the client, and what the server gives.

use hubline_pipe::RequestParts;
use hubline_protocol::{Arguments, BindError, Dialect};
use serde::de::DeserializeOwned;

use crate::invocation::{CallParts, Occasion};
use crate::{Caller, Cancellation, Clients, Directory, Disconnected, Groups, HubContext, Items, Upload};

/// What an invocation offers to the parameters of a hub method.
#[derive(Debug)]
pub struct Binding<'a, S = ()> {
    pub(crate) caller: &'a Caller,
    pub(crate) context: &'a HubContext,
    pub(crate) state: &'a S,
    pub(crate) arguments: Arguments<'a>,
    pub(crate) disconnected: Option<&'a Disconnected>,
    pub(crate) parts: &'a mut CallParts,
}

impl<'a> Binding<'a> {
    pub(crate) fn with_state<S>(self, state: &'a S) -> Binding<'a, S> {
        let Self { caller, context, state: (), arguments, disconnected, parts } = self;
        Binding { caller, context, state, arguments, disconnected, parts }
    }
}

impl<'a, S> Binding<'a, S> {
    /// The connection that calls.
    pub fn caller(&self) -> &'a Caller {
        self.caller
    }

    /// The hub that is called.
    pub fn context(&self) -> &'a HubContext {
        self.context
    }

    /// The hub's state.
    pub fn state(&self) -> &'a S {
        self.state
    }

    /// How values for the caller are encoded.
    pub fn dialect(&self) -> Dialect {
        self.context.dialect(self.caller.0.outbox.protocol)
    }
}

/// A type that can be a parameter of a hub method.
///
/// Everything that serde can deserialize is: it takes the next argument the client sent. Types that take
/// something else implement this trait, as axum's extractors do theirs, and must not be deserializable.
///
/// ```
/// use hubline_hub::{Binding, FromInvocation, Hub};
/// use hubline_protocol::BindError;
///
/// struct Path(String);
///
/// impl<S> FromInvocation<S> for Path {
///     fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
///         Ok(Path(binding.caller().info().path.to_string()))
///     }
/// }
///
/// async fn where_am_i(Path(path): Path) -> String {
///     path
/// }
/// let hub: Hub = Hub::new("Example").method("WhereAmI", where_am_i);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a method of a hub whose state is `{S}`",
    label = "neither an argument of the client nor something that the server gives",
    note = "an argument needs `#[derive(serde::Deserialize)]`, and is owned: `String`, not `&str`",
    note = "what the server gives is `Clients`, `Caller`, `Groups`, `HubContext`, `Upload<T>`, `Cancellation`, `Headers`, `Items`, `hubline::State<T>` (not axum's) and what implements `FromInvocation`",
    note = "`State<T>` takes a `T: Clone`, which is the state of the hub (`Hub::with_state(name, state)`), or a part of it by `hubline::FromRef` (not axum's); `#[hubline::method(state = App)]` names that state"
)]
pub trait FromInvocation<S>: Sized {
    /// How many arguments of the client it takes.
    const ARGUMENTS: usize = 0;
    /// How many streams of the client it takes.
    const STREAMS: usize = 0;
    /// Which parts of the connection's request it takes. An endpoint that does not keep them cannot be mapped.
    const REQUEST_PARTS: RequestParts = RequestParts::NONE;

    /// Takes it from the invocation.
    ///
    /// # Errors
    /// What the client sent does not fit; the call fails, the connection goes on.
    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError>;
}

#[diagnostic::do_not_recommend]
impl<S, T: DeserializeOwned> FromInvocation<S> for T {
    const ARGUMENTS: usize = 1;

    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
        binding.arguments.take(binding.context.naming())
    }
}

impl<S, T: DeserializeOwned + Send + 'static> FromInvocation<S> for Upload<T> {
    const STREAMS: usize = 1;

    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
        let options = &binding.context.0.options;
        let naming = binding.context.naming();
        let (upload, sink) = Upload::new(options.stream_buffer_capacity, naming, options.detailed_errors);
        binding.parts.add_upload(sink);
        Ok(upload)
    }
}

impl<S> FromInvocation<S> for Cancellation {
    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
        Ok(Cancellation::new(binding.parts.cancellation(binding.caller).clone()))
    }
}

impl<S> FromInvocation<S> for Caller {
    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
        Ok(binding.caller.clone())
    }
}

impl<S> FromInvocation<S> for Clients {
    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
        let permission = binding.parts.invoke_permission(binding.caller);
        let waits = !binding.parts.nobody_waits || binding.caller.0.count_unawaited_call();
        Ok(Clients::new(binding.context.clone(), binding.caller.clone(), permission, waits))
    }
}

impl<S> FromInvocation<S> for Groups {
    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
        let context = binding.context.clone();
        let is_invocation = binding.parts.occasion != Occasion::Connecting && binding.disconnected.is_none();
        Ok(match is_invocation {
            true => Groups::of_invocation(context, binding.caller.clone()),
            false => Groups::new(context),
        })
    }
}

impl<S> FromInvocation<S> for HubContext {
    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
        Ok(binding.context.clone())
    }
}

impl<S> FromInvocation<S> for Items {
    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
        Ok(binding.caller().items())
    }
}

/// Only where the server has one.
impl<S> FromInvocation<S> for Directory {
    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
        let directory = binding.context.directory().cloned();
        directory.ok_or_else(|| BindError::new("the server has no session directory"))
    }
}

/// Only for `on_disconnected`; anywhere else the call fails to bind.
impl<S> FromInvocation<S> for Disconnected {
    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
        binding.disconnected.cloned().ok_or_else(|| BindError::new("the connection has not ended"))
    }
}

/// The hub's state, or a part of it, as given to [`Hub::with_state`](crate::Hub::with_state).
#[derive(Debug, Clone, Copy)]
pub struct State<T>(pub T);

impl<S, T: FromRef<S>> FromInvocation<S> for State<T> {
    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
        Ok(Self(T::from_ref(binding.state)))
    }
}

/// A part of a state. Everything that can be cloned is a part of itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no part of a hub's state `{S}`",
    label = "no `{Self}` can be taken from `{S}`",
    note = "`Hub::with_state(name, state)` gives a hub its state; methods that take `State` are added to that hub",
    note = "a `State<T>` is a clone: derive `Clone` for `T`, or make it an `Arc<T>`; a part of the state implements `hubline::FromRef`, not axum's"
)]
pub trait FromRef<S> {
    /// Takes the part.
    fn from_ref(state: &S) -> Self;
}

impl<S: Clone> FromRef<S> for S {
    fn from_ref(state: &S) -> Self {
        state.clone()
    }
}
