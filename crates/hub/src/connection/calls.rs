//! What a client's invocations have running: calls, streams in both directions, and the slots they take.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, ready};
use hubline_protocol::Encoded;

use super::ids::{Held, Ids, Refused};
use super::streaming;
use crate::dispatcher::BoundCall;
use crate::invocation::Slot;
use crate::{Caller, Cancelled};

/// Calls of one client that may run at once beyond its slots: streams, uploads, and calls that wait for a
/// client's result. ASP.NET Core has no bound; what is over this one is refused.
const LIMIT_RUNNING: usize = 1024;

/// The running calls of a connection.
pub(super) struct Calls {
    running: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// Whether some of them do not know yet whom to wake.
    has_new: bool,
    /// How many of them are streams for the client.
    streams: u32,
    slots: usize,
    slots_taken: usize,
    pub(super) ids: Ids,
}

/// The end of a call.
struct Ended {
    /// For the caller, if it wants to know.
    completion: Option<Encoded>,
    slot: SlotUse,
    ids: Option<Box<Held>>,
    is_stream: bool,
}

/// What became of a call that was started.
pub(super) enum Begun {
    Running,
    /// It is over already; with the completion for the caller, if it wants to know.
    Ended(Option<Encoded>),
}

/// What a call did with its slot.
enum SlotUse {
    None,
    Held,
    /// It may have given it back early.
    Shared(Arc<Slot>),
}

impl Calls {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            running: FuturesUnordered::new(),
            has_new: false,
            streams: 0,
            slots: slots.max(1),
            slots_taken: 0,
            ids: Ids::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether [`Calls::poll_ended`] has to be called before the connection can wait.
    pub(super) fn has_new(&self) -> bool {
        self.has_new
    }

    pub(super) fn has_slot(&self) -> bool {
        self.slots_taken < self.slots
    }

    /// Takes back the slots that calls gave back while they wait for a client's result.
    pub(super) fn take_back_slots(&mut self, caller: &Caller) {
        if caller.0.slots_given_back.load(Ordering::Relaxed) > 0 {
            self.slots_taken -= caller.0.slots_given_back.swap(0, Ordering::AcqRel);
        }
    }

    /// Starts a call whose turn has come. Most calls are over with it and never become one of those that run.
    pub(super) fn begin(&mut self, cx: &mut Context<'_>, call: BoundCall) -> Begun {
        let refused = call.admit().err().or_else(|| {
            (self.running.len() >= LIMIT_RUNNING + self.slots).then(|| {
                call.reply.error(&format!(
                    "The client has {LIMIT_RUNNING} streams or calls running, which is as many as it may have."
                ))
            })
        });
        let begun = match refused {
            Some(completion) => return Begun::Ended(completion),
            None if call.streaming => self.begin_stream(call).map(|()| Begun::Running),
            None => self.begin_call(cx, call),
        };
        begun.unwrap_or_else(Begun::Ended)
    }

    fn begin_call(&mut self, cx: &mut Context<'_>, mut call: BoundCall) -> Result<Begun, Option<Encoded>> {
        if call.is_cancelled() {
            return Err(call.reply.failed(Cancelled.into()));
        }
        let ids = self.hold_ids(&mut call)?;
        let slot = match (call.takes_slot(), call.parts.slot.take()) {
            (false, _) => SlotUse::None,
            (true, None) => SlotUse::Held,
            (true, Some(slot)) => SlotUse::Shared(slot),
        };
        self.slots_taken += usize::from(!matches!(slot, SlotUse::None));
        let (reply, mut future) = call.into_future();
        if let Poll::Ready(outcome) = reply.poll(cx, &mut future) {
            return Ok(Begun::Ended(self.ended(Ended::of_call(reply.outcome(outcome), slot, ids))));
        }
        self.has_new = true;
        self.running.push(
            async move {
                let outcome = reply.run(future).await;
                Ended::of_call(reply.outcome(outcome), slot, ids)
            }
            .boxed(),
        );
        Ok(Begun::Running)
    }

    /// Runs a callback in a slot, as a call that nobody waits for.
    pub(super) fn begin_callback(&mut self, cx: &mut Context<'_>, mut callback: BoxFuture<'static, ()>) {
        if callback.as_mut().poll(cx).is_ready() {
            return;
        }
        self.slots_taken += 1;
        self.has_new = true;
        let ended = || Ended::of_call(None, SlotUse::Held, None);
        self.running.push(callback.map(move |()| ended()).boxed());
    }

    fn begin_stream(&mut self, mut call: BoundCall) -> Result<(), Option<Encoded>> {
        let drops = call.is_dropped_when_cancelled();
        let caller = call.reply.caller().clone();
        let cancellation = call.parts.cancellation(&caller).clone();
        let ids = self.hold_ids(&mut call)?;
        let (reply, future) = call.into_future();
        let completion = streaming::run(reply, future, cancellation, drops);
        self.has_new = true;
        self.streams += 1;
        let ended = move |completion| Ended { completion, slot: SlotUse::None, ids, is_stream: true };
        self.running.push(completion.map(ended).boxed());
        Ok(())
    }

    /// Makes a call's uploads and its cancellation known.
    fn hold_ids(&mut self, call: &mut BoundCall) -> Result<Option<Box<Held>>, Option<Encoded>> {
        self.ids.hold(call).map_err(|refused| match refused {
            Refused::StreamId(error) => call.reply.failed(error),
            Refused::InvocationId(id) => {
                call.reply.error(&format!("Invocation ID '{id}' is already in use."))
            }
        })
    }

    /// The next call that ends.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Option<Encoded>> {
        // An empty set would only note the waker, at the price of a cache miss in every delivery.
        if self.running.is_empty() {
            return Poll::Pending;
        }
        self.has_new = false;
        let Some(ended) = ready!(self.running.poll_next_unpin(cx)) else { return Poll::Pending };
        Poll::Ready(self.ended(ended))
    }

    fn ended(&mut self, ended: Ended) -> Option<Encoded> {
        self.streams -= u32::from(ended.is_stream);
        match ended.slot {
            SlotUse::None => {}
            SlotUse::Held => self.slots_taken -= 1,
            SlotUse::Shared(slot) => self.slots_taken -= usize::from(slot.end()),
        }
        if let Some(ids) = ended.ids {
            self.ids.release(*ids);
        }
        ended.completion
    }

    /// How many streams for the client run.
    pub(super) fn streams(&self) -> usize {
        self.streams as usize
    }

    /// How many calls run besides.
    pub(super) fn calls(&self) -> usize {
        self.running.len() - self.streams()
    }

    /// Lets the calls run to their end, and tells the end of each; nobody else hears it any more. Uploads end at once.
    pub(super) fn finish(self, mut call_ended: impl FnMut()) -> impl Future<Output = ()> {
        let Self { running, .. } = self;
        running.for_each(move |ended| {
            if !ended.is_stream {
                call_ended();
            }
            std::future::ready(())
        })
    }
}

impl Ended {
    fn of_call(completion: Option<Encoded>, slot: SlotUse, ids: Option<Box<Held>>) -> Self {
        Self { completion, slot, ids, is_stream: false }
    }
}
