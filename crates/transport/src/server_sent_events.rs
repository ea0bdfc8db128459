//! Server-sent events as a pipe: one response that does not end, and POSTs in the other direction.
//!
//! Source: TransportProtocols.md, "Server-Sent Events", and the recorded cases `server-sent-events`.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hubline_pipe::{CloseCode, CloseOutcome, Frame, Pipe, PipeEnd};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout};

use crate::body::Aborted;
use crate::inbox::Inbox;
use crate::outgoing::Outgoing;
use crate::reachability::Reachability;

/// A comment, so that the client and every proxy on the way see the response begin.
const OPENING: &[u8] = b":\r\n";
const DATA: &[u8] = b"data: ";
const LINE_END: &[u8] = b"\r\n";

/// What the two ends of the outgoing direction share.
struct Shared {
    state: Mutex<State>,
    inbox: Arc<Inbox>,
}

struct State {
    outgoing: Outgoing,
    phase: Phase,
    /// Wakes whoever takes events out: the HTTP connection.
    stream: Option<Waker>,
    /// Wakes whoever puts events in: the pipe.
    pipe: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The pipe was closed; what waits still goes out.
    Closing,
    /// The pipe was dropped in the middle.
    Aborted,
    /// The response is finished, or its client went away.
    Over,
}

/// The body of the response. Dropping it, as hyper does when the client goes away, ends the connection.
pub(crate) struct EventStream(Arc<Shared>);

/// The hub's end.
pub(crate) struct EventPipe {
    shared: Arc<Shared>,
    close_timeout: Duration,
    expires: Option<Instant>,
    reach: Option<Arc<Reachability>>,
}

/// Both ends of a new stream.
pub(crate) fn open(
    inbox: Arc<Inbox>,
    buffer_size: usize,
    close_timeout: Duration,
    expires: Option<Instant>,
    reach: Option<Arc<Reachability>>,
) -> (EventPipe, EventStream) {
    let mut outgoing = Outgoing::new(buffer_size);
    outgoing.push_copy(OPENING);
    let state = Mutex::new(State { outgoing, phase: Phase::Open, stream: None, pipe: None });
    let shared = Arc::new(Shared { state, inbox });
    (EventPipe { shared: Arc::clone(&shared), close_timeout, expires, reach }, EventStream(shared))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// One event, a line for each line of the payload. JSON has only one.
    fn push_event(&mut self, payload: &Bytes) {
        let mut begin = 0;
        for end in memchr::memchr2_iter(b'\n', b'\r', payload) {
            // The second half of a CRLF ends no line.
            if end >= begin {
                self.push_line(payload.slice(begin..end));
                begin = end + 1 + usize::from(payload.slice(end..).starts_with(b"\r\n"));
            }
        }
        self.push_line(payload.slice(begin..));
        self.outgoing.push_copy(LINE_END);
    }

    fn push_line(&mut self, line: Bytes) {
        self.outgoing.push_copy(DATA);
        self.outgoing.push(line);
        self.outgoing.push_copy(LINE_END);
    }

    fn wake_stream(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.wake();
        }
    }

    fn wake_pipe(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            pipe.wake();
        }
    }
}

impl EventStream {
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        let mut state = self.0.lock();
        if let Some(piece) = state.outgoing.take_piece() {
            state.wake_pipe();
            return Poll::Ready(Some(Ok(piece)));
        }
        match state.phase {
            Phase::Open => {
                state.stream = Some(cx.waker().clone());
                Poll::Pending
            }
            Phase::Aborted => Poll::Ready(Some(Err(Aborted))),
            Phase::Closing | Phase::Over => {
                state.phase = Phase::Over;
                state.wake_pipe();
                Poll::Ready(None)
            }
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        let state = self.0.lock();
        state.outgoing.is_empty() && matches!(state.phase, Phase::Closing | Phase::Over)
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.phase = Phase::Over;
        state.outgoing.take_all();
        state.wake_pipe();
        drop(state);
        self.0.inbox.end(PipeEnd::Lost);
    }
}

impl Pipe for EventPipe {
    fn expires(&self) -> Option<Instant> {
        self.expires
    }

    fn may_be_cut_off(&self) -> bool {
        self.reach.as_ref().is_some_and(|reach| reach.was_down_lately())
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<(), PipeEnd>> {
        self.shared.inbox.poll_receive(cx, input)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, frames: &mut VecDeque<Frame>) -> Poll<Result<(), PipeEnd>> {
        let mut state = self.shared.lock();
        if state.phase != Phase::Open {
            return Poll::Ready(Err(PipeEnd::Lost));
        }
        while !frames.is_empty() && !state.outgoing.is_full() {
            if let Some(frame) = frames.pop_front() {
                state.push_event(&frame.payload());
            }
        }
        state.wake_stream();
        if frames.is_empty() {
            return Poll::Ready(Ok(()));
        }
        state.pipe = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Lets the response end behind what waits. Nobody answers, so reading to the end is all the answer
    /// there is.
    fn close(self: Box<Self>, _: CloseCode) -> Pin<Box<dyn Future<Output = CloseOutcome> + Send>> {
        // What is still being posted was sent to a living connection; the client leaves as soon as it reads the end.
        self.shared.inbox.drop_rest();
        Box::pin(async move {
            let read_to_the_end = poll_fn(|cx| {
                let mut state = self.shared.lock();
                if state.phase == Phase::Over {
                    return Poll::Ready(());
                }
                state.phase = Phase::Closing;
                state.pipe = Some(cx.waker().clone());
                state.wake_stream();
                Poll::Pending
            });
            match timeout(self.close_timeout, read_to_the_end).await {
                Ok(()) => CloseOutcome::Lost,
                Err(_) => CloseOutcome::Silent,
            }
        })
    }
}

impl Drop for EventPipe {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.phase != Phase::Over {
            state.phase = Phase::Aborted;
            state.outgoing.take_all();
            state.wake_stream();
        }
        drop(state);
        self.shared.inbox.drop_rest();
    }
}
