//! Who is sent more than it reads, and who sent it.
//!
//! A member of a room that sends faster than the others read is to be slowed down, instead of the others being cut off.
//! So a connection whose outbox is more than half full is listed here. While the list is not empty, sends note whom they
//! are for, and the next invocation of a client waits as long as somebody on the list is among those it has sent to
//! (`connection::hold`). An ordinary send finds the list empty, which costs it one read of a number.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;
use std::time::Duration;

use hubline_backplane::Target;
use hubline_protocol::ConnectionId;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::outbox::Outbox;

/// A client reads if it takes this part of its outbox within the time it is given. One that takes its bytes one by one
/// is to hold nobody up.
const LEAST_PART: usize = 64;

/// Targets of one client that are remembered, the newest.
const LIMIT_TARGETS: usize = 16;

/// How a connection reads that has more to read than its transport takes.
#[derive(Debug)]
pub(crate) struct Congestion {
    /// When it had taken as much as a client that reads does.
    progressed: Instant,
    /// Bytes it has taken since.
    taken: usize,
    /// Whether [`Congested`] has it.
    pub(crate) is_listed: bool,
}

impl Congestion {
    pub(crate) fn begin() -> Self {
        Self { progressed: Instant::now(), taken: 0, is_listed: false }
    }

    /// The client has taken so much of an outbox with this limit.
    pub(crate) fn read(&mut self, bytes: usize, limit_bytes: usize) {
        self.taken += bytes;
        if bytes > 0 && self.taken >= limit_bytes / LEAST_PART {
            self.read_all();
        }
    }

    /// The client has taken everything it was given.
    pub(crate) fn read_all(&mut self) {
        (self.progressed, self.taken) = (Instant::now(), 0);
    }

    /// When the client counts as one that does not read.
    pub(crate) fn stalled_from(&self, patience: Duration) -> Instant {
        self.progressed + patience
    }
}

/// Whom a client has sent to since its last invocation began, as far as it matters.
#[derive(Debug, Default)]
pub(crate) struct SentTo(Vec<(Target, Arc<[ConnectionId]>)>);

impl SentTo {
    pub(crate) fn add(&mut self, target: &Target, excluded: &Arc<[ConnectionId]>) {
        if self.0.iter().any(|(known, but)| known == target && but == excluded) {
            return;
        }
        if self.0.len() == LIMIT_TARGETS {
            self.0.remove(0);
        }
        self.0.push((target.clone(), Arc::clone(excluded)));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Target, Arc<[ConnectionId]>)> {
        self.0.iter()
    }
}

/// A hub's connections on this instance whose outboxes are more than half full, or were when somebody last looked.
#[derive(Debug, Default)]
pub(crate) struct Congested {
    /// As many as there are, so that there being none can be seen without the lock.
    count: AtomicUsize,
    outboxes: Mutex<HashMap<ConnectionId, Arc<Outbox>>>,
}

impl Congested {
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn add(&self, outboxes: Vec<Arc<Outbox>>) {
        if !outboxes.is_empty() {
            let mut listed = self.lock();
            listed.extend(outboxes.into_iter().map(|outbox| (outbox.connection_id.clone(), outbox)));
            self.count.store(listed.len(), Ordering::Relaxed);
        }
    }

    pub(crate) fn remove(&self, id: &ConnectionId) {
        if !self.is_empty() {
            let mut listed = self.lock();
            listed.remove(id);
            self.count.store(listed.len(), Ordering::Relaxed);
        }
    }

    /// Until when a client is to wait that has sent to the connections that `concerns` tells, and is woken earlier if
    /// one of them has room. `None` if it need not wait.
    pub(crate) fn hold(
        &self,
        cx: &Context<'_>,
        patience: Duration,
        concerns: impl Fn(&ConnectionId) -> bool,
    ) -> Option<Instant> {
        let mut listed = self.lock();
        let mut until = None;
        listed.retain(|id, outbox| {
            if until.is_some() || !concerns(id) {
                return true;
            }
            until = outbox.holds_until(cx, patience);
            until.is_some()
        });
        self.count.store(listed.len(), Ordering::Relaxed);
        until
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Outbox>>> {
        self.outboxes.lock()
    }
}
