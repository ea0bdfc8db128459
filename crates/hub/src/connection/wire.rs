//! The connection's side of its pipe.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use hubline_identity::Principal;
use hubline_pipe::{CloseCode, ConnectionInfo, Frame, Pipe, PipeEnd};
use hubline_protocol::negotiate::TransportKind;
use hubline_protocol::{Encoded, HubProtocol, encode, handshake};
use tokio::time::{Instant, timeout};

use super::CloseReason;
use super::ahead::{self, Ahead};
use super::resumption::{Resumed, Stateful};
use crate::outbox::{Outbox, Taken};
use crate::statistics::Counters;

/// How long the last messages of a connection may take to be sent.
const LAST_MESSAGES_TIMEOUT: Duration = Duration::from_secs(5);

/// A pipe, what was read from it and what it is sending. The one way out of a connection.
pub(super) struct Wire {
    /// Absent while a client with stateful reconnect is away.
    pipe: Option<Box<dyn Pipe>>,
    transport: TransportKind,
    /// Bytes that are not a whole message yet.
    pub(super) input: BytesMut,
    /// How many bytes at the front of the input have been passed over: messages that wait for their turn behind an
    /// invocation that is held. They are received, which stateful reconnect counts.
    pub(super) passed: usize,
    /// What is known of the input while a call in front of it waits for its turn.
    ahead: Option<Box<Ahead>>,
    /// How the pipe ended while a call waited. It has its turn behind the input.
    ended: Option<PipeEnd>,
    sending: VecDeque<Frame>,
    /// Bytes taken from the outbox that it does not know to be sent.
    taken_bytes: usize,
    /// Frames that have been sent, in all.
    sent_frames: u64,
    expires: Option<Instant>,
    stateful: Option<Box<Stateful>>,
    /// Whether the pipe was lost, which nobody was told yet.
    is_newly_lost: bool,
}

impl Wire {
    pub(super) fn new(pipe: Box<dyn Pipe>, transport: TransportKind) -> Self {
        Self {
            expires: pipe.expires(),
            pipe: Some(pipe),
            transport,
            input: BytesMut::new(),
            passed: 0,
            ahead: None,
            ended: None,
            sending: VecDeque::new(),
            taken_bytes: 0,
            sent_frames: 0,
            stateful: None,
            is_newly_lost: false,
        }
    }

    /// Whether the client's silence may be no fault of its own.
    pub(super) fn may_be_cut_off(&self) -> bool {
        self.pipe.as_ref().is_some_and(|pipe| pipe.may_be_cut_off())
    }

    /// From now on messages are counted, and another pipe may take the place of this one.
    pub(super) fn become_stateful(&mut self, stateful: Stateful) {
        self.stateful = Some(Box::new(stateful));
    }

    pub(super) fn stateful(&mut self) -> Option<&mut Stateful> {
        self.stateful.as_deref_mut()
    }

    /// While frames are under way that must not take long, how many have been sent before them. A long poll
    /// has a time limit of its own.
    pub(super) fn progress(&self) -> Option<u64> {
        let waits = !self.sending.is_empty() && self.pipe.is_some();
        (waits && self.transport != TransportKind::LongPolling).then_some(self.sent_frames)
    }

    /// When something is due that is not a matter of keeping the connection alive.
    pub(super) fn due(&self) -> Option<Instant> {
        let stateful = self.stateful.as_ref().and_then(|stateful| stateful.due());
        [self.expires, stateful].into_iter().flatten().min()
    }

    /// Does what is due.
    ///
    /// # Errors
    /// It ends the connection.
    pub(super) fn act(&mut self, protocol: HubProtocol) -> Result<(), CloseReason> {
        let now = Instant::now();
        if self.expires.is_some_and(|expires| expires <= now) {
            // A long-polling client may have come with a newer token meanwhile.
            self.expires = self.pipe.as_ref().and_then(|pipe| pipe.expires());
            if self.expires.is_some_and(|expires| expires <= now) {
                return Err(CloseReason::AuthenticationExpired);
            }
        }
        let Some(stateful) = &mut self.stateful else { return Ok(()) };
        if let Some(number) = stateful.act(now)? {
            self.send(encode::ack(protocol, number), protocol);
        }
        Ok(())
    }

    /// Sends a message that is not counted, behind what is under way; not to a client that is away.
    pub(super) fn send(&mut self, message: Encoded, protocol: HubProtocol) {
        if self.pipe.is_some() {
            self.sending.push_back(Frame::uncounted(message, protocol.transfer_format()));
        }
    }

    /// Puts the answer to the handshake before everything else, in the format of what follows.
    pub(super) fn send_handshake_response(&mut self, protocol: HubProtocol) {
        self.send(Encoded::copy_from(handshake::ACCEPTED), protocol);
    }

    pub(super) async fn receive(&mut self) -> Result<(), PipeEnd> {
        poll_fn(|cx| match &mut self.pipe {
            Some(pipe) => pipe.poll_receive(cx, &mut self.input),
            None => Poll::Pending,
        })
        .await
    }

    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, PipeEnd> {
        if let Some(end) = self.ended {
            return Err(end);
        }
        let Some(pipe) = &mut self.pipe else { return Ok(Poll::Pending) };
        match pipe.poll_receive(cx, &mut self.input) {
            Poll::Ready(Ok(())) => Ok(Poll::Ready(())),
            Poll::Ready(Err(end)) => self.lost(end).map(|()| Poll::Pending),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// Receives what comes behind a call that waits for its turn, as much as is of use. Ready when something has
    /// come, or when the pipe has ended for good, which [`Wire::poll_receive`] tells in its turn.
    pub(super) fn poll_receive_ahead(&mut self, cx: &mut Context<'_>) -> Poll<ReceivedAhead> {
        // A client with stateful reconnect may wait for acknowledgements behind as much as it keeps, and send its own there.
        let unacknowledged = self.stateful.as_ref().map_or(0, |stateful| stateful.sequencing.limit_bytes());
        let limit = ahead::LIMIT_BYTES + unacknowledged;
        let wants_more = match &self.ahead {
            Some(ahead) => ahead.wants_more(&self.input, limit),
            None => self.input.len() < limit,
        };
        if !wants_more || self.ended.is_some() {
            return Poll::Pending;
        }
        match self.poll_receive(cx) {
            Ok(received) => received.map(|()| ReceivedAhead::Input),
            Err(end) => {
                self.ended = Some(end);
                self.refuse_successors();
                Poll::Ready(ReceivedAhead::End)
            }
        }
    }

    /// Calls `cancel` for each cancellation that has come behind a call that waits for its turn.
    pub(super) fn look_ahead(&mut self, protocol: HubProtocol, limit: usize, cancel: impl FnMut(&str)) {
        if !self.input.is_empty() {
            let ahead = self.ahead.get_or_insert_default();
            ahead.look(protocol, &self.input, limit, cancel);
        }
    }

    /// Whether the client has cancelled the call at the front of the input meanwhile.
    pub(super) fn is_cancelled_ahead(&self, invocation_id: Option<&str>) -> bool {
        self.ahead.as_ref().zip(invocation_id).is_some_and(|(ahead, id)| ahead.is_cancelled(id))
    }

    /// A cancellation is at the front of the input.
    pub(super) fn cancellation_taken(&mut self, invocation_id: &str) {
        if let Some(ahead) = &mut self.ahead {
            ahead.cancellation_taken(invocation_id);
        }
    }

    /// So much at the front of the input has been dealt with.
    pub(super) fn input_taken(&mut self, used: usize) {
        self.passed = self.passed.saturating_sub(used);
        self.ahead.take_if(|ahead| !ahead.advance(used));
    }

    /// So much behind what was passed over has been dealt with.
    pub(super) fn input_taken_behind(&mut self, input: &mut BytesMut, used: usize) {
        input.copy_within(..self.passed, used);
        input.advance(used);
        if let Some(ahead) = &mut self.ahead {
            ahead.removed(self.passed, used);
        }
    }

    /// Sends what waits in the outbox until nothing is left or the pipe is full; returns the reason if the
    /// connection is to close, after what came before it unless the client does not read.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &Outbox,
        counters: &Counters,
    ) -> Result<Option<CloseReason>, PipeEnd> {
        loop {
            let Some(pipe) = &mut self.pipe else { return Ok(self.closing(cx, outbox)) };
            let is_held = self.stateful.as_mut().is_some_and(|stateful| stateful.release(&mut self.sending));
            let before = self.sending.len();
            let sent = pipe.poll_send(cx, &mut self.sending);
            self.sent_frames += (before - self.sending.len()) as u64;
            match sent {
                Poll::Ready(Ok(())) if is_held => return Ok(self.closing(cx, outbox)),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => self.lost(end)?,
                Poll::Pending => return Ok(self.closing(cx, outbox)),
            }
            let sent = std::mem::take(&mut self.taken_bytes);
            let frames = match &mut self.stateful {
                Some(stateful) => stateful.held(),
                None => &mut self.sending,
            };
            match outbox.poll_take(cx, frames, sent) {
                Poll::Ready(Taken::Frames) => {
                    counters.messages_sent(frames.len());
                    self.taken_bytes = frames.iter().map(Frame::size).sum();
                }
                Poll::Ready(Taken::Closing(reason)) => return Ok(Some(reason)),
                Poll::Pending => return Ok(None),
            }
        }
    }

    /// The reason if the connection is to close while there is no room to send more. Tells how much has been sent.
    fn closing(&mut self, cx: &mut Context<'_>, outbox: &Outbox) -> Option<CloseReason> {
        let Self { pipe, sending, stateful, taken_bytes, .. } = self;
        let unsent = || {
            let held = stateful.as_mut().map(|stateful| stateful.held().iter());
            let frames = sending.iter().chain(held.into_iter().flatten());
            let partly = pipe.as_ref().map_or(0, |pipe| pipe.partly_sent());
            frames.map(Frame::size).sum::<usize>().saturating_sub(partly)
        };
        match outbox.poll_closing(cx, taken_bytes, unsent) {
            Poll::Ready(reason) => Some(reason),
            Poll::Pending => None,
        }
    }

    /// The pipe has ended. A client with stateful reconnect may come back if it did not say good-bye.
    fn lost(&mut self, end: PipeEnd) -> Result<(), PipeEnd> {
        match (&mut self.stateful, end, self.transport) {
            (Some(stateful), PipeEnd::Lost, TransportKind::WebSockets) => {
                stateful.detached();
                self.detach();
                self.is_newly_lost = true;
                Ok(())
            }
            _ => Err(end),
        }
    }

    /// Whether the pipe was lost since this was asked last, and may be replaced.
    pub(super) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.is_newly_lost)
    }

    /// What is not received or sent whole will come again.
    fn detach(&mut self) {
        self.pipe = None;
        self.input.truncate(self.passed);
        self.ahead = None;
        self.sending.clear();
    }

    /// Ready with a newer principal when the client has refreshed its authentication.
    pub(super) fn poll_principal(&mut self, cx: &mut Context<'_>) -> Poll<Option<Arc<Principal>>> {
        let Some(pipe) = &mut self.pipe else { return Poll::Pending };
        let principal = pipe.poll_principal(cx);
        // A poll may set the end anew without a refresh, earlier as well as later.
        if principal.is_ready() || self.transport == TransportKind::LongPolling {
            self.expires = pipe.expires();
        }
        principal
    }

    /// Ready when a newer pipe has taken the place of the one before, with the request that it came by.
    ///
    /// # Errors
    /// The client had a living pipe and has given it up, or the application does not want it back.
    pub(super) fn poll_resume(&mut self, cx: &mut Context<'_>) -> Poll<Result<ConnectionInfo, CloseReason>> {
        let Some(stateful) = &mut self.stateful else { return Poll::Pending };
        match stateful.poll(cx, &mut self.pipe) {
            Poll::Ready(Resumed::With(accepted)) => {
                self.detach();
                self.expires = accepted.pipe.expires();
                self.pipe = Some(accepted.pipe);
                Poll::Ready(Ok(accepted.info))
            }
            Poll::Ready(Resumed::GivenUp) => Poll::Ready(Err(CloseReason::TransportEnded(PipeEnd::Closed))),
            Poll::Ready(Resumed::Refused) => Poll::Ready(Err(CloseReason::RefreshRefused)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Repeats on a new pipe what the client may not have.
    pub(super) fn repeat(&mut self, protocol: HubProtocol) {
        let Some(stateful) = &mut self.stateful else { return };
        let sequencing = &stateful.sequencing;
        let sequence = encode::sequence(protocol, sequencing.first_repeated());
        self.sending.push_back(Frame::uncounted(sequence, protocol.transfer_format()));
        self.sending.extend(sequencing.repeated().cloned());
    }

    /// Goes on sending while `work` is done. What ends the connection meanwhile is found afterwards.
    pub(super) async fn sending_meanwhile<T>(
        &mut self,
        outbox: &Outbox,
        counters: &Counters,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let _ = self.poll_send(cx, outbox, counters);
            work.as_mut().poll(cx)
        })
        .await
    }

    /// How many messages have been taken and not sent.
    pub(super) fn unsent(&mut self) -> usize {
        let held = self.stateful.as_mut().map_or(0, |stateful| stateful.held().len());
        self.sending.len() + held
    }

    /// Sends what is under way and then `frames`, which end the connection. Ends without an error when the pipe has ended
    /// or takes longer than [`LAST_MESSAGES_TIMEOUT`]. Returns how many of all of them are left.
    pub(super) async fn send_last(&mut self, frames: VecDeque<Frame>) -> usize {
        if let Some(stateful) = &mut self.stateful {
            self.sending.append(stateful.held());
        }
        self.sending.extend(frames);
        if let Some(pipe) = &mut self.pipe {
            let sent = poll_fn(|cx| pipe.poll_send(cx, &mut self.sending));
            _ = timeout(LAST_MESSAGES_TIMEOUT, sent).await;
        }
        self.sending.len()
    }

    /// Nobody may take the pipe's place any more.
    pub(super) fn refuse_successors(&mut self) {
        if let Some(stateful) = &mut self.stateful {
            stateful.refuse();
        }
    }

    pub(super) async fn close(self, code: CloseCode) {
        if let Some(pipe) = self.pipe {
            pipe.close(code).await;
        }
    }
}

/// What came behind a call that waits for its turn.
pub(super) enum ReceivedAhead {
    Input,
    End,
}
