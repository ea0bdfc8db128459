//! What a client sends: taken from the pipe, told apart and acted on, in order but for what overtakes.

use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use hubline_protocol::{HubMessage, framing};
use tokio::time::Instant;

use super::ids::Pushed;
use super::sequencing::Count;
use super::wire::ReceivedAhead;
use super::{CloseReason, Connection};

/// What became of a message.
enum Dispatched {
    Done,
    /// It is passed over until nothing in front of it is held any more.
    Passed,
    /// It is to be read again later, with all that comes behind it.
    Deferred,
}

impl Connection {
    /// Whether messages are acted on: not while the client waits for a slot or for an upload, or has sent too fast. While
    /// an invocation is held, messages behind it are.
    pub(super) fn may_read(&self) -> bool {
        (self.hold.is_some() || !self.turns.has_call())
            && self.full_upload.is_none()
            && !self.inflow.is_held()
    }

    /// Ends what held the client, if it is over; whether something was.
    pub(super) fn goes_on(&mut self, cx: &Context<'_>) -> bool {
        let inflow = self.inflow.held_until(self.context.0.started);
        let may_come = inflow.is_some_and(|until| until <= Instant::now());
        if may_come {
            self.inflow.release();
            self.keep_alive.heard();
        }
        (self.hold.is_some() && !self.update_hold(cx)) || may_come
    }

    /// Takes more from the pipe; ready when there is something to act on.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        if self.inflow.is_held() {
            return Poll::Pending;
        }
        if self.hold.is_some() || self.turns.has_call() {
            return self.poll_ahead(cx).map(Ok);
        }
        if !self.may_read() {
            return Poll::Pending;
        }
        if !self.unread {
            let before = self.wire.input.len();
            ready!(self.wire.poll_receive(cx).map_err(|end| self.ended(end))?);
            self.inflow.received(self.wire.input.len() - before);
            self.unread = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Acts on the whole messages that have come.
    pub(super) fn read_messages(&mut self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        if !self.unread || !self.may_read() {
            return Ok(());
        }
        self.unread = false;
        let mut input = std::mem::take(&mut self.wire.input);
        let new = self.read_each(cx, &mut input)?;
        if !input.is_empty() {
            self.wire.input = input;
            self.look_ahead();
        }
        self.charge(new);
        Ok(())
    }

    /// Returns how many messages there were that had not been received before.
    fn read_each(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Result<usize, CloseReason> {
        let protocol = self.caller.0.outbox.protocol;
        let limit = self.receive_limit();
        let mut new = 0;
        loop {
            let at = if self.hold.is_some() { self.wire.passed } else { 0 };
            let Some(framed) = framing::split(protocol, &input[at..], limit)? else { break };
            let (used, is_new) = (framed.used, at == self.wire.passed);
            match self.dispatch(cx, HubMessage::read(protocol, framed.message)?, is_new)? {
                Dispatched::Done if at == 0 => {
                    input.advance(used);
                    self.wire.input_taken(used);
                }
                Dispatched::Done => self.wire.input_taken_behind(input, used),
                Dispatched::Passed if is_new => self.wire.passed += used,
                Dispatched::Passed => {}
                Dispatched::Deferred => break,
            }
            new += usize::from(is_new);
            // What a call that waits leaves behind is read later.
            if !input.is_empty() && !self.may_read() {
                self.unread = true;
                break;
            }
        }
        Ok(new)
    }

    /// One look at the clock for all messages that came together.
    fn charge(&mut self, messages: usize) {
        if messages > 0 {
            self.keep_alive.heard();
        }
        let core = &self.context.0;
        let limits = &core.options.limits;
        if limits.messages_per_second == 0 && limits.bytes_per_second == 0 {
            return;
        }
        if let Some(limit) = self.inflow.charge(core.started.elapsed(), limits, messages) {
            self.context.limited(&self.caller, limit);
        }
    }

    fn receive_limit(&self) -> usize {
        self.context.0.options.maximum_receive_message_size.unwrap_or(usize::MAX)
    }

    /// Reads past a call that waits for its turn, or past an invocation that is held.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.hold.is_none() && self.caller.0.outbox.is_over_half() {
            return Poll::Pending;
        }
        let before = self.wire.input.len();
        match ready!(self.wire.poll_receive_ahead(cx)) {
            ReceivedAhead::Input => {
                self.inflow.received(self.wire.input.len() - before);
                self.unread = true;
                self.look_ahead();
                self.charge(0);
            }
            // Nobody waits for anything any more, but what came before the end is still carried out.
            ReceivedAhead::End => self.caller.0.aborted().cancel(),
        }
        Poll::Ready(())
    }

    /// Lets the cancellations behind a call that waits for its turn take effect.
    fn look_ahead(&mut self) {
        if self.turns.has_call() || self.hold.is_some() {
            let (protocol, limit) = (self.caller.0.outbox.protocol, self.receive_limit());
            self.wire.look_ahead(protocol, limit, |invocation_id| {
                self.calls.ids.cancel(invocation_id);
                self.turns.cancel(invocation_id);
            });
        }
    }

    /// Acts on a message. One that is not new was passed over before, and counted.
    fn dispatch(
        &mut self,
        cx: &mut Context<'_>,
        message: HubMessage<'_>,
        is_new: bool,
    ) -> Result<Dispatched, CloseReason> {
        let is_counted = is_new && is_counted(&message);
        if let Some(stateful) = self.wire.stateful()
            && is_counted
            && stateful.sequencing.next() == Count::Again
        {
            return Ok(Dispatched::Done);
        }
        let waits = self.hold_if_due(cx, &message);
        // An item that finds no room is not received yet.
        if let HubMessage::StreamItem(item) = &message
            && !waits
            && let Pushed::Full(room) = self.calls.ids.push(item)
        {
            self.full_upload = Some(room);
            self.unread = true;
            return Ok(Dispatched::Deferred);
        }
        if let Some(stateful) = self.wire.stateful()
            && is_counted
        {
            stateful.sequencing.received();
        }
        if waits {
            return Ok(Dispatched::Passed);
        }
        self.act_on(cx, message).map(|()| Dispatched::Done)
    }

    /// Holds the client if the message is an invocation that has to wait. Returns whether the message waits: it is held, or
    /// belongs behind one that is.
    fn hold_if_due(&mut self, cx: &Context<'_>, message: &HubMessage<'_>) -> bool {
        if self.hold.is_none() {
            return matches!(message, HubMessage::Invocation(_)) && self.update_hold(cx);
        }
        match message {
            HubMessage::Invocation(_) | HubMessage::Close { .. } => true,
            HubMessage::StreamItem(item) => !self.calls.ids.has_upload(&item.invocation_id),
            HubMessage::Completion(completion) => {
                let id = &completion.invocation_id;
                !self.calls.ids.has_upload(id) && !self.context.0.client_results.is_pending(id)
            }
            HubMessage::CancelInvocation { invocation_id } => !self.calls.ids.is_cancellable(invocation_id),
            HubMessage::Ping
            | HubMessage::Ack { .. }
            | HubMessage::Sequence { .. }
            | HubMessage::Unknown { .. } => false,
        }
    }

    fn act_on(&mut self, cx: &mut Context<'_>, message: HubMessage<'_>) -> Result<(), CloseReason> {
        match message {
            HubMessage::Invocation(invocation) => self.invoke(cx, invocation),
            HubMessage::StreamItem(_) => {}
            HubMessage::Completion(completion) => self.completed(completion)?,
            HubMessage::CancelInvocation { invocation_id } => {
                self.wire.cancellation_taken(&invocation_id);
                self.calls.ids.cancel(&invocation_id);
            }
            HubMessage::Ping => self.keep_alive.arm_client_timeout(),
            HubMessage::Close { error, .. } => {
                return Err(CloseReason::ClientClosed(error.map(|text| text.into())));
            }
            HubMessage::Ack { sequence_id } => {
                if let Some(stateful) = self.wire.stateful() {
                    stateful.sequencing.acknowledged(sequence_id);
                }
            }
            HubMessage::Sequence { sequence_id } => {
                if let Some(stateful) = self.wire.stateful() {
                    stateful.sequencing.sequence(sequence_id)?;
                }
            }
            HubMessage::Unknown { message_type } => {
                tracing::debug!(connection = %self.caller.public_id(), message_type, "unknown hub message skipped");
            }
        }
        Ok(())
    }
}

/// Whether stateful reconnect counts it.
fn is_counted(message: &HubMessage<'_>) -> bool {
    matches!(
        message,
        HubMessage::Invocation(_)
            | HubMessage::StreamItem(_)
            | HubMessage::Completion(_)
            | HubMessage::CancelInvocation { .. }
    )
}
