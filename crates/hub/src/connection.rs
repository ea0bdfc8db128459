//! One connection from its handshake to its end, in one task.

mod ahead;
mod calls;
mod close_reason;
mod handshake;
mod hold;
mod ids;
mod inflow;
mod keep_alive;
mod reading;
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

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_backplane::Subject;
use hubline_pipe::{
    Accepted, ConnectionHandler, ConnectionInfo, Frame, LifecycleEvent, LifecycleKind, PipeEnd,
};
use hubline_protocol::negotiate::TransportKind;
use hubline_protocol::{Completion, Encoded, UserId, encode};
use tokio::time::{Instant, sleep, timeout};

use crate::HubContext;
use crate::caller::{Caller, CallerState};
use crate::client_results::CompletionFate;
use crate::dispatcher::{self, BoundCall};
use crate::outbox::Outbox;

use calls::{Begun, Calls};
pub(crate) use close_reason::METRIC_LABELS;
pub use close_reason::{CloseReason, Disconnected};
use hold::Hold;
use inflow::Inflow;
use keep_alive::{Due, KeepAlive, Pings, State};
use resumption::Stateful;
use turns::{Turn, Turns};
use wire::Wire;

/// Lowest handshake version that can do stateful reconnect.
const STATEFUL_VERSION: i32 = 2;

/// How long a handshake may take once the instance stops.
const LAST_HANDSHAKE: Duration = Duration::from_secs(1);

impl ConnectionHandler for HubContext {
    fn run(&self, accepted: Accepted) -> BoxFuture<'static, ()> {
        Box::pin(run(self.clone(), accepted))
    }

    fn user_id(&self, info: &ConnectionInfo) -> Option<UserId> {
        (self.0.hub.user_id)(info)
    }
}

/// Runs a connection to its end.
///
/// What is over soon, its beginning and its end, has memory of its own, so that the task of an idle connection is small.
pub(crate) async fn run(context: HubContext, accepted: Accepted) {
    if let Some(mut connection) = Box::pin(begin(context, accepted)).await {
        let reason = connection.live().await;
        Box::pin(connection.end(reason)).await;
    }
}

/// Shakes hands; `None` if the client is refused.
async fn begin(context: HubContext, accepted: Accepted) -> Option<Box<Connection>> {
    let Accepted { pipe, mut info, resumable } = accepted;
    let transport = info.transport;
    let mut wire = Wire::new(pipe, transport);
    let options = &context.0.options;
    let request = handshake::read(&mut wire, options, transport);
    let request = tokio::select! {
        biased;
        request = timeout(options.handshake_timeout, request) => request.ok(),
        () = last_handshake(&context) => None,
    };
    let request = match request.unwrap_or_else(|| Err(handshake::Refused::timed_out())) {
        Ok(request) => request,
        Err(refused) => {
            context.0.closed.count(refused.metric_label());
            if let Some(observer) = &options.lifecycle_observer {
                let kind = LifecycleKind::handshake_failed(
                    context.name(),
                    refused.metric_label(),
                    info.remote_address,
                );
                observer.observe(&LifecycleEvent::new(&info.public_id(), kind));
            }
            handshake::refuse(wire, refused, options).await;
            return None;
        }
    };
    // A refresh before the handshake is none of the hub's business.
    if let Poll::Ready(principal) = poll_fn(|cx| Poll::Ready(wire.poll_principal(cx))).await {
        info.principal = principal;
    }
    wire.send_handshake_response(request.protocol);
    let outbox = Arc::new(Outbox::new(info.id.clone(), request.protocol, options));
    if let Some(resumable) = resumable.filter(|_| request.version >= STATEFUL_VERSION) {
        let limit = options.stateful_reconnect_buffer_size;
        wire.become_stateful(Stateful::new(resumable, limit, Arc::clone(&outbox)));
    }

    let user_id = (context.0.hub.user_id)(&info);
    let caller = Caller(Arc::new(CallerState::new(info, user_id, outbox)));
    tracing::debug!(hub = context.name(), connection = %caller.public_id(), protocol = %request.protocol, "connected");

    let address = caller.info().remote_address;
    context.report(&caller, || {
        LifecycleKind::connected(context.name(), caller.user_id(), transport, request.protocol, address)
    });

    let pings = if transport == TransportKind::LongPolling { Pings::NotSent } else { Pings::Sent };
    Some(Box::new(Connection {
        keep_alive: KeepAlive::new(options, pings),
        calls: Calls::new(options.maximum_parallel_invocations_per_client),
        context,
        caller,
        wire,
        turns: Turns::default(),
        hold: None,
        inflow: Inflow::default(),
        full_upload: None,
        unread: true,
        invocations: 0,
    }))
}

/// Ready when an instance that stops does not wait for a handshake any longer.
async fn last_handshake(context: &HubContext) {
    context.0.stopping.cancelled().await;
    sleep(LAST_HANDSHAKE).await;
}

struct Connection {
    context: HubContext,
    caller: Caller,
    wire: Wire,
    keep_alive: KeepAlive,
    calls: Calls,
    /// What finds no free slot. While a call is among it, only cancellations are looked for in what comes.
    turns: Turns,
    /// While an invocation is held. What comes behind it is acted on, but for what has to wait for it.
    hold: Option<Box<Hold>>,
    inflow: Inflow,
    /// Ready when an upload can take its next item; until then nothing more is read.
    full_upload: Option<BoxFuture<'static, ()>>,
    /// Whether whole messages may be left in the input: they wait for the call in front of them, or have been passed
    /// over.
    unread: bool,
    /// How many the client has sent.
    invocations: u32,
}

impl Connection {
    /// Registers the connection and serves it until something ends it.
    async fn live(&mut self) -> CloseReason {
        if let Err(reason) = Box::pin(self.connect()).await {
            return reason;
        }
        self.keep_alive.start();
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Registers the connection and tells the hub.
    async fn connect(&mut self) -> Result<(), CloseReason> {
        let core = Arc::clone(&self.context.0);
        core.router.add(&self.caller);
        // After it was added: either this sees the flag, or the one who sets it sees the connection.
        if core.stopping.is_cancelled() {
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
        if let Err(error) =
            self.wire.sending_meanwhile(&self.caller.0.outbox, &core.counters, connected).await
        {
            tracing::error!(hub = self.context.name(), connection = %self.caller.public_id(), error = %format_args!("{error:#}"), "on_connected failed");
            return Err(CloseReason::OnConnectedFailed(Arc::new(error)));
        }
        Ok(())
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
        let (outbox, counters) = (&self.caller.0.outbox, &self.context.0.counters);
        if let Some(reason) = self.wire.poll_send(cx, outbox, counters).map_err(|end| self.ended(end))? {
            return Poll::Ready(Err(reason));
        }
        // The client may have made room just now by reading.
        if self.goes_on(cx) || self.poll_read(cx)?.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if self.wire.take_lost() {
            self.context.report_between(&self.caller, || LifecycleKind::TransportLost);
        }
        if let Poll::Ready(resumed) = self.wire.poll_resume(cx) {
            self.resumed(resumed?);
            return Poll::Ready(Ok(()));
        }
        if self.caller.0.outbox.is_draining() && self.is_at_rest() {
            return Poll::Ready(Err(CloseReason::ServerShutdown));
        }
        let reading = self.may_read() && self.hold.is_none();
        let state = State { progress: self.wire.progress(), reading, other: self.due() };
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
        let address = info.remote_address;
        self.caller.0.replace_info(info);
        self.context.report_between(&self.caller, || LifecycleKind::resumed(address));
        self.unread = self.wire.passed > 0;
        self.wire.repeat(self.caller.0.outbox.protocol);
    }

    /// Whether nothing runs or waits that the client expects an answer of, or is to answer.
    fn is_at_rest(&self) -> bool {
        self.calls.is_empty()
            && self.turns.is_empty()
            && self.hold.is_none()
            && self.full_upload.is_none()
            && !self.context.0.client_results.is_awaited(&self.caller.0.outbox)
    }

    /// When there is something to do besides keeping the connection alive.
    fn due(&self) -> Option<Instant> {
        let held = self.hold.as_ref().and_then(|hold| hold.until);
        let inflow = self.inflow.held_until(self.context.0.started);
        [self.wire.due(), held, inflow].into_iter().flatten().min()
    }

    fn ended(&self, end: PipeEnd) -> CloseReason {
        // Behind a call that waits there may be whole messages.
        if self.wire.input.is_empty() || self.wire.passed > 0 || self.turns.has_call() {
            CloseReason::TransportEnded(end)
        } else {
            CloseReason::Truncated(end)
        }
    }

    fn invoke(&mut self, cx: &mut Context<'_>, invocation: hubline_protocol::Invocation<'_>) {
        self.invocations = self.invocations.saturating_add(1);
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

    /// The end of an upload, or the result of an invocation of the client.
    fn completed(&mut self, completion: Completion<'_>) -> Result<(), CloseReason> {
        let Completion { invocation_id, result } = completion;
        if self.calls.ids.complete_upload(&invocation_id, &result) {
            return Ok(());
        }
        let outbox = &self.caller.0.outbox;
        match self.context.0.client_results.complete(&invocation_id, outbox, result) {
            CompletionFate::Expected | CompletionFate::Unknown => Ok(()),
            CompletionFate::OfAnotherConnection => Err(CloseReason::ForeignAnswer {
                connection: outbox.connection_id.clone(),
                invocation_id: invocation_id.into(),
            }),
        }
    }

    /// Starts what waits for a slot, as far as there are slots and the client is not held.
    fn begin_waiting(&mut self, cx: &mut Context<'_>) {
        while self.calls.has_slot()
            && !(self.turns.has_call() && self.update_hold(cx))
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
    async fn end(self: Box<Self>, reason: CloseReason) {
        let Self { context, caller, mut wire, calls, invocations, .. } = *self;
        let core = &context.0;
        wire.refuse_successors();
        let before = core.closed.count(reason.metric_label());
        let (hub, connection) = (context.name(), caller.public_id());
        tracing::debug!(hub, %connection, reason = %reason, "disconnected");
        let failed = caller.0.failed_calls.load(Ordering::Relaxed);
        context.report(&caller, || LifecycleKind::closed(reason.metric_label(), invocations, failed));
        if before == 0 && matches!(reason, CloseReason::SlowClient) {
            tracing::info!(
                hub,
                %connection,
                "A client was closed because it, or its network, did not take its messages as fast as they came. Further ones are \
                 counted, not logged"
            );
        }
        let mut frames = caller.0.outbox.end(&reason);
        core.counters.messages_sent(frames.len());
        caller.0.aborted().cancel();
        let is_shutdown = matches!(reason, CloseReason::ServerShutdown);
        if !calls.is_empty() {
            // Calls are never dropped half-way; nobody hears their end any more.
            core.tasks.spawn(finish(&context, calls, is_shutdown));
        }
        let unsent = if is_shutdown { frames.len() + wire.unsent() } else { 0 };
        core.left.begin_sending(unsent);
        let unanswered = core.client_results.connection_ended(&caller.0.outbox);
        if let Some(close) = reason.message(caller.0.outbox.protocol, core.options.detailed_errors) {
            frames.push_back(close);
        }
        let code = reason.close_code();
        let farewell = async move {
            // The last of them is the Close.
            let left = wire.send_last(frames).await.saturating_sub(1);
            core.left.sent(unsent.saturating_sub(left));
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
                tracing::error!(hub = context.name(), connection = %caller.public_id(), error = %format_args!("{error:#}"), "on_disconnected failed");
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

/// Lets calls run to their end, and counts them as left until then if their connection was closed because the instance stops.
fn finish(context: &HubContext, calls: Calls, is_counted: bool) -> impl Future<Output = ()> + use<> {
    let core = Arc::clone(&context.0);
    if is_counted {
        core.left.add_running(calls.calls(), calls.streams());
    }
    calls.finish(move || {
        if is_counted {
            core.left.call_ended();
        }
    })
}
