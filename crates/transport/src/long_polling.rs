//! Long polling as a pipe: a request waits for what is to be sent, and POSTs go the other way.
//!
//! Source: TransportProtocols.md, "Long Polling", and the recorded cases `long-polling` and `reaper`.

mod pipe;
mod turn;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hubline_pipe::PipeEnd;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout};

use crate::authentication::Expiry;
use crate::inbox::Inbox;
use crate::outgoing::Outgoing;
use crate::reachability::Reachability;
use crate::token::DISCONNECT_TIMEOUT;

pub(crate) use pipe::LongPollingPipe;
use turn::{Turn, Turns};

/// How long an ended connection that its client has deleted still answers the poll after its last message.
/// Long enough for a client that polls on at once; the real server forgets it as fast.
const LINGER_AFTER_DELETE: Duration = Duration::from_millis(100);

/// A long-polling connection as its requests see it.
#[derive(Debug)]
pub(crate) struct LongPolling {
    state: Mutex<State>,
    inbox: Arc<Inbox>,
    /// In a fleet, polls may be stuck at other instances.
    reach: Option<Arc<Reachability>>,
}

#[derive(Debug)]
struct State {
    outgoing: Outgoing,
    /// What was given to a poll at another instance, which has not said yet that it arrived.
    unconfirmed: Option<VecDeque<Bytes>>,
    turns: Turns,
    phase: Phase,
    /// The pipe is gone: nothing will be added to what waits.
    finished: bool,
    /// When the newest poll's authentication ends.
    expires: Option<Instant>,
    /// Wakes the poll that waits.
    poll: Option<Waker>,
    /// Wakes the pipe that waits for room.
    pipe: Option<Waker>,
}

/// What the client may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Everything.
    Open,
    /// It has asked to end, and may only poll for the last messages.
    Deleted,
    /// Nothing: it knows that the connection is over.
    Over,
    /// Nothing: it stayed away too long.
    Abandoned,
}

/// What became of what was in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryOutcome {
    Arrived,
    Lost,
}

/// How a poll is given what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Final,
    Unconfirmed,
}

/// How a poll ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// Everything that waited.
    Found(VecDeque<Bytes>),
    /// Nothing came in time.
    TimedOut,
    /// The connection is over, or a newer poll has taken this one's place.
    NoMore,
    /// A newer poll was faster in taking the place of an older one.
    Conflict,
    /// There is no such connection any more.
    Gone,
}

impl LongPolling {
    /// A connection whose first poll has just come.
    pub(crate) fn new(
        inbox: Arc<Inbox>,
        buffer_size: usize,
        expires: Option<Instant>,
        reach: Option<Arc<Reachability>>,
    ) -> Self {
        let state = State {
            outgoing: Outgoing::new(buffer_size),
            unconfirmed: None,
            turns: Turns::new(),
            phase: Phase::Open,
            finished: false,
            expires,
            poll: None,
            pipe: None,
        };
        Self { state: Mutex::new(state), inbox, reach }
    }

    /// Where POSTs go; `None` if the client has ended the connection.
    pub(crate) fn inbox(&self) -> Option<&Arc<Inbox>> {
        (self.lock().phase == Phase::Open).then_some(&self.inbox)
    }

    /// Whether a request would find nothing here.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().is_over(self.reach.as_deref())
    }

    /// How long a connection without a pipe waits for polls; `None` if it need not.
    pub(crate) fn linger(&self) -> Option<Duration> {
        let state = self.lock();
        match state.phase {
            _ if state.is_over(self.reach.as_deref()) => None,
            Phase::Open => Some(DISCONNECT_TIMEOUT),
            Phase::Deleted => Some(LINGER_AFTER_DELETE),
            Phase::Over | Phase::Abandoned => None,
        }
    }

    /// Whether the connection has ended because no poll came for too long.
    pub(crate) fn was_abandoned(&self) -> bool {
        self.lock().phase == Phase::Abandoned
    }

    /// Ends the connection as its client wishes. `false` if that was done already.
    pub(crate) fn delete(&self) -> bool {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return false;
        }
        state.phase = Phase::Deleted;
        drop(state);
        self.inbox.end(PipeEnd::InputEnded);
        true
    }

    /// Ends the connection at once, as its server wishes.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.phase = Phase::Over;
        if let Some(poll) = state.poll.take() {
            poll.wake();
        }
        drop(state);
        self.inbox.end(PipeEnd::Closed);
    }

    /// Waits for data, `poll_timeout` at most.
    ///
    /// # Cancel safety
    /// Data leaves only with the answer; if the client goes away before, the next poll gets it.
    pub(crate) async fn poll(&self, poll_timeout: Duration, expiry: Expiry) -> Polled {
        self.poll_and(poll_timeout, expiry, Delivery::Final).await
    }

    /// The same for a poll at another instance. What it is given stays unconfirmed until
    /// [`confirm`](LongPolling::confirm), and nothing else is given out meanwhile.
    pub(crate) async fn poll_remotely(&self, poll_timeout: Duration, expiry: Expiry) -> Polled {
        self.poll_and(poll_timeout, expiry, Delivery::Unconfirmed).await
    }

    /// Says what became of what was in doubt.
    pub(crate) fn confirm(&self, outcome: DeliveryOutcome) {
        let mut state = self.lock();
        let Some(pieces) = state.unconfirmed.take() else { return };
        if outcome == DeliveryOutcome::Lost {
            state.outgoing.put_back(pieces);
        }
        if let Some(poll) = state.poll.take() {
            poll.wake();
        }
    }

    async fn poll_and(&self, poll_timeout: Duration, expiry: Expiry, delivery: Delivery) -> Polled {
        let turn = match self.begin(expiry) {
            Ok(turn) => turn,
            Err(refused) => return refused,
        };
        timeout(poll_timeout, poll_fn(|cx| self.poll_turn(cx, &turn, delivery)))
            .await
            .unwrap_or(Polled::TimedOut)
    }

    fn begin(&self, expiry: Expiry) -> Result<Turn<'_>, Polled> {
        let mut state = self.lock();
        if state.is_over(self.reach.as_deref()) {
            return Err(Polled::Gone);
        }
        let number = state.turns.begin().ok_or(Polled::Conflict)?;
        if let Expiry::At(expires) = expiry
            && std::mem::replace(&mut state.expires, expires) != expires
        {
            // Its end may be nearer now.
            self.inbox.wake_reader();
        }
        // The older poll looks again, and finds that it is not its turn any more.
        if let Some(older) = state.poll.take() {
            older.wake();
        }
        Ok(Turn { connection: self, number })
    }

    fn poll_turn(&self, cx: &mut Context<'_>, turn: &Turn<'_>, delivery: Delivery) -> Poll<Polled> {
        let mut state = self.lock();
        if !state.turns.is_current(turn.number) || state.phase == Phase::Over {
            return Poll::Ready(Polled::NoMore);
        }
        if state.unconfirmed.is_some() {
            state.poll = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if !state.outgoing.is_empty() {
            if let Some(pipe) = state.pipe.take() {
                pipe.wake();
            }
            let pieces = state.outgoing.take_all();
            state.unconfirmed = (delivery == Delivery::Unconfirmed).then(|| pieces.clone());
            return Poll::Ready(Polled::Found(pieces));
        }
        if state.finished {
            state.phase = Phase::Over;
            return Poll::Ready(Polled::NoMore);
        }
        state.poll = Some(cx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn is_over(&self, reach: Option<&Reachability>) -> bool {
        matches!(self.phase, Phase::Over | Phase::Abandoned) || self.is_abandoned(reach)
    }

    /// Whether no poll has come for too long.
    fn is_abandoned(&self, reach: Option<&Reachability>) -> bool {
        self.silent_since(reach).is_some_and(|since| since + DISCONNECT_TIMEOUT <= Instant::now())
    }

    /// Since when no poll has come; `None` while one is there, or is perhaps stuck at another instance.
    fn silent_since(&self, reach: Option<&Reachability>) -> Option<Instant> {
        let since = self.turns.idle_since()?;
        match reach {
            Some(reach) => reach.counted_from(since),
            None => Some(since),
        }
    }
}
