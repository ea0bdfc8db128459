//! Which broadcast reached which connection, and when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::connection::INVOCATION;
use crate::crowd::Listener;
use crate::messages::{Clock, Purpose, Stamp};
use crate::report::{Latency, Recorder};

const SHARDS: usize = 8;

/// What the tallies of all connections add up to while messages still arrive.
#[derive(Debug)]
pub(crate) struct Arrivals {
    clock: Clock,
    broadcasts: u32,
    warm_ups: AtomicU64,
    deliveries: AtomicU64,
    latency: [Mutex<Recorder>; SHARDS],
}

impl Arrivals {
    pub(crate) fn new(clock: Clock, broadcasts: u32) -> Arc<Self> {
        Arc::new(Self {
            clock,
            broadcasts,
            warm_ups: AtomicU64::new(0),
            deliveries: AtomicU64::new(0),
            latency: std::array::from_fn(|_| Mutex::new(Recorder::new())),
        })
    }

    pub(crate) fn count(&self, purpose: Purpose) -> u64 {
        match purpose {
            Purpose::WarmUp => self.warm_ups.load(Ordering::Relaxed),
            Purpose::Measured => self.deliveries.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn latency(&self) -> Latency {
        let mut all = Recorder::new();
        for shard in &self.latency {
            all.add(&shard.lock().unwrap_or_else(PoisonError::into_inner));
        }
        all.summary()
    }
}

/// The broadcasts that one connection received.
#[derive(Debug)]
pub(crate) struct Tally {
    arrivals: Arc<Arrivals>,
    shard: usize,
    seen: Vec<u64>,
    next: u32,
    /// When the last one came, on the scenario's clock.
    pub(crate) last_micros: u64,
    pub(crate) doubled: u64,
    pub(crate) out_of_order: u64,
}

impl Tally {
    pub(crate) fn new(arrivals: &Arc<Arrivals>, number: usize) -> Self {
        Self {
            arrivals: Arc::clone(arrivals),
            shard: number % SHARDS,
            seen: vec![0; (arrivals.broadcasts as usize).div_ceil(64)],
            next: 0,
            last_micros: 0,
            doubled: 0,
            out_of_order: 0,
        }
    }

    pub(crate) fn missing(&self) -> u64 {
        let seen: u64 = self.seen.iter().map(|word| u64::from(word.count_ones())).sum();
        u64::from(self.arrivals.broadcasts) - seen
    }

    fn arrived(&mut self, stamp: Stamp) {
        let sequence = stamp.sequence;
        if sequence >= self.arrivals.broadcasts {
            return;
        }
        self.arrivals.deliveries.fetch_add(1, Ordering::Relaxed);
        self.last_micros = self.arrivals.clock.micros();
        let latency = self.last_micros.saturating_sub(stamp.sent_micros);
        self.arrivals.latency[self.shard].lock().unwrap_or_else(PoisonError::into_inner).record(latency);
        let (word, bit) = (sequence as usize / 64, 1_u64 << (sequence % 64));
        if self.seen[word] & bit != 0 {
            self.doubled += 1;
        } else if sequence < self.next {
            self.out_of_order += 1;
        }
        self.seen[word] |= bit;
        self.next = self.next.max(sequence + 1);
    }
}

impl Listener for Tally {
    fn message(&mut self, kind: u8, message: &[u8]) {
        if kind != INVOCATION {
            return;
        }
        match Stamp::find(message) {
            Some(stamp) if stamp.purpose == Purpose::Measured => self.arrived(stamp),
            Some(_) => {
                self.arrivals.warm_ups.fetch_add(1, Ordering::Relaxed);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_doubled_and_out_of_order_are_told_apart() {
        let arrivals = Arrivals::new(Clock::start(), 100);
        let mut tally = Tally::new(&arrivals, 9);
        for sequence in [0, 1, 3, 2, 3, 99, 99, 100] {
            tally.arrived(Stamp { purpose: Purpose::Measured, sequence, sent_micros: 0 });
        }
        assert_eq!((tally.missing(), tally.doubled, tally.out_of_order), (95, 2, 1));
        assert_eq!(arrivals.count(Purpose::Measured), 7);
    }
}
