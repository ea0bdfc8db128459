//! The hub's end of a long-polling connection.

use std::collections::VecDeque;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use hubline_pipe::{CloseCode, CloseOutcome, Frame, Pipe, PipeEnd};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{LongPolling, Phase};
use crate::token::DISCONNECT_TIMEOUT;

pub(crate) struct LongPollingPipe {
    connection: Arc<LongPolling>,
    /// Rings when the client may have stayed away too long. Polls do not move it: it looks when it rings.
    watch: Pin<Box<Sleep>>,
}

impl LongPollingPipe {
    pub(crate) fn new(connection: Arc<LongPolling>) -> Self {
        Self { connection, watch: Box::pin(sleep_until(Instant::now() + DISCONNECT_TIMEOUT)) }
    }

    /// Ready when no poll has come for too long.
    fn poll_abandoned(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.watch.as_mut().poll(cx));
            let mut state = self.connection.lock();
            let reach = self.connection.reach.as_deref();
            if state.is_abandoned(reach) {
                state.phase = Phase::Abandoned;
                return Poll::Ready(());
            }
            let since = state.silent_since(reach).unwrap_or_else(Instant::now);
            drop(state);
            self.watch.as_mut().reset(since + DISCONNECT_TIMEOUT);
        }
    }
}

impl Pipe for LongPollingPipe {
    fn expires(&self) -> Option<Instant> {
        self.connection.lock().expires
    }

    fn may_be_cut_off(&self) -> bool {
        self.connection.reach.as_ref().is_some_and(|reach| reach.was_down_lately())
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<(), PipeEnd>> {
        let received = self.connection.inbox.poll_receive(cx, input);
        if received.is_pending() && self.poll_abandoned(cx).is_ready() {
            self.connection.inbox.end(PipeEnd::Lost);
            return self.connection.inbox.poll_receive(cx, input);
        }
        received
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, frames: &mut VecDeque<Frame>) -> Poll<Result<(), PipeEnd>> {
        let mut state = self.connection.lock();
        if matches!(state.phase, Phase::Over | Phase::Abandoned) {
            return Poll::Ready(Err(PipeEnd::Lost));
        }
        while !frames.is_empty() && !state.outgoing.is_full() {
            if let Some(frame) = frames.pop_front() {
                state.outgoing.push(frame.payload());
            }
        }
        if let Some(poll) = state.poll.take() {
            poll.wake();
        }
        if frames.is_empty() {
            return Poll::Ready(Ok(()));
        }
        state.pipe = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Does not wait: what is left is kept for the polls to come, without the hub.
    fn close(self: Box<Self>, _: CloseCode) -> Pin<Box<dyn Future<Output = CloseOutcome> + Send>> {
        drop(self);
        Box::pin(ready(CloseOutcome::Lost))
    }
}

impl Drop for LongPollingPipe {
    fn drop(&mut self) {
        let mut state = self.connection.lock();
        state.finished = true;
        if let Some(poll) = state.poll.take() {
            poll.wake();
        }
        drop(state);
        self.connection.inbox.drop_rest();
    }
}
