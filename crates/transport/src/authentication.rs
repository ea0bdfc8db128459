//! The authentication of a connection whose client may refresh it (.NET 11).
//!
//! Source: ASP.NET Core 11 answered so; the recorded cases `refresh`.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use futures_util::FutureExt;
use hubline_identity::Principal;
use hubline_pipe::{
    Accepted, CloseCode, CloseOutcome, ConnectionHandler, ConnectionInfo, Frame, Pipe, PipeEnd,
};
use hubline_protocol::negotiate::TransportKind;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use crate::encoded_principal;
use crate::identity::Identity;
use crate::options::{AuthenticationRefresh, EndpointOptions};
use crate::refusal::Refusal;

/// How long the application may take to say whether it wants a newer principal.
const CALLBACK_PATIENCE: Duration = Duration::from_secs(10);

/// What an endpoint says about the refreshes of its connections.
pub(crate) struct RefreshRules {
    pub(crate) handler: Arc<dyn ConnectionHandler>,
    pub(crate) options: Arc<EndpointOptions>,
}

/// A connection's authentication, from its negotiation on.
pub(crate) struct Authentication {
    rules: Arc<RefreshRules>,
    /// Whether the connection token is a secret; with that of version 0 nobody may refresh.
    has_secret: bool,
    /// Refreshes take turns, so that each is judged by what the one before has left.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

struct State {
    /// What the hub knows of the connection, with the principal in force; before the transport what the negotiation
    /// said.
    info: ConnectionInfo,
    /// Of the principal in force.
    identity: Identity,
    /// When the authentication in force ends; `None` while there is none but the negotiation's.
    end: Option<End>,
    /// The same by the clock that connections are closed by, where they are.
    expires: Option<Instant>,
    /// Refreshes that the hub has not heard of.
    unseen: u32,
    /// Whether the hub knows the connection's user: it has shaken hands with the client.
    is_known_to_hub: bool,
    hub: Option<Waker>,
}

/// Credentials that may refresh a connection's authentication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Credentials {
    #[serde(with = "encoded_principal")]
    pub(crate) principal: Option<Arc<Principal>>,
    /// Query of the request that brings them.
    pub(crate) query: Box<str>,
}

/// What a request does that brings credentials to a connection with a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefreshTrigger {
    Poll,
    Resume,
    Refresh,
}

/// What a request makes of when its connection's authentication ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// It ends then; `None`: never, or without an end of the connection.
    At(Option<Instant>),
    /// The request's own token has expired.
    Unchanged,
}

/// When an authentication ends. Later is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    At(SystemTime),
    Never,
}

/// A pipe through which refreshed principals come.
struct AuthenticatedPipe {
    pipe: Box<dyn Pipe>,
    authentication: Arc<Authentication>,
}

impl Authentication {
    /// Of a connection that is negotiated by the principal in `info`.
    pub(crate) fn new(rules: Arc<RefreshRules>, info: ConnectionInfo, has_secret: bool) -> Arc<Self> {
        let state = State {
            identity: Identity::of(info.principal.as_deref()),
            info,
            end: None,
            expires: None,
            unseen: 0,
            is_known_to_hub: false,
            hub: None,
        };
        Arc::new(Self { rules, has_secret, turn: tokio::sync::Mutex::default(), state: Mutex::new(state) })
    }

    /// The principal of a refresh that came before the transport.
    pub(crate) fn in_force(&self) -> Option<Option<Arc<Principal>>> {
        let state = self.lock();
        state.end.map(|_| state.info.principal.clone())
    }

    /// Puts in force what was so where the connection was negotiated.
    pub(crate) fn begin(&self, principal: Option<Arc<Principal>>) {
        let mut state = self.lock();
        state.identity = Identity::of(principal.as_deref());
        state.put_in_force(self.rules.end(principal.as_deref()), &self.rules.options);
        state.info.principal = principal;
    }

    /// Attaches the transport that has come, whose own credentials count from now on. Only a first poll does not step
    /// back behind a refresh: then the principal in `accepted` becomes the refreshed one.
    pub(crate) fn open(self: Arc<Self>, mut accepted: Accepted) -> Accepted {
        let mut state = self.lock();
        let end = self.rules.end(accepted.info.principal.as_deref());
        let steps_back = state.end.is_some_and(|in_force| end < in_force);
        if accepted.info.transport == TransportKind::LongPolling && steps_back {
            accepted.info.principal.clone_from(&state.info.principal);
        } else {
            state.identity = Identity::of(accepted.info.principal.as_deref());
            state.put_in_force(end, &self.rules.options);
        }
        state.info = accepted.info.clone();
        state.unseen = 0;
        drop(state);
        self.wrap(accepted)
    }

    /// Lets principals come through the pipe of a connection that goes on with it.
    pub(crate) fn wrap(self: Arc<Self>, accepted: Accepted) -> Accepted {
        let Accepted { pipe, info, resumable } = accepted;
        Accepted { pipe: Box::new(AuthenticatedPipe { pipe, authentication: self }), info, resumable }
    }

    /// Whether the principal in force is of this identity.
    pub(crate) fn is_of(&self, identity: Identity) -> bool {
        self.lock().identity == identity
    }

    /// Judges credentials, and puts them in force if they are another token of the same user that ends no earlier.
    ///
    /// # Errors
    /// They are another user's, or the application does not want them. Nothing has changed then.
    ///
    /// # Cancel safety
    /// Dropped while the application is asked, nothing has changed.
    pub(crate) async fn take(
        &self,
        trigger: RefreshTrigger,
        identity: Identity,
        credentials: &Credentials,
    ) -> Result<(), Refusal> {
        if trigger == RefreshTrigger::Refresh && !self.has_secret {
            return Err(Refusal::NotRefreshable);
        }
        if !self.is_refresh(trigger, identity, credentials)? {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        if !self.is_refresh(trigger, identity, credentials)? {
            return Ok(());
        }
        self.ask(credentials).await?;
        let mut state = self.lock();
        state.info.principal.clone_from(&credentials.principal);
        state.identity = identity;
        state.put_in_force(self.rules.end(credentials.principal.as_deref()), &self.rules.options);
        // Before the handshake the hub takes the newest and asks no more.
        state.unseen = if state.is_known_to_hub { state.unseen.saturating_add(1) } else { 1 };
        if let Some(hub) = state.hub.take() {
            hub.wake();
        }
        Ok(())
    }

    /// Whether these credentials take the place of those in force.
    ///
    /// # Errors
    /// They are another user's.
    fn is_refresh(
        &self,
        trigger: RefreshTrigger,
        identity: Identity,
        credentials: &Credentials,
    ) -> Result<bool, Refusal> {
        let end = self.rules.end(credentials.principal.as_deref());
        let state = self.lock();
        let is_older = state.end.is_some_and(|in_force| end < in_force);
        let is_in_force = state.end == Some(end) && state.info.principal == credentials.principal;
        let is_same_user = state.identity == identity;
        drop(state);
        if !is_same_user
            && (is_older || trigger == RefreshTrigger::Poll || !self.is_same_user_id(credentials))
        {
            return Err(match trigger {
                RefreshTrigger::Poll if !is_older => Refusal::RefreshRequired,
                _ => Refusal::AnotherUser,
            });
        }
        // Who asks for a refresh gets one, also with the same token.
        Ok(!is_older && (!is_in_force || trigger == RefreshTrigger::Refresh))
    }

    /// Whether the hub knows the connection's user and would know it by the same id, whoever vouches for it.
    fn is_same_user_id(&self, credentials: &Credentials) -> bool {
        // The application's code runs outside the lock.
        let info = {
            let state = self.lock();
            state.is_known_to_hub.then(|| state.info.clone())
        };
        let Some(mut info) = info else { return false };
        let own = self.rules.handler.user_id(&info);
        let is_somebody = info.principal.is_some() && credentials.principal.is_some();
        info.principal.clone_from(&credentials.principal);
        is_somebody && own.is_some() && self.rules.handler.user_id(&info) == own
    }

    /// Asks the application.
    async fn ask(&self, credentials: &Credentials) -> Result<(), Refusal> {
        let Some(callback) = &self.rules.options.on_authentication_refresh else { return Ok(()) };
        let refresh = {
            let state = self.lock();
            AuthenticationRefresh {
                connection_id: state.info.id.clone(),
                previous: state.info.principal.clone(),
                principal: credentials.principal.clone(),
                expires: self.rules.end(credentials.principal.as_deref()).time(),
                query: credentials.query.clone(),
            }
        };
        let connection = refresh.connection_id.clone();
        let asked = AssertUnwindSafe(async { callback.call(refresh).await }).catch_unwind();
        let failed = |reason: &dyn fmt::Display| {
            tracing::error!(%connection, %reason, "on_authentication_refresh failed: the connection keeps its principal");
            Err(Refusal::Failed)
        };
        match timeout(CALLBACK_PATIENCE, asked).await {
            Ok(Ok(Ok(true))) => Ok(()),
            Ok(Ok(Ok(false))) => Err(Refusal::Rejected),
            Ok(Ok(Err(error))) => failed(&error),
            Ok(Err(panic)) => failed(&panic_text(&*panic)),
            Err(_) => failed(&format_args!("no answer within {} s", CALLBACK_PATIENCE.as_secs())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl RefreshRules {
    /// When an authentication ends that is put in force now.
    fn end(&self, principal: Option<&Principal>) -> End {
        self.options.authentication_end(principal).map_or(End::Never, End::At)
    }
}

impl End {
    fn time(self) -> Option<SystemTime> {
        match self {
            Self::At(time) => Some(time),
            Self::Never => None,
        }
    }
}

impl State {
    fn put_in_force(&mut self, end: End, options: &EndpointOptions) {
        self.end = Some(end);
        self.expires = options.closes_at(end.time());
    }
}

impl Pipe for AuthenticatedPipe {
    fn expires(&self) -> Option<Instant> {
        self.authentication.lock().expires
    }

    fn may_be_cut_off(&self) -> bool {
        self.pipe.may_be_cut_off()
    }

    fn poll_principal(&mut self, cx: &mut Context<'_>) -> Poll<Option<Arc<Principal>>> {
        let mut state = self.authentication.lock();
        state.is_known_to_hub = true;
        if state.unseen > 0 {
            state.unseen -= 1;
            return Poll::Ready(state.info.principal.clone());
        }
        if !state.hub.as_ref().is_some_and(|hub| hub.will_wake(cx.waker())) {
            state.hub = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<(), PipeEnd>> {
        self.pipe.poll_receive(cx, input)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, frames: &mut VecDeque<Frame>) -> Poll<Result<(), PipeEnd>> {
        self.pipe.poll_send(cx, frames)
    }

    fn partly_sent(&self) -> usize {
        self.pipe.partly_sent()
    }

    fn close(self: Box<Self>, code: CloseCode) -> Pin<Box<dyn Future<Output = CloseOutcome> + Send>> {
        self.pipe.close(code)
    }
}

impl fmt::Debug for RefreshRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshRules").finish_non_exhaustive()
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication").field("has_secret", &self.has_secret).finish_non_exhaustive()
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it panicked").to_owned()
}
