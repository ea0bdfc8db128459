//! What Redis has yet to be told: of which connections, not what happened to them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hubline_protocol::ConnectionId;
use tokio::sync::{Notify, watch};

/// A hub, by the order of attaching, and a connection of it.
pub(super) type Key = (u32, ConnectionId);

/// Connections whose state has to be written, oldest first, each once. Bounded by the connections that are here and
/// those that Redis still has: one that ended before Redis was told of it is taken out again.
#[derive(Debug)]
pub(super) struct Pending {
    queue: Mutex<Queue>,
    /// Wakes the writer.
    pub(super) filled: Notify,
    /// Everything with a lower number has been written.
    written_below: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    by_number: BTreeMap<u64, Key>,
    numbers: HashMap<Key, Waiting>,
    /// The lowest number that is being written.
    in_flight: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    number: u64,
    renews: bool,
}

/// One of a batch.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) key: Key,
    /// Whether to write what other programs read even if nothing has changed.
    pub(super) renews: bool,
    /// Whether Redis learns of the connection by this.
    pub(super) is_first: bool,
    number: u64,
}

impl Pending {
    pub(super) fn new() -> Self {
        Self { queue: Mutex::default(), filled: Notify::new(), written_below: watch::Sender::new(0) }
    }

    /// Something about the connection has changed.
    pub(super) fn add(&self, key: Key) {
        self.put(key, None, false);
    }

    /// It is time to write it again.
    pub(super) fn renew(&self, key: Key) {
        self.put(key, None, true);
    }

    fn put(&self, key: Key, number: Option<u64>, renews: bool) {
        let mut queue = self.queue();
        if let Some(waiting) = queue.numbers.get_mut(&key) {
            waiting.renews |= renews;
            return;
        }
        let number = number.unwrap_or_else(|| {
            queue.next += 1;
            queue.next
        });
        queue.by_number.insert(number, key.clone());
        queue.numbers.insert(key, Waiting { number, renews });
        drop(queue);
        self.filled.notify_one();
    }

    /// There is nothing to write about it after all.
    pub(super) fn remove(&self, key: &Key) {
        let mut queue = self.queue();
        if let Some(waiting) = queue.numbers.remove(key) {
            queue.by_number.remove(&waiting.number);
        }
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.queue().numbers.contains_key(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue().by_number.is_empty()
    }

    /// Takes the oldest ones to be written; [`written`](Self::written) or [`put_back`](Self::put_back) follows.
    pub(super) fn take(&self, limit: usize) -> Vec<Due> {
        let mut queue = self.queue();
        let mut batch = Vec::new();
        while batch.len() < limit
            && let Some((number, key)) = queue.by_number.pop_first()
        {
            let renews = queue.numbers.remove(&key).is_some_and(|waiting| waiting.renews);
            batch.push(Due { key, renews, is_first: false, number });
        }
        queue.in_flight = batch.first().map(|due| due.number);
        batch
    }

    pub(super) fn put_back(&self, batch: Vec<Due>) {
        for Due { key, renews, number, .. } in batch {
            self.put(key, Some(number), renews);
        }
        self.queue().in_flight = None;
    }

    pub(super) fn written(&self) {
        let mut queue = self.queue();
        queue.in_flight = None;
        let below = queue.by_number.first_key_value().map_or(queue.next + 1, |(number, _)| *number);
        drop(queue);
        self.written_below.send_replace(below);
    }

    /// Ready when all that is pending now has been written.
    pub(super) async fn settled(&self) {
        let last = {
            let queue = self.queue();
            if queue.by_number.is_empty() && queue.in_flight.is_none() {
                return;
            }
            queue.next
        };
        // The sender is this.
        let _ = self.written_below.subscribe().wait_for(|below| *below > last).await;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn key(id: &str) -> Key {
        (0, id.into())
    }

    #[test]
    fn each_is_there_once_and_in_order() {
        let pending = Pending::new();
        for id in ["b", "a", "b", "c"] {
            pending.add(key(id));
        }
        pending.remove(&key("c"));
        let batch = pending.take(1);
        assert_eq!(batch[0].key, key("b"));
        pending.add(key("b"));
        pending.put_back(batch);
        let ids: Vec<Key> = pending.take(9).into_iter().map(|due| due.key).collect();
        assert_eq!(ids, [key("a"), key("b")]);
        pending.written();
        assert!(pending.is_empty());
    }

    #[test]
    fn settled_waits_for_what_was_there() {
        let pending = Pending::new();
        assert!(pending.settled().now_or_never().is_some());
        pending.add(key("a"));
        let mut settled = Box::pin(pending.settled());
        assert!(settled.as_mut().now_or_never().is_none());
        let batch = pending.take(9);
        pending.add(key("b"));
        assert!(settled.as_mut().now_or_never().is_none());
        drop(batch);
        pending.written();
        assert!(settled.now_or_never().is_some());
        assert!(pending.settled().now_or_never().is_none(), "b is pending");
    }

    #[test]
    fn what_changed_while_it_was_written_is_written_again() {
        let pending = Pending::new();
        pending.add(key("a"));
        let batch = pending.take(9);
        pending.add(key("a"));
        let mut settled = Box::pin(pending.settled());
        drop(batch);
        pending.written();
        assert!(settled.as_mut().now_or_never().is_none());
        assert_eq!(pending.take(9).len(), 1);
        pending.written();
        assert!(settled.now_or_never().is_some());
    }
}
