//! One connection from its handshake to its end, in one task.

mod close_reason;
mod handshake;
mod keep_alive;
mod wire;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use hubline_backplane::Subject;
use hubline_pipe::{Accepted, Frame, PipeEnd};
use hubline_protocol::{Encoded, HubMessage, encode, framing, json};
use tokio::time::timeout;

use crate::context::{Caller, CallerState, HubContext};
use crate::dispatcher::{self, BoundCall};
use crate::outbox::{Outbox, Taken};

pub use close_reason::{CloseReason, Disconnected};
use keep_alive::{Due, KeepAlive};
use wire::Wire;

/// How long the last messages of a connection may take to be sent.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs a connection to its end.
pub(crate) async fn run(context: HubContext, accepted: Accepted) {
    let Accepted { pipe, info } = accepted;
    let mut wire = Wire::new(pipe);
    let options = &context.0.options;
    let request = match timeout(options.handshake_timeout, handshake::read(&mut wire, options)).await {
        Ok(Ok(request)) => request,
        Ok(Err(refused)) => return handshake::refuse(wire, refused, options).await,
        Err(_) => return handshake::refuse(wire, handshake::Refused::timed_out(), options).await,
    };
    wire.send_handshake_response(request.protocol);

    let outbox = Arc::new(Outbox::new(info.id.clone(), request.protocol, options));
    let user_id = (context.0.hub.user_id)(&info);
    let caller = Caller(Arc::new(CallerState { info, user_id, outbox }));
    tracing::debug!(hub = context.name(), connection = %caller.connection_id(), protocol = %request.protocol, "connected");

    let wants_keep_alive = wire.wants_keep_alive();
    let mut connection = Connection {
        keep_alive: KeepAlive::new(options, wants_keep_alive),
        context,
        caller,
        wire,
        running: FuturesUnordered::new(),
        waiting: None,
        unread: false,
    };
    let reason = connection.live().await;
    connection.end(reason).await;
}

struct Connection {
    context: HubContext,
    caller: Caller,
    wire: Wire,
    keep_alive: KeepAlive,
    running: FuturesUnordered<BoxFuture<'static, Option<Encoded>>>,
    /// A call that is bound but finds no free slot; until it does nothing more is read.
    waiting: Option<BoundCall>,
    /// Whether whole messages may be left in the input: a call begins to run before what comes behind it is
    /// looked at, and a client that is behind should read before it asks for more.
    unread: bool,
}

/// Something a connection must act on.
enum Event {
    Received,
    Finished(Option<Encoded>),
    Closing(CloseReason),
    Due(Due),
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
            dispatcher::callback(core.hub.on_connected.as_deref(), &self.context, &self.caller, None).await
        };
        if let Err(error) = self.wire.sending_meanwhile(&self.caller.0.outbox, connected).await {
            tracing::error!(hub = self.context.name(), connection = %self.caller.connection_id(), %error, "on_connected failed");
            return CloseReason::OnConnectedFailed(Arc::new(error));
        }
        self.keep_alive.start();
        loop {
            if let Err(reason) = self.read_messages() {
                return reason;
            }
            match self.next_event().await {
                Ok(Event::Received) => {}
                Ok(Event::Finished(completion)) => {
                    self.complete(completion);
                    if let Some(call) = self.waiting.take() {
                        self.begin(call);
                        self.keep_alive.heard();
                    }
                }
                Ok(Event::Due(Due::Ping)) => self.ping(),
                Ok(Event::Due(Due::ClientTimeout)) => return CloseReason::ClientTimeout,
                Ok(Event::Due(Due::SendTimeout)) => return CloseReason::SendTimeout,
                Ok(Event::Closing(reason)) => return reason,
                Err(end) if self.wire.input.is_empty() => return CloseReason::TransportEnded(end),
                Err(end) => return CloseReason::Truncated(end),
            }
        }
    }

    /// Sends what waits, and returns when there is something else to do.
    async fn next_event(&mut self) -> Result<Event, PipeEnd> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, PipeEnd>> {
        // An empty set would only note the waker, at the price of a cache miss in every delivery.
        if !self.running.is_empty()
            && let Poll::Ready(Some(completion)) = self.running.poll_next_unpin(cx)
        {
            return Poll::Ready(Ok(Event::Finished(completion)));
        }
        // Before sending: the answers to calls that came together then go out together.
        if self.may_go_on_reading() {
            return Poll::Ready(Ok(Event::Received));
        }
        if let Some(reason) = self.wire.poll_send(cx, &self.caller.0.outbox)? {
            return Poll::Ready(Ok(Event::Closing(reason)));
        }
        let may_read = self.may_read();
        if self.may_go_on_reading() || may_read && self.wire.poll_receive(cx)?.is_ready() {
            return Poll::Ready(Ok(Event::Received));
        }
        self.keep_alive.poll(cx, self.wire.progress(), may_read).map(|due| Ok(Event::Due(due)))
    }

    /// Whether there may be whole messages in the input, and they may be acted on.
    fn may_go_on_reading(&mut self) -> bool {
        self.unread && self.may_read() && std::mem::take(&mut self.unread)
    }

    /// A client that waits for a slot, or does not read its own results, is not read either.
    fn may_read(&self) -> bool {
        self.waiting.is_none() && !self.caller.0.outbox.is_over_half()
    }

    /// Acts on the whole messages that have come, up to a call.
    fn read_messages(&mut self) -> Result<(), CloseReason> {
        if self.wire.input.is_empty() {
            return Ok(());
        }
        let limit = self.context.0.options.maximum_receive_message_size.unwrap_or(usize::MAX);
        let mut input = std::mem::take(&mut self.wire.input);
        while !self.unread && self.waiting.is_none() {
            let Some(text) = framing::split_text(&input, limit)? else { break };
            if self.caller.0.outbox.is_over_half() {
                self.unread = true;
                break;
            }
            self.keep_alive.heard();
            let used = text.len() + 1;
            self.dispatch(json::read(text)?)?;
            input.advance(used);
        }
        if !input.is_empty() {
            self.wire.input = input;
        }
        Ok(())
    }

    fn dispatch(&mut self, message: HubMessage<'_>) -> Result<(), CloseReason> {
        match message {
            HubMessage::Invocation(invocation) => {
                match dispatcher::bind(&self.context, &self.caller, invocation) {
                    Ok(call)
                        if self.running.len()
                            < self.context.0.options.maximum_parallel_invocations_per_client =>
                    {
                        self.begin(call);
                    }
                    Ok(call) => self.waiting = Some(call),
                    Err(completion) => self.complete(completion),
                }
            }
            HubMessage::Ping => self.keep_alive.arm_client_timeout(),
            HubMessage::Close { error } => {
                return Err(CloseReason::ClientClosed(error.map(|text| text.into())));
            }
            HubMessage::Unknown { message_type } => {
                tracing::debug!(connection = %self.caller.connection_id(), message_type, "unknown hub message skipped");
            }
            // Answers to questions that were not asked, and words about streams that are not there.
            HubMessage::StreamItem(_)
            | HubMessage::Completion(_)
            | HubMessage::CancelInvocation { .. }
            | HubMessage::Ack { .. }
            | HubMessage::Sequence { .. } => {}
        }
        Ok(())
    }

    fn begin(&mut self, call: BoundCall) {
        self.unread = true;
        self.running.push(call.run(self.context.clone(), self.caller.0.outbox.protocol));
    }

    fn complete(&mut self, completion: Option<Encoded>) {
        let outbox = &self.caller.0.outbox;
        if let Some(encoded) = completion {
            outbox.push_completion(Frame::new(encoded, outbox.protocol.transfer_format()));
        }
    }

    fn ping(&mut self) {
        let outbox = &self.caller.0.outbox;
        outbox.push(Frame::new(encode::ping(outbox.protocol), outbox.protocol.transfer_format()));
    }

    /// Says good-bye, tells the hub, and forgets the connection.
    async fn end(self, reason: CloseReason) {
        let Self { context, caller, mut wire, running, .. } = self;
        let core = &context.0;
        if !running.is_empty() {
            // Calls are never dropped half-way; nobody hears their end any more.
            core.tasks.spawn(running.for_each(|_| std::future::ready(())));
        }
        tracing::debug!(hub = context.name(), connection = %caller.connection_id(), reason = %reason, "disconnected");
        let mut frames = caller.0.outbox.end(&reason);
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
            dispatcher::callback(core.hub.on_disconnected.as_deref(), &context, &caller, Some(&disconnected))
                .await
        };
        let forgotten = async {
            if let Err(error) = told.await {
                tracing::error!(hub = context.name(), connection = %caller.connection_id(), %error, "on_disconnected failed");
            }
            for subject in core.router.remove(caller.connection_id()) {
                core.backplane.unsubscribe(subject).await;
            }
        };
        futures_util::join!(farewell, forgotten);
    }
}
