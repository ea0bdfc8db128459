//! A newer principal for a connection that goes on (.NET 11's authentication refresh, experimental).

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use hubline_pipe::{Accepted, CloseCode, Farewell, Frame, Pipe, PipeEnd, Principal};
use hubline_protocol::UserId;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Where a refreshed principal waits for the hub.
#[derive(Debug)]
pub(crate) struct Refresh {
    /// Whether the token is a secret; with that of version 0 nothing is renewed.
    token_is_secret: bool,
    /// The user that the connection stays with.
    user: Option<UserId>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The newest principal that the hub has not seen.
    unseen: Option<Arc<Principal>>,
    /// When the newest authentication ends.
    expires: Option<Instant>,
    hub: Option<Waker>,
}

/// Why a principal is not renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RefreshError {
    /// The connection's path does not offer it.
    Disabled,
    /// Negotiated with version 0, or not at all.
    UnsupportedVersion,
    /// The user would be another one.
    UserChanged,
}

impl Refresh {
    pub(crate) fn new(principal: Option<&Principal>, token_is_secret: bool) -> Self {
        Self { token_is_secret, user: user_of(principal), state: Mutex::default() }
    }

    /// Lets the connection go on with `principal`.
    pub(crate) fn renew(
        &self,
        principal: Arc<Principal>,
        expires: Option<Instant>,
    ) -> Result<(), RefreshError> {
        if !self.token_is_secret {
            return Err(RefreshError::UnsupportedVersion);
        }
        if user_of(Some(&principal)) != self.user {
            return Err(RefreshError::UserChanged);
        }
        let mut state = self.lock();
        state.unseen = Some(principal);
        state.expires = expires;
        if let Some(hub) = state.hub.take() {
            hub.wake();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn user_of(principal: Option<&Principal>) -> Option<UserId> {
    principal.and_then(|principal| principal.name_identifier.clone())
}

/// A pipe through which refreshed principals come.
struct RefreshedPipe {
    pipe: Box<dyn Pipe>,
    refresh: Arc<Refresh>,
}

/// Lets refreshed principals come through an accepted pipe.
pub(crate) fn refreshed(accepted: Accepted, refresh: Arc<Refresh>) -> Accepted {
    let Accepted { pipe, info, resumable } = accepted;
    Accepted { pipe: Box::new(RefreshedPipe { pipe, refresh }), info, resumable }
}

impl Pipe for RefreshedPipe {
    /// The later of what the transport and the refresh say.
    fn expires(&self) -> Option<Instant> {
        let own = self.pipe.expires();
        let refreshed = self.refresh.lock().expires;
        own.max(refreshed)
    }

    fn poll_principal(&mut self, cx: &mut Context<'_>) -> Poll<Option<Arc<Principal>>> {
        let mut state = self.refresh.lock();
        match state.unseen.take() {
            Some(principal) => Poll::Ready(Some(principal)),
            None => {
                state.hub = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<(), PipeEnd>> {
        self.pipe.poll_receive(cx, input)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, frames: &mut VecDeque<Frame>) -> Poll<Result<(), PipeEnd>> {
        self.pipe.poll_send(cx, frames)
    }

    fn close(self: Box<Self>, code: CloseCode) -> Pin<Box<dyn Future<Output = Farewell> + Send>> {
        self.pipe.close(code)
    }
}
