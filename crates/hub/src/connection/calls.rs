//! What a client's invocations have running: calls, streams in both directions, and the slots they take.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, ready};
use hubline_protocol::{CompletionResult, Encoded, StreamItem};
use tokio_util::sync::CancellationToken;

use super::streaming;
use crate::Caller;
use crate::dispatcher::{self, BoundCall};
use crate::invocation::Slot;
use crate::upload::UploadSink;

/// Calls of one client that may run at once beyond its slots: streams, uploads, and calls that wait for a
/// client's result. ASP.NET Core has no bound; what is over this one is refused.
const LIMIT_RUNNING: usize = 1024;

/// The running calls of a connection.
pub(super) struct Calls {
    running: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// Whether some of them do not know yet whom to wake.
    has_new: bool,
    slots: usize,
    slots_taken: usize,
    /// Of calls with streams or a way to cancel them; most connections have none.
    tracked: Option<Box<Tracked>>,
}

/// The end of a call.
struct Ended {
    /// For the caller, if it wants to know.
    completion: Option<Encoded>,
    slot: SlotUse,
    tracked: Option<u64>,
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

#[derive(Default)]
struct Tracked {
    next: u64,
    calls: HashMap<u64, TrackedCall>,
    /// Streams to the client, by their invocation.
    streams: HashMap<Box<str>, u64>,
    uploads: HashMap<Box<str>, TrackedUpload>,
}

struct TrackedCall {
    invocation_id: Option<Box<str>>,
    cancellation: Option<CancellationToken>,
    stream_ids: Vec<Box<str>>,
    /// Uploads whose ids were used again. As in ASP.NET Core they just get nothing more.
    replaced: Vec<Box<dyn UploadSink>>,
}

struct TrackedUpload {
    call: u64,
    sink: Box<dyn UploadSink>,
}

/// What became of an item of an upload.
pub(super) enum Pushed {
    /// It was taken, or nobody wants it.
    Done,
    /// It must wait until this is ready.
    Full(BoxFuture<'static, ()>),
}

impl Calls {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            running: FuturesUnordered::new(),
            has_new: false,
            slots: slots.max(1),
            slots_taken: 0,
            tracked: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether [`Calls::poll_ended`] has to be called before the connection can wait.
    pub(super) fn has_new(&self) -> bool {
        self.has_new
    }

    pub(super) fn has_slot_for(&self, call: &BoundCall) -> bool {
        !call.takes_slot() || self.slots_taken < self.slots
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

    fn begin_call(&mut self, cx: &mut Context<'_>, call: BoundCall) -> Result<Begun, Option<Encoded>> {
        let (mut call, tracked) = self.track(call)?;
        let slot = match (call.takes_slot(), call.parts.slot.take()) {
            (false, _) => SlotUse::None,
            (true, None) => SlotUse::Held,
            (true, Some(slot)) => SlotUse::Shared(slot),
        };
        self.slots_taken += usize::from(!matches!(slot, SlotUse::None));
        let (reply, mut future) = call.into_future();
        if let Poll::Ready(outcome) = dispatcher::poll_caught(cx, &mut future) {
            return Ok(Begun::Ended(self.ended(Ended { completion: reply.outcome(outcome), slot, tracked })));
        }
        self.has_new = true;
        self.running.push(
            async move {
                let outcome = dispatcher::caught(future).await;
                Ended { completion: reply.outcome(outcome), slot, tracked }
            }
            .boxed(),
        );
        Ok(Begun::Running)
    }

    /// Runs a callback beside the client's calls.
    pub(super) fn run(&mut self, callback: impl Future<Output = ()> + Send + 'static) {
        self.has_new = true;
        let ended = || Ended { completion: None, slot: SlotUse::None, tracked: None };
        self.running.push(callback.map(move |()| ended()).boxed());
    }

    fn begin_stream(&mut self, mut call: BoundCall) -> Result<(), Option<Encoded>> {
        let drops = call.is_dropped_when_cancelled();
        let caller = call.reply.caller().clone();
        let cancellation = call.parts.cancellation(&caller).clone();
        let (call, tracked) = self.track(call)?;
        let (reply, future) = call.into_future();
        let completion = streaming::run(reply, future, cancellation, drops);
        self.has_new = true;
        self.running.push(
            completion.map(move |completion| Ended { completion, slot: SlotUse::None, tracked }).boxed(),
        );
        Ok(())
    }

    /// Makes a call's uploads and its cancellation known.
    fn track(&mut self, mut call: BoundCall) -> Result<(BoundCall, Option<u64>), Option<Encoded>> {
        if call.parts.uploads.is_empty() && call.parts.cancellation.is_none() {
            return Ok((call, None));
        }
        let tracked = self.tracked.get_or_insert_default();
        let number = tracked.next;
        if call.streaming
            && let Some(id) = &call.reply.invocation_id
        {
            match tracked.streams.entry(id.clone()) {
                Entry::Occupied(_) => {
                    return Err(call.reply.error(&format!("Invocation ID '{id}' is already in use.")));
                }
                Entry::Vacant(free) => _ = free.insert(number),
            }
        }
        tracked.next += 1;
        let stream_ids = std::mem::take(&mut call.stream_ids);
        for (id, sink) in stream_ids.iter().zip(call.parts.uploads.drain(..)) {
            let older = tracked.uploads.insert(id.clone(), TrackedUpload { call: number, sink });
            if let Some(TrackedUpload { call, sink }) = older
                && let Some(call) = tracked.calls.get_mut(&call)
            {
                call.replaced.push(sink);
            }
        }
        let invocation_id = call.reply.invocation_id.clone();
        let cancellation = call.parts.cancellation.clone();
        let replaced = Vec::new();
        tracked.calls.insert(number, TrackedCall { invocation_id, cancellation, stream_ids, replaced });
        Ok((call, Some(number)))
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
        match ended.slot {
            SlotUse::None => {}
            SlotUse::Held => self.slots_taken -= 1,
            SlotUse::Shared(slot) => self.slots_taken -= usize::from(slot.end()),
        }
        if let Some(number) = ended.tracked {
            self.forget(number);
        }
        ended.completion
    }

    fn forget(&mut self, number: u64) {
        let Some(tracked) = &mut self.tracked else { return };
        let Some(call) = tracked.calls.remove(&number) else { return };
        if let Some(id) = call.invocation_id
            && tracked.streams.get(&id) == Some(&number)
        {
            tracked.streams.remove(&id);
        }
        for id in call.stream_ids {
            if tracked.uploads.get(&id).is_some_and(|upload| upload.call == number) {
                tracked.uploads.remove(&id);
            }
        }
        if tracked.calls.is_empty() {
            self.tracked = None;
        }
    }

    /// Brings an item of an upload to its method.
    pub(super) fn push(&mut self, item: &StreamItem<'_>) -> Pushed {
        let Some(tracked) = &mut self.tracked else { return Pushed::Done };
        let Some(upload) = tracked.uploads.get(&*item.invocation_id) else { return Pushed::Done };
        if upload.sink.is_full() {
            return Pushed::Full(upload.sink.room());
        }
        if upload.sink.push(item.item).is_err() {
            tracked.uploads.remove(&*item.invocation_id);
        }
        Pushed::Done
    }

    /// Ends an upload; false if there is none of that id.
    pub(super) fn complete_upload(&mut self, id: &str, result: &CompletionResult<'_>) -> bool {
        let Some(upload) = self.tracked.as_mut().and_then(|tracked| tracked.uploads.remove(id)) else {
            return false;
        };
        upload.sink.complete(match result {
            CompletionResult::Error(error) => Some(error.to_string()),
            CompletionResult::Void | CompletionResult::Value(_) => None,
        });
        true
    }

    /// Cancels what the client does not want any more: a stream, else every call of that id.
    pub(super) fn cancel(&mut self, invocation_id: &str) {
        let Some(tracked) = &mut self.tracked else { return };
        let cancel = |call: &TrackedCall| {
            if let Some(cancellation) = &call.cancellation {
                cancellation.cancel();
            }
        };
        if let Some(call) = tracked.streams.get(invocation_id).and_then(|number| tracked.calls.get(number)) {
            return cancel(call);
        }
        let wanted = |call: &&TrackedCall| call.invocation_id.as_deref() == Some(invocation_id);
        tracked.calls.values().filter(wanted).for_each(cancel);
    }

    /// Lets the calls run to their end; nobody hears it any more. Uploads end at once.
    pub(super) fn finish(self) -> impl Future<Output = ()> {
        let Self { running, .. } = self;
        running.for_each(|_| std::future::ready(()))
    }
}
