//! What an observer is told of connections.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use hubline_pipe::{LifecycleEvent, LifecycleKind, LifecycleObserver};

use crate::{Caller, HubContext};

/// What a connection tells between its beginning and its end, at most.
const MOST_BETWEEN: u32 = 16;

/// A connection of this instance, as [`HubContext::connections_here`] lists it.
#[derive(Debug, Clone)]
pub struct LocalConnection {
    pub(crate) caller: Caller,
    pub(crate) since: SystemTime,
}

impl LocalConnection {
    /// The connection as hub methods know who calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// When its handshake was over, to the millisecond.
    pub fn since(&self) -> SystemTime {
        self.since
    }
}

impl HubContext {
    /// Tells the observer, if there is one, of a connection's beginning or end.
    pub(crate) fn report<'a>(&'a self, caller: &'a Caller, kind: impl FnOnce() -> LifecycleKind<'a>) {
        if let Some(observer) = &self.0.options.lifecycle_observer {
            observer.observe(&LifecycleEvent::new(&caller.public_id(), kind()));
        }
    }

    /// Tells the observer, if there is one, of what happens in between, as long as that is not too much.
    pub(crate) fn report_between<'a>(&'a self, caller: &'a Caller, kind: impl FnOnce() -> LifecycleKind<'a>) {
        if let Some(observer) = &self.0.options.lifecycle_observer {
            report_between(&**observer, caller, kind());
        }
    }
}

pub(crate) fn report_between(observer: &dyn LifecycleObserver, caller: &Caller, kind: LifecycleKind<'_>) {
    let told = &caller.0.events_between;
    if told.load(Ordering::Relaxed) < MOST_BETWEEN && told.fetch_add(1, Ordering::Relaxed) < MOST_BETWEEN {
        observer.observe(&LifecycleEvent::new(&caller.public_id(), kind));
    }
}
