//! What a call of a hub method has besides its future: a slot, uploads, and a way to cancel it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use crate::Caller;
use crate::upload::UploadSink;

/// What the parameters of a call asked for while they were bound.
#[derive(Default)]
pub(crate) struct CallParts {
    pub(crate) occasion: Occasion,
    /// Whether the client does not want to know how the call ends.
    pub(crate) nobody_waits: bool,
    pub(crate) cancellation: Option<CancellationToken>,
    /// In the order of the method's parameters.
    pub(crate) uploads: Vec<Box<dyn UploadSink>>,
    pub(crate) slot: Option<Arc<Slot>>,
}

/// On which occasion the hub's code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Occasion {
    /// An invocation that takes one of the client's slots.
    Call,
    /// An invocation that takes none, or the end of a connection.
    #[default]
    Free,
    /// `on_connected`: the client is not read yet, so it cannot answer. `on_authentication_refreshed` counts as
    /// such, as in ASP.NET Core.
    Connecting,
}

/// Whether code of the hub may invoke clients for results, and what has to be done first.
#[derive(Debug, Clone)]
pub(crate) enum InvokePermission {
    Allowed,
    Connecting,
    HoldingSlot(Arc<Slot>),
}

/// One of the places that `maximum_parallel_invocations_per_client` counts.
///
/// A call that waits for a client's result gives its place back first: the answer may be behind a call that
/// waits for the place.
#[derive(Debug)]
pub(crate) struct Slot {
    caller: Caller,
    given_back: AtomicBool,
}

impl Slot {
    pub(crate) fn give_back(&self) {
        if !self.given_back.swap(true, Ordering::AcqRel) {
            self.caller.0.slots_given_back.fetch_add(1, Ordering::AcqRel);
            self.caller.0.outbox.wake_connection();
        }
    }

    /// Ends with its call; false if it was given back before.
    pub(crate) fn end(&self) -> bool {
        !self.given_back.swap(true, Ordering::AcqRel)
    }
}

impl CallParts {
    pub(crate) fn on(occasion: Occasion) -> Self {
        Self { occasion, ..Self::default() }
    }

    pub(crate) fn add_upload(&mut self, sink: Box<dyn UploadSink>) {
        self.uploads.push(sink);
    }

    /// Cancelled with the connection at the latest.
    pub(crate) fn cancellation(&mut self, caller: &Caller) -> &CancellationToken {
        self.cancellation.get_or_insert_with(|| caller.0.aborted().child_token())
    }

    pub(crate) fn invoke_permission(&mut self, caller: &Caller) -> InvokePermission {
        match self.occasion {
            Occasion::Free => InvokePermission::Allowed,
            Occasion::Connecting => InvokePermission::Connecting,
            Occasion::Call => InvokePermission::HoldingSlot(Arc::clone(self.slot.get_or_insert_with(|| {
                Arc::new(Slot { caller: caller.clone(), given_back: AtomicBool::new(false) })
            }))),
        }
    }
}

impl std::fmt::Debug for CallParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { occasion, uploads, .. } = self;
        f.debug_struct("CallParts").field("occasion", occasion).field("uploads", &uploads.len()).finish()
    }
}
