//! What could not be published, kept until it can be.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::counters::Counters;
use super::seldom::Seldom;
use crate::OutboxOptions;

/// What an entry takes beside its payload and the name of its channel.
const ENTRY_BYTES: usize = 64;

/// Messages that were never written to Redis, in the order in which they were published.
#[derive(Debug)]
pub(super) struct Outbox {
    options: OutboxOptions,
    counters: Arc<Counters>,
    kept: Mutex<Kept>,
    put: Notify,
    overflowed: Seldom,
}

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Entry>,
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Entry {
    /// Its place in the order of all outboxes.
    place: u64,
    pub(super) channel: Arc<str>,
    pub(super) payload: Bytes,
    /// Of the message on its channel.
    pub(super) number: u64,
    since: Instant,
}

impl Entry {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.channel.len() + self.payload.len()
    }
}

impl Outbox {
    pub(super) fn new(options: OutboxOptions, counters: &Arc<Counters>) -> Self {
        Self {
            options,
            counters: Arc::clone(counters),
            kept: Mutex::default(),
            put: Notify::new(),
            overflowed: Seldom::default(),
        }
    }

    /// Whether there was room. What was told to wait keeps its place: a full outbox refuses what comes.
    pub(super) fn put(&self, channel: Arc<str>, payload: Bytes, number: u64) -> bool {
        let mut kept = self.expire();
        let place = self.counters.places.next();
        let entry = Entry { place, channel, payload, number, since: Instant::now() };
        let has_room = kept.entries.len() < self.options.limit_messages
            && kept.bytes + entry.bytes() <= self.options.limit_bytes;
        if has_room {
            kept.put(entry);
            self.counters.queued.increment();
            self.put.notify_one();
        } else {
            self.counters.overflowed.increment();
            if let Some(unlogged) = self.overflowed.happened() {
                let waiting = kept.entries.len();
                tracing::warn!(waiting, unlogged, "the outbox is full, messages reach this instance alone");
            }
        }
        has_room
    }

    /// Puts one back, or what was in another outbox, in its place, whatever room there is.
    pub(super) fn put_back(&self, entry: Entry) {
        self.lock().put(entry);
        self.put.notify_one();
    }

    /// The oldest that has not expired.
    pub(super) fn take(&self) -> Option<Entry> {
        let mut kept = self.expire();
        kept.take_first()
    }

    /// Ready when something has been put in, or may go out, since this was last ready.
    pub(super) async fn filled(&self) {
        self.put.notified().await;
    }

    /// What is in may go out now.
    pub(super) fn open(&self) {
        self.put.notify_one();
    }

    /// Takes out what belongs to another node now.
    pub(super) fn take_moved(&self, has_moved: impl Fn(&str) -> bool) -> Vec<Entry> {
        let mut kept = self.expire();
        let mut moved = Vec::new();
        for _ in 0..kept.entries.len() {
            let Some(entry) = kept.take_first() else { break };
            if has_moved(&entry.channel) {
                moved.push(entry);
            } else {
                kept.put(entry);
            }
        }
        moved
    }

    /// How many wait, and what they take in bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let kept = self.expire();
        (kept.entries.len(), kept.bytes)
    }

    fn expire(&self) -> MutexGuard<'_, Kept> {
        let mut kept = self.lock();
        while kept.entries.front().is_some_and(|first| first.since.elapsed() > self.options.max_age) {
            kept.take_first();
            self.counters.expired.increment();
        }
        kept
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock()
    }
}

impl Kept {
    fn put(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        let place = self.entries.partition_point(|before| before.place < entry.place);
        self.entries.insert(place, entry);
    }

    fn take_first(&mut self) -> Option<Entry> {
        let first = self.entries.pop_front()?;
        self.bytes -= first.bytes();
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn outbox(limit_messages: usize, limit_bytes: usize) -> Outbox {
        let options = OutboxOptions { limit_messages, limit_bytes, max_age: Duration::from_secs(60) };
        Outbox::new(options, &Arc::default())
    }

    fn put(outbox: &Outbox, payload: &'static str) -> bool {
        outbox.put("c".into(), payload.into(), 1)
    }

    fn rest(outbox: &Outbox) -> Vec<Bytes> {
        std::iter::from_fn(|| outbox.take()).map(|entry| entry.payload).collect()
    }

    #[test]
    fn a_full_one_refuses_what_comes() {
        let few = outbox(2, usize::MAX);
        assert_eq!(["1", "2", "3"].map(|payload| put(&few, payload)), [true, true, false]);
        assert_eq!(rest(&few), ["1", "2"]);
        let small = outbox(usize::MAX, 2 * (ENTRY_BYTES + 2));
        assert_eq!(["1", "22", "3"].map(|payload| put(&small, payload)), [true, false, true]);
        assert_eq!(rest(&small), ["1", "3"]);
        assert_eq!(small.size(), (0, 0));
        assert_eq!((small.counters.queued.get(), small.counters.overflowed.get()), (2, 1));
    }

    #[test]
    fn without_room_nothing_is_kept() {
        assert!(!put(&outbox(0, usize::MAX), "1"));
    }

    #[test]
    fn what_was_not_written_comes_first_again() {
        let outbox = outbox(2, usize::MAX);
        put(&outbox, "1");
        put(&outbox, "2");
        let first = outbox.take().unwrap();
        put(&outbox, "3");
        outbox.put_back(first);
        assert_eq!(rest(&outbox), ["1", "2", "3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_old_is_dropped() {
        let outbox = outbox(2, usize::MAX);
        put(&outbox, "1");
        tokio::time::advance(Duration::from_secs(59)).await;
        put(&outbox, "2");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(put(&outbox, "3"), "the old one makes room");
        assert_eq!(rest(&outbox), ["2", "3"]);
        assert_eq!(outbox.counters.expired.get(), 1);
    }
}
