//! The ids that a client's running calls hold: under which they can be cancelled, and those of their uploads.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use futures_util::future::BoxFuture;
use hubline_protocol::{CompletionResult, StreamItem};
use tokio_util::sync::CancellationToken;

use crate::HubError;
use crate::dispatcher::BoundCall;
use crate::upload::UploadSink;

/// The ids in use. Most connections have none.
#[derive(Default)]
pub(super) struct Ids(Option<Box<InUse>>);

#[derive(Default)]
struct InUse {
    /// Calls that hold ids, or held some and have not ended.
    calls: usize,
    /// Number of the next call.
    next: u64,
    cancellable: HashMap<Box<str>, CancellationToken>,
    uploads: HashMap<Box<str>, Upload>,
}

struct Upload {
    call: u64,
    sink: Box<dyn UploadSink>,
}

/// The ids of one call, for [`Ids::release`] when it ends.
pub(super) struct Held {
    call: u64,
    invocation_id: Option<Box<str>>,
    stream_ids: Vec<Box<str>>,
}

/// Why a call cannot have its ids.
pub(super) enum Refused {
    StreamId(HubError),
    InvocationId(Box<str>),
}

/// What became of an item of an upload.
pub(super) enum Pushed {
    /// It was taken, or nobody wants it.
    Done,
    /// It must wait until this is ready.
    Full(BoxFuture<'static, ()>),
}

impl Ids {
    /// Takes the ids of a call that begins: of its uploads, and its own if it can be cancelled. `None` if there are
    /// none.
    ///
    /// # Errors
    /// Another call has one of them; then this one holds nothing.
    pub(super) fn hold(&mut self, call: &mut BoundCall) -> Result<Option<Box<Held>>, Refused> {
        let cancellation = call.parts.cancellation.as_ref();
        let cancellable =
            cancellation.and_then(|token| call.reply.invocation_id.clone().zip(Some(token.clone())));
        if cancellable.is_none() && call.parts.uploads.is_empty() {
            return Ok(None);
        }
        let in_use = self.0.get_or_insert_default();
        let mut held = Box::new(Held { call: in_use.next, invocation_id: None, stream_ids: Vec::new() });
        in_use.next += 1;
        in_use.calls += 1;
        let taken = in_use.take(call, cancellable, &mut held);
        if let Err(refused) = taken {
            self.release(*held);
            return Err(refused);
        }
        Ok(Some(held))
    }

    /// Gives back the ids of a call that ended.
    pub(super) fn release(&mut self, held: Held) {
        let Some(in_use) = &mut self.0 else { return };
        let Held { call, invocation_id, stream_ids } = held;
        if let Some(id) = invocation_id {
            in_use.cancellable.remove(&id);
        }
        for id in stream_ids {
            // One whose upload was over may be another call's by now.
            if in_use.uploads.get(&id).is_some_and(|upload| upload.call == call) {
                in_use.uploads.remove(&id);
            }
        }
        in_use.calls -= 1;
        self.0.take_if(|in_use| in_use.calls == 0);
    }

    /// Cancels what the client does not want any more.
    pub(super) fn cancel(&self, invocation_id: &str) {
        if let Some(cancellation) = self.0.as_ref().and_then(|in_use| in_use.cancellable.get(invocation_id)) {
            cancellation.cancel();
        }
    }

    pub(super) fn has_upload(&self, id: &str) -> bool {
        self.0.as_ref().is_some_and(|in_use| in_use.uploads.contains_key(id))
    }

    pub(super) fn is_cancellable(&self, invocation_id: &str) -> bool {
        self.0.as_ref().is_some_and(|in_use| in_use.cancellable.contains_key(invocation_id))
    }

    /// Brings an item of an upload to its method.
    pub(super) fn push(&mut self, item: &StreamItem<'_>) -> Pushed {
        let Some(in_use) = &mut self.0 else { return Pushed::Done };
        let Some(upload) = in_use.uploads.get(&*item.invocation_id) else { return Pushed::Done };
        if upload.sink.is_full() {
            return Pushed::Full(upload.sink.room());
        }
        if upload.sink.push(item.item).is_err() {
            in_use.uploads.remove(&*item.invocation_id);
        }
        Pushed::Done
    }

    /// Ends an upload; false if there is none of that id.
    pub(super) fn complete_upload(&mut self, id: &str, result: &CompletionResult<'_>) -> bool {
        let Some(upload) = self.0.as_mut().and_then(|in_use| in_use.uploads.remove(id)) else {
            return false;
        };
        upload.sink.complete(match result {
            CompletionResult::Error(error) => Some(error.to_string()),
            CompletionResult::Void | CompletionResult::Value(_) => None,
        });
        true
    }
}

impl InUse {
    /// In the order in which ASP.NET Core looks at them. What was taken is in `held`, in case of an error too.
    fn take(
        &mut self,
        call: &mut BoundCall,
        cancellable: Option<(Box<str>, CancellationToken)>,
        held: &mut Held,
    ) -> Result<(), Refused> {
        let stream_ids = std::mem::take(&mut call.stream_ids);
        for (id, sink) in stream_ids.into_iter().zip(call.parts.uploads.drain(..)) {
            match self.uploads.entry(id) {
                Entry::Occupied(other) => {
                    let id = other.key();
                    return Err(Refused::StreamId(HubError::new(format!(
                        "Stream ID '{id}' is already in use."
                    ))));
                }
                Entry::Vacant(free) => {
                    held.stream_ids.push(free.key().clone());
                    free.insert(Upload { call: held.call, sink });
                }
            }
        }
        let Some((id, cancellation)) = cancellable else { return Ok(()) };
        match self.cancellable.entry(id) {
            Entry::Occupied(other) => Err(Refused::InvocationId(other.key().clone())),
            Entry::Vacant(free) => {
                held.invocation_id = Some(free.key().clone());
                free.insert(cancellation);
                Ok(())
            }
        }
    }
}
