//! What Redis has yet to be told: of which connections and of which of their groups, not what happened to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use hubline_protocol::{ConnectionId, GroupName};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};

/// Changed groups that are named one by one although the connection has fewer. Above that all groups that it has are
/// less to write.
const SPARE: usize = 256;

/// A hub, by the order of attaching, and a connection of it.
pub(super) type Key = (u32, ConnectionId);

/// Connections whose state has to be written, oldest first, each once. Bounded by the connections and memberships that
/// are here and those that Redis still has: a connection that ended before Redis was told of it is taken out again.
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
    waiting: HashMap<Key, Waiting>,
    /// The lowest number that is being written.
    in_flight: Option<u64>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    is_reported: bool,
    groups: Groups,
}

/// What Redis does not know of a connection's groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Groups {
    /// Those that were joined or left, however often.
    pub(super) changed: BTreeSet<GroupName>,
    /// Where in the order of their names those begin of which nothing is known; `None`: nowhere.
    pub(super) rest: Option<Bound<GroupName>>,
}

/// One of a batch.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) key: Key,
    /// Whether observers are told that it is there, when it is written.
    pub(super) is_reported: bool,
    /// Whether Redis learns of the connection by this.
    pub(super) is_first: bool,
    pub(super) groups: Groups,
    /// Where the groups begin that this batch has no room for.
    pub(super) next: Option<Bound<GroupName>>,
    number: u64,
}

impl Groups {
    const NONE: Self = Self { changed: BTreeSet::new(), rest: None };
    const ALL: Self = Self { changed: BTreeSet::new(), rest: Some(Bound::Unbounded) };

    fn change(&mut self, group: GroupName, groups_now: usize) {
        if self.rest == Some(Bound::Unbounded) {
            return;
        }
        self.changed.insert(group);
        if self.changed.len() > groups_now + SPARE {
            *self = Self::ALL;
        }
    }

    fn merge(&mut self, other: Self) {
        self.changed.extend(other.changed);
        self.rest = match (self.rest.take(), other.rest) {
            (Some(one), Some(other)) => Some(first_of(one, other)),
            (one, other) => one.or(other),
        };
        if self.rest == Some(Bound::Unbounded) {
            *self = Self::ALL;
        }
    }

    /// Takes out as many changes as there is room for, and all else.
    fn take(&mut self, room: usize) -> Self {
        let kept = match self.changed.iter().nth(room).cloned() {
            Some(first) => self.changed.split_off(&first),
            None => BTreeSet::new(),
        };
        std::mem::replace(self, Self { changed: kept, rest: None })
    }
}

fn first_of(one: Bound<GroupName>, other: Bound<GroupName>) -> Bound<GroupName> {
    match (one, other) {
        (Bound::Excluded(one), Bound::Excluded(other)) => Bound::Excluded(one.min(other)),
        // From the beginning on.
        _ => Bound::Unbounded,
    }
}

impl Pending {
    pub(super) fn new() -> Self {
        Self { queue: Mutex::default(), filled: Notify::new(), written_below: watch::Sender::new(0) }
    }

    /// A connection has begun, or Redis has lost it: all of it is to be written.
    pub(super) fn add(&self, key: Key) {
        self.put(key, None, true, |groups| *groups = Groups::ALL);
    }

    /// It has ended.
    pub(super) fn end(&self, key: Key) {
        self.put(key, None, false, |groups| *groups = Groups::NONE);
    }

    /// It has joined or left a group, and is in so many now.
    pub(super) fn change(&self, key: Key, group: GroupName, groups_now: usize) {
        self.put(key, None, false, |groups| groups.change(group, groups_now));
    }

    fn put(&self, key: Key, number: Option<u64>, is_reported: bool, change: impl FnOnce(&mut Groups)) {
        let mut queue = self.queue();
        let Queue { next, by_number, waiting, .. } = &mut *queue;
        if let Some(waiting) = waiting.get_mut(&key) {
            waiting.is_reported |= is_reported;
            change(&mut waiting.groups);
            if let Some(number) = number.filter(|number| *number < waiting.number) {
                by_number.remove(&waiting.number);
                by_number.insert(number, key);
                waiting.number = number;
            }
            return;
        }
        let number = number.unwrap_or_else(|| {
            *next += 1;
            *next
        });
        let mut groups = Groups::NONE;
        change(&mut groups);
        by_number.insert(number, key.clone());
        waiting.insert(key, Waiting { number, is_reported, groups });
        drop(queue);
        self.filled.notify_one();
    }

    /// There is nothing to write about it after all.
    pub(super) fn remove(&self, key: &Key) {
        let mut queue = self.queue();
        if let Some(waiting) = queue.waiting.remove(key) {
            queue.by_number.remove(&waiting.number);
        }
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.queue().waiting.contains_key(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue().by_number.is_empty()
    }

    /// Takes the oldest one to be written, with as many changed groups as there is room for;
    /// [`written`](Self::written) or [`put_back`](Self::put_back) follows.
    pub(super) fn take(&self, room: usize) -> Option<Due> {
        let mut queue = self.queue();
        let Queue { by_number, waiting, in_flight, .. } = &mut *queue;
        let (number, key) = by_number.pop_first()?;
        in_flight.get_or_insert(number);
        let mut entry = waiting.remove(&key)?;
        let (groups, is_reported) = (entry.groups.take(room), entry.is_reported);
        if !entry.groups.changed.is_empty() {
            entry.is_reported = false;
            by_number.insert(number, key.clone());
            waiting.insert(key.clone(), entry);
        }
        Some(Due { key, is_reported, is_first: false, groups, next: None, number })
    }

    /// These have not been written.
    pub(super) fn put_back(&self, batch: Vec<Due>) {
        self.return_to_queue(batch);
        self.queue().in_flight = None;
    }

    /// The first `count` of these have been, as far as there was room for them.
    pub(super) fn written(&self, mut batch: Vec<Due>, count: usize) {
        self.return_to_queue(batch.split_off(count.min(batch.len())));
        for Due { key, number, next, .. } in batch.into_iter().filter(|due| due.next.is_some()) {
            let rest = Groups { changed: BTreeSet::new(), rest: next };
            self.put(key, Some(number), false, |waiting| waiting.merge(rest));
        }
        let mut queue = self.queue();
        queue.in_flight = None;
        let below = queue.by_number.first_key_value().map_or(queue.next + 1, |(number, _)| *number);
        drop(queue);
        self.written_below.send_replace(below);
    }

    fn return_to_queue(&self, batch: Vec<Due>) {
        for Due { key, is_reported, groups, number, .. } in batch {
            self.put(key, Some(number), is_reported, |waiting| waiting.merge(groups));
        }
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
        self.queue.lock()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn key(id: &str) -> Key {
        (0, id.into())
    }

    fn take_all(pending: &Pending) -> Vec<Due> {
        std::iter::from_fn(|| pending.take(usize::MAX)).collect()
    }

    fn names(names: &[&str]) -> BTreeSet<GroupName> {
        names.iter().map(|name| GroupName::from(*name)).collect()
    }

    #[test]
    fn each_is_there_once_and_in_order() {
        let pending = Pending::new();
        for id in ["b", "a", "b", "c"] {
            pending.add(key(id));
        }
        pending.remove(&key("c"));
        let first = pending.take(1).unwrap();
        assert_eq!(first.key, key("b"));
        pending.add(key("b"));
        pending.put_back(vec![first]);
        let ids: Vec<Key> = take_all(&pending).into_iter().map(|due| due.key).collect();
        assert_eq!(ids, [key("b"), key("a")]);
        pending.written(Vec::new(), 0);
        assert!(pending.is_empty());
    }

    #[test]
    fn settled_waits_for_what_was_there() {
        let pending = Pending::new();
        assert!(pending.settled().now_or_never().is_some());
        pending.add(key("a"));
        let mut settled = Box::pin(pending.settled());
        assert!(settled.as_mut().now_or_never().is_none());
        let batch = take_all(&pending);
        pending.add(key("b"));
        assert!(settled.as_mut().now_or_never().is_none());
        pending.written(batch, 9);
        assert!(settled.now_or_never().is_some());
        assert!(pending.settled().now_or_never().is_none(), "b is pending");
    }

    #[test]
    fn what_changed_while_it_was_written_is_written_again() {
        let pending = Pending::new();
        pending.add(key("a"));
        let batch = take_all(&pending);
        pending.change(key("a"), "g".into(), 1);
        let mut settled = Box::pin(pending.settled());
        pending.written(batch, 9);
        assert!(settled.as_mut().now_or_never().is_none());
        let batch = take_all(&pending);
        assert_eq!(batch.len(), 1);
        assert_eq!(batch[0].groups, Groups { changed: names(&["g"]), rest: None });
        pending.written(batch, 9);
        assert!(settled.now_or_never().is_some());
    }

    #[test]
    fn changed_groups_are_known_by_name_until_all_groups_are_less() {
        let pending = Pending::new();
        for round in 0..3 {
            for n in 0..SPARE {
                pending.change(key("a"), format!("g{n}").into(), round);
            }
        }
        let few = take_all(&pending).remove(0);
        assert_eq!((few.groups.changed.len(), &few.groups.rest), (SPARE, &None), "each counts once");
        pending.put_back(vec![few]);
        // A client that joins and leaves, always another group, while Redis is away.
        for n in 0..100_000 {
            pending.change(key("a"), format!("h{n}").into(), n % 2);
        }
        assert_eq!(take_all(&pending).remove(0).groups, Groups::ALL);
        for n in 0..1000 {
            pending.change(key("b"), format!("g{n}").into(), n);
        }
        assert_eq!(take_all(&pending).remove(0).groups.changed.len(), 1000);
    }

    #[test]
    fn a_batch_takes_what_there_is_room_for_and_nothing_is_forgotten() {
        let pending = Pending::new();
        for group in ["a", "b", "c"] {
            pending.change(key("x"), group.into(), 3);
        }
        let mut settled = Box::pin(pending.settled());
        let first = pending.take(2).unwrap();
        assert_eq!(first.groups.changed, names(&["a", "b"]));
        pending.written(vec![first], 1);
        assert!(settled.as_mut().now_or_never().is_none(), "c has not been written");
        let second = pending.take(2).unwrap();
        assert_eq!(second.groups.changed, names(&["c"]));
        pending.put_back(vec![second]);
        pending.written(take_all(&pending), 1);
        assert!(settled.now_or_never().is_some());
    }

    #[test]
    fn what_a_batch_has_no_room_for_goes_on_behind_it() {
        let pending = Pending::new();
        pending.add(key("x"));
        let mut first = pending.take(9).unwrap();
        assert_eq!(first.groups, Groups::ALL);
        // Written up to m; meanwhile a group has changed in front of that.
        first.next = Some(Bound::Excluded("m".into()));
        pending.change(key("x"), "c".into(), 9);
        pending.written(vec![first], 1);
        let second = pending.take(9).unwrap();
        let expected = Groups { changed: names(&["c"]), rest: Some(Bound::Excluded("m".into())) };
        assert_eq!(second.groups, expected);
        // It was lost on the way, and so was Redis.
        pending.add(key("x"));
        pending.put_back(vec![second]);
        assert_eq!(pending.take(9).unwrap().groups, Groups::ALL);
    }
}
