use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use hubline_protocol::{ConnectionId, UserId};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::LocalHub;
use crate::{ConnectionChange, ConnectionEvent, ConnectionObserver, HubDirectory, ObserverError};

/// Changes that may wait for the observers; more are dropped, with a warning.
const LIMIT_CHANGES: usize = 100_000;
const BATCH: usize = 128;
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(5);

/// The observers of a directory's hubs and the changes that they have yet to handle.
///
/// Changes of one connection that wait are one change, the last. At most 100,000 wait.
#[derive(Default)]
pub struct Notifier {
    has_observers: AtomicBool,
    observers: Mutex<HashMap<Arc<str>, Observers>>,
    queue: Mutex<Queue>,
    filled: Notify,
    /// Whether there are changes that have not been handled.
    is_busy: watch::Sender<bool>,
}

type Observers = Vec<Arc<dyn ConnectionObserver>>;
/// Hub, connection and user.
type Key = (Arc<str>, ConnectionId, Option<UserId>);

#[derive(Default)]
struct Queue {
    order: VecDeque<Key>,
    events: HashMap<Key, ConnectionEvent>,
    dropped: u64,
}

/// Changes of one hub that are handled together.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The hub.
    pub hub: Arc<str>,
    /// Its changes, oldest first.
    pub changes: Vec<ConnectionChange>,
}

impl Notifier {
    /// Adds an observer of a hub.
    pub fn observe(&self, hub: &str, observer: Arc<dyn ConnectionObserver>) {
        self.observers.lock().entry(hub.into()).or_default().push(observer);
        self.has_observers.store(true, Ordering::Release);
    }

    /// Whether a hub is observed.
    pub fn is_observed(&self, hub: &str) -> bool {
        self.has_observers.load(Ordering::Acquire) && self.observers.lock().contains_key(hub)
    }

    /// The names of the hubs that are observed, in no order.
    pub fn observed(&self) -> Vec<Arc<str>> {
        self.observers.lock().keys().cloned().collect()
    }

    /// The shortest period after which an observer of the hub wants its connections reported again.
    pub fn resync_period(&self, hub: &str) -> Option<Duration> {
        let observers = self.observers.lock();
        observers.get(hub)?.iter().filter_map(|observer| observer.resync_period()).min()
    }

    /// Adds a change, if the hub is observed.
    pub fn add(&self, hub: &str, change: ConnectionChange) {
        let Some(hub) = self.name_of_observed(hub) else { return };
        let mut queue = self.queue();
        let key = (hub, change.connection, change.user);
        if queue.events.len() >= LIMIT_CHANGES && !queue.events.contains_key(&key) {
            queue.dropped += 1;
            if queue.dropped == 1 {
                tracing::warn!(
                    limit = LIMIT_CHANGES,
                    "observers of the session directory are too slow, or fail: changes of connections are dropped. What they depend on needs attention"
                );
            }
            return;
        }
        if queue.events.insert(key.clone(), change.event).is_none() {
            queue.order.push_back(key);
        }
        self.is_busy.send_replace(true);
        drop(queue);
        self.filled.notify_one();
    }

    /// Reports connections of a hub that are here, from behind one of them, as connected. Returns the last of them;
    /// `None` if there are no more.
    pub fn add_connected(
        &self,
        name: &str,
        hub: &LocalHub,
        after: Option<&ConnectionId>,
        limit: usize,
    ) -> Option<ConnectionId> {
        let ids = hub.ids_after(after, limit);
        for id in &ids {
            if let Some(found) = hub.find(id) {
                let event = ConnectionEvent::Connected;
                self.add(name, ConnectionChange { connection: id.clone(), user: found.user, event });
            }
        }
        ids.last().cloned()
    }

    /// Takes the oldest changes, 128 at most, all of one hub; [`handled`](Self::handled) follows.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn next(&self) -> Batch {
        loop {
            if let Some(batch) = self.queue().take() {
                return batch;
            }
            self.filled.notified().await;
        }
    }

    /// Has the hub's observers handle the changes, and tries until each of them has.
    ///
    /// # Cancel safety
    /// Dropped early, some observers may have handled them.
    pub async fn deliver(&self, hub: &dyn HubDirectory, batch: &Batch) {
        let observers = self.observers.lock().get(&batch.hub).cloned().unwrap_or_default();
        for observer in observers {
            let mut delay = FIRST_DELAY;
            while let Err(error) = call(&*observer, hub, &batch.changes).await {
                if delay == FIRST_DELAY {
                    tracing::warn!(%error, hub = &*batch.hub, ?observer, "an observer of the session directory has failed and is called again");
                }
                sleep(delay).await;
                delay = (delay * 2).min(LAST_DELAY);
            }
        }
    }

    /// The last batch has been delivered.
    pub fn handled(&self) {
        let mut queue = self.queue();
        if queue.order.is_empty() {
            let dropped = std::mem::take(&mut queue.dropped);
            if dropped > 0 {
                tracing::warn!(
                    dropped,
                    "observers of the session directory have caught up; changes were dropped"
                );
            }
            self.is_busy.send_replace(false);
        }
    }

    /// Ready when all changes that were added have been handled.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn settled(&self) {
        // The sender is this.
        _ = self.is_busy.subscribe().wait_for(|is_busy| !is_busy).await;
    }

    fn name_of_observed(&self, hub: &str) -> Option<Arc<str>> {
        if !self.has_observers.load(Ordering::Acquire) {
            return None;
        }
        self.observers.lock().get_key_value(hub).map(|(name, _)| Arc::clone(name))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }
}

impl Queue {
    fn take(&mut self) -> Option<Batch> {
        let hub = Arc::clone(&self.order.front()?.0);
        let mut changes = Vec::new();
        while changes.len() < BATCH
            && let Some(key) = self.order.pop_front_if(|(of, ..)| *of == hub)
        {
            if let Some(event) = self.events.remove(&key) {
                let (_, connection, user) = key;
                changes.push(ConnectionChange { connection, user, event });
            }
        }
        Some(Batch { hub, changes })
    }
}

async fn call(
    observer: &dyn ConnectionObserver,
    hub: &dyn HubDirectory,
    changes: &[ConnectionChange],
) -> Result<(), ObserverError> {
    let called = AssertUnwindSafe(async { observer.changed(hub, changes).await });
    called.catch_unwind().await.unwrap_or_else(|_| Err("it panicked".into()))
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier").field("waiting", &self.queue().order.len()).finish_non_exhaustive()
    }
}
