//! One connection from its handshake to its end, in one task.

mod ahead;
mod calls;
mod close_reason;
mod handshake;
mod ids;
mod keep_alive;
mod resumption;
mod sequencing;
mod streaming;
mod turns;
mod wire;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_backplane::Subject;
use hubline_pipe::{Accepted, ConnectionInfo, Frame, PipeEnd};
use hubline_protocol::negotiate::TransportKind;
use hubline_protocol::{Completion, Encoded, HubMessage, encode, framing};
use tokio::time::timeout;

use crate::client_results::Met;
use crate::context::{Caller, CallerState, HubContext};
use crate::dispatcher::{self, BoundCall};
use crate::outbox::Outbox;

use calls::{Begun, Calls, Pushed};
pub(crate) use close_reason::METRIC_LABELS;
pub use close_reason::{CloseReason, Disconnected};
use keep_alive::{Due, KeepAlive, Pings, State};
use resumption::Stateful;
use sequencing::Count;
use turns::{Turn, Turns};
use wire::{ReceivedAhead, Wire};

/// How long the last messages of a connection may take to be sent.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

/// Lowest handshake version that can do stateful reconnect.
const STATEFUL_VERSION: i32 = 2;

/// Runs a connection to its end.
pub(crate) async fn run(context: HubContext, accepted: Accepted) {
    let Accepted { pipe, mut info, resumable } = accepted;
    let transport = info.transport;
    let mut wire = Wire::new(pipe, transport);
    let options = &context.0.options;
    let request = handshake::read(&mut wire, options, transport);
    let request = timeout(options.handshake_timeout, request).await;
    let request = match request.unwrap_or_else(|_| Err(handshake::Refused::timed_out())) {
        Ok(request) => request,
        Err(refused) => {
            context.0.closed.count(refused.metric_label());
            return handshake::refuse(wire, refused, options).await;
        }
    };
    // A refresh before the handshake is none of the hub's business.
    if let Poll::Ready(principal) = poll_fn(|cx| Poll::Ready(wire.poll_principal(cx))).await {
        info.principal = principal;
    }
    wire.send_handshake_response(request.protocol);
    if let Some(resumable) = resumable.filter(|_| request.version >= STATEFUL_VERSION) {
        wire.become_stateful(Stateful::new(resumable, options.stateful_reconnect_buffer_size));
    }

    let outbox = Arc::new(Outbox::new(info.id.clone(), request.protocol, options));
    let user_id = (context.0.hub.user_id)(&info);
    let caller = Caller(Arc::new(CallerState::new(info, user_id, outbox)));
    tracing::debug!(hub = context.name(), connection = %caller.public_id(), protocol = %request.protocol, "connected");

    let pings = if transport == TransportKind::LongPolling { Pings::NotSent } else { Pings::Sent };
    let mut connection = Connection {
        keep_alive: KeepAlive::new(options, pings),
        calls: Calls::new(options.maximum_parallel_invocations_per_client),
        context,
        caller,
        wire,
        turns: Turns::default(),
        full_upload: None,
        unread: true,
    };
    let reason = connection.live().await;
    connection.end(reason).await;
}

struct Connection {
    context: HubContext,
    caller: Caller,
    wire: Wire,
    keep_alive: KeepAlive,
    calls: Calls,
    /// What finds no free slot. While a call is among it, only cancellations are looked for in what comes.
    turns: Turns,
    /// Ready when an upload can take its next item; until then nothing more is read.
    full_upload: Option<BoxFuture<'static, ()>>,
    /// Whether whole messages may be left in the input: they wait for the call in front of them, or for the
    /// client to read before it asks for more.
    unread: bool,
}

/// Whether a message is done with.
enum Dispatched {
    Done,
    /// It is to be read again later.
    Deferred,
}

impl Connection {
    /// Registers the connection and serves it until something ends it.
    async fn live(&mut self) -> CloseReason {
        let core = Arc::clone(&self.context.0);
        core.router.add(Arc::clone(&self.caller.0.outbox), self.caller.0.user_id.clone());
        // After it was added: either this sees the flag, or the one who sets it sees the connection.
        if core.stopping.load(Ordering::SeqCst) {
            self.caller.0.outbox.close(CloseReason::ServerShutdown);
        }
        let subscribed = async {
            core.backplane.subscribe(Subject::Connection(self.caller.connection_id().clone())).await;
            if let Some(user) = self.caller.user_id() {
                core.backplane.subscribe(Subject::User(user.clone())).await;
            }
        };
        let connected = async {
            subscribed.await;
            dispatcher::connected(&self.context, &self.caller).await
        };
        if let Err(error) = self.wire.sending_meanwhile(&self.caller.0.outbox, connected).await {
            tracing::error!(hub = self.context.name(), connection = %self.caller.public_id(), %error, "on_connected failed");
            return CloseReason::OnConnectedFailed(Arc::new(error));
        }
        self.keep_alive.start();
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Does all there is to do; ready with the reason when the connection ends.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        loop {
            if let Err(reason) = ready!(self.poll_step(cx)) {
                return Poll::Ready(reason);
            }
        }
    }

    /// Does one thing; pending when there is none.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        self.take_principal(cx);
        if let Poll::Ready(completion) = self.calls.poll_ended(cx) {
            self.complete(completion);
            self.begin_waiting(cx);
            return Poll::Ready(Ok(()));
        }
        if !self.turns.is_empty() {
            self.calls.take_back_slots(&self.caller);
            self.begin_waiting(cx);
        }
        if let Some(full) = &mut self.full_upload
            && full.as_mut().poll(cx).is_ready()
        {
            self.full_upload = None;
            self.keep_alive.heard();
        }
        // Before sending: the answers to calls that came together then go out together.
        self.read_messages(cx)?;
        if self.calls.has_new() {
            return Poll::Ready(Ok(()));
        }
        if let Some(reason) = self.wire.poll_send(cx, &self.caller.0.outbox).map_err(|end| self.ended(end))? {
            return Poll::Ready(Err(reason));
        }
        if self.may_read() {
            // The client may have made room just now by reading.
            if self.unread {
                return Poll::Ready(Ok(()));
            }
            if self.wire.poll_receive(cx).map_err(|end| self.ended(end))?.is_ready() {
                self.unread = true;
                return Poll::Ready(Ok(()));
            }
        } else if self.turns.has_call() && self.poll_ahead(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if let Poll::Ready(resumed) = self.wire.poll_resume(cx) {
            self.resumed(resumed?);
            return Poll::Ready(Ok(()));
        }
        let state =
            State { progress: self.wire.progress(), reading: self.may_read(), other: self.wire.due() };
        self.keep_alive.poll(cx, state).map(|due| self.act(due))
    }

    fn act(&mut self, due: Due) -> Result<(), CloseReason> {
        match due {
            Due::Ping => self.ping(),
            Due::ClientTimeout if self.wire.may_be_cut_off() => self.keep_alive.heard(),
            Due::ClientTimeout => return Err(CloseReason::ClientTimeout),
            Due::SendTimeout => return Err(CloseReason::SendTimeout),
            Due::Other => self.wire.act(self.caller.0.outbox.protocol)?,
        }
        Ok(())
    }

    /// Takes a principal that the client has refreshed, before anything begins that is to see it. The hub is told
    /// when a call that came now would begin.
    fn take_principal(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(principal) = self.wire.poll_principal(cx) {
            self.caller.0.replace_principal(principal);
            if self.context.0.hub.on_authentication_refreshed.is_some() {
                self.turns.push_refresh();
            }
        }
    }

    /// A newer pipe has taken the place of the one before.
    fn resumed(&mut self, info: ConnectionInfo) {
        self.caller.0.replace_info(info);
        self.unread = false;
        self.wire.repeat(self.caller.0.outbox.protocol);
    }

    fn ended(&self, end: PipeEnd) -> CloseReason {
        // Behind a call that waits there may be whole messages.
        if self.wire.input.is_empty() || self.turns.has_call() {
            CloseReason::TransportEnded(end)
        } else {
            CloseReason::Truncated(end)
        }
    }

    /// Whether messages are acted on: not while the client waits for a slot or for an upload, or does not read its own
    /// results.
    fn may_read(&self) -> bool {
        !self.turns.has_call() && self.full_upload.is_none() && !self.caller.0.outbox.is_over_half()
    }

    /// Acts on the whole messages that have come.
    fn read_messages(&mut self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        if !self.unread || !self.may_read() {
            return Ok(());
        }
        self.unread = false;
        let protocol = self.caller.0.outbox.protocol;
        let limit = self.receive_limit();
        let mut input = std::mem::take(&mut self.wire.input);
        while let Some(framed) = framing::split(protocol, &input, limit)? {
            let used = framed.used;
            self.keep_alive.heard();
            match self.dispatch(cx, HubMessage::read(protocol, framed.message)?)? {
                Dispatched::Done => {
                    input.advance(used);
                    self.wire.input_taken(used);
                }
                Dispatched::Deferred => break,
            }
            // What a call that waits or fills the outbox leaves behind is read later.
            if !input.is_empty() && !self.may_read() {
                self.unread = true;
                break;
            }
        }
        if !input.is_empty() {
            self.wire.input = input;
            self.look_ahead();
        }
        Ok(())
    }

    fn receive_limit(&self) -> usize {
        self.context.0.options.maximum_receive_message_size.unwrap_or(usize::MAX)
    }

    /// Reads past a call that waits for its turn.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.caller.0.outbox.is_over_half() {
            return Poll::Pending;
        }
        match ready!(self.wire.poll_receive_ahead(cx)) {
            ReceivedAhead::Input => {
                self.unread = true;
                self.look_ahead();
            }
            // Nobody waits for anything any more, but what came before the end is still carried out.
            ReceivedAhead::End => self.caller.0.aborted().cancel(),
        }
        Poll::Ready(())
    }

    /// Lets the cancellations behind a call that waits for its turn take effect.
    fn look_ahead(&mut self) {
        if self.turns.has_call() {
            let (protocol, limit) = (self.caller.0.outbox.protocol, self.receive_limit());
            self.wire.look_ahead(protocol, limit, |invocation_id| {
                self.calls.ids.cancel(invocation_id);
                self.turns.cancel(invocation_id);
            });
        }
    }

    fn dispatch(&mut self, cx: &mut Context<'_>, message: HubMessage<'_>) -> Result<Dispatched, CloseReason> {
        if self
            .wire
            .stateful()
            .is_some_and(|stateful| is_counted(&message) && stateful.sequencing.next() == Count::Again)
        {
            return Ok(Dispatched::Done);
        }
        // An item that finds no room is not received yet.
        if let HubMessage::StreamItem(item) = &message
            && let Pushed::Full(room) = self.calls.ids.push(item)
        {
            self.full_upload = Some(room);
            self.unread = true;
            return Ok(Dispatched::Deferred);
        }
        if let Some(stateful) = self.wire.stateful()
            && is_counted(&message)
        {
            stateful.sequencing.received();
        }
        match message {
            HubMessage::Invocation(invocation) => self.invoke(cx, invocation),
            HubMessage::StreamItem(_) => {}
            HubMessage::Completion(completion) => self.completed(completion)?,
            HubMessage::CancelInvocation { invocation_id } => {
                self.wire.cancellation_taken(&invocation_id);
                self.calls.ids.cancel(&invocation_id);
            }
            HubMessage::Ping => self.keep_alive.arm_client_timeout(),
            HubMessage::Close { error } => {
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
        Ok(Dispatched::Done)
    }

    fn invoke(&mut self, cx: &mut Context<'_>, invocation: hubline_protocol::Invocation<'_>) {
        match dispatcher::bind(&self.context, &self.caller, invocation) {
            Ok(call) => {
                if self.wire.is_cancelled_ahead(call.reply.invocation_id.as_deref()) {
                    call.cancel();
                }
                self.calls.take_back_slots(&self.caller);
                if call.takes_slot() && !(self.calls.has_slot() && self.turns.is_empty()) {
                    self.turns.push_call(call);
                } else {
                    self.begin(cx, call);
                }
            }
            Err(completion) => self.complete(completion),
        }
    }

    /// The end of an upload, or the answer to a question.
    fn completed(&mut self, completion: Completion<'_>) -> Result<(), CloseReason> {
        let Completion { invocation_id, result } = completion;
        if self.calls.ids.complete_upload(&invocation_id, &result) {
            return Ok(());
        }
        let outbox = &self.caller.0.outbox;
        match self.context.0.client_results.answer(&invocation_id, outbox, result) {
            Met::Waiting | Met::Nobody => Ok(()),
            Met::Another => Err(CloseReason::ForeignAnswer {
                connection: outbox.connection_id.clone(),
                invocation_id: invocation_id.into(),
            }),
        }
    }

    /// Starts what waits for a slot, as far as there are slots.
    fn begin_waiting(&mut self, cx: &mut Context<'_>) {
        while self.calls.has_slot()
            && let Some(turn) = self.turns.next()
        {
            match turn {
                Turn::Call(call) => {
                    self.begin(cx, call);
                    self.keep_alive.heard();
                }
                Turn::Refreshed => {
                    let refreshed = dispatcher::refreshed(self.context.clone(), self.caller.clone());
                    self.calls.begin_callback(cx, refreshed.boxed());
                }
            }
        }
    }

    /// Starts a call, which begins to run before what comes behind it is looked at.
    fn begin(&mut self, cx: &mut Context<'_>, call: BoundCall) {
        match self.calls.begin(cx, call) {
            Begun::Running => {}
            Begun::Ended(completion) => self.complete(completion),
        }
    }

    fn complete(&mut self, completion: Option<Encoded>) {
        let outbox = &self.caller.0.outbox;
        if let Some(encoded) = completion {
            outbox.push_completion(Frame::new(encoded, outbox.protocol.transfer_format()));
        }
    }

    fn ping(&mut self) {
        let protocol = self.caller.0.outbox.protocol;
        self.wire.send(encode::ping(protocol), protocol);
    }

    /// Says good-bye, tells the hub, and forgets the connection.
    async fn end(self, reason: CloseReason) {
        let Self { context, caller, mut wire, calls, .. } = self;
        let core = &context.0;
        wire.refuse_successors();
        core.closed.count(reason.metric_label());
        tracing::debug!(hub = context.name(), connection = %caller.public_id(), reason = %reason, "disconnected");
        let mut frames = caller.0.outbox.end(&reason);
        caller.0.aborted().cancel();
        if !calls.is_empty() {
            // Calls are never dropped half-way; nobody hears their end any more.
            core.tasks.spawn(calls.finish());
        }
        let unanswered = core.client_results.connection_ended(&caller.0.outbox);
        if let Some(close) = reason.message(caller.0.outbox.protocol, core.options.detailed_errors) {
            frames.push_back(close);
        }
        let code = reason.close_code();
        let farewell = async move {
            _ = timeout(FAREWELL_TIMEOUT, wire.send_all(frames)).await;
            wire.close(code).await;
        };
        let disconnected = Disconnected::new(&reason);
        let told = async {
            if matches!(reason, CloseReason::OnConnectedFailed(_)) {
                return Ok(());
            }
            dispatcher::disconnected(&context, &caller, &disconnected).await
        };
        let forgotten = async {
            if let Err(error) = told.await {
                tracing::error!(hub = context.name(), connection = %caller.public_id(), %error, "on_disconnected failed");
            }
            // Whoever asked hears that before the connection is gone for the other instances.
            for answer in unanswered {
                _ = answer.await;
            }
            for subject in core.router.remove(caller.connection_id()) {
                core.backplane.unsubscribe(subject).await;
            }
        };
        futures_util::join!(farewell, forgotten);
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
