//! Which broadcast reached which connection, and when.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Serialize;

use crate::measure::{Percentiles, Recorder};
use crate::probes::crowd::Listener;
use crate::wire::connection::INVOCATION;
use crate::wire::messages::{Clock, Purpose, Stamp};

const SHARDS: usize = 8;

/// What the tallies of all connections add up to while messages still arrive.
#[derive(Debug)]
pub(crate) struct Arrivals {
    clock: Clock,
    broadcasts: u32,
    origins: Origins,
    warm_ups: AtomicU64,
    deliveries: AtomicU64,
    latency: [Mutex<Recorder>; SHARDS],
}

/// Who sends, and where: broadcast `n` is of sender `n % senders`, which is on instance `sender % instances`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origins {
    pub(crate) senders: u32,
    pub(crate) instances: u32,
}

impl Origins {
    /// One of each.
    pub(crate) const ALONE: Self = Self { senders: 1, instances: 1 };

    fn instance(self, sequence: u32) -> u32 {
        sequence % self.senders % self.instances
    }
}

/// What became of broadcasts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Messages received.
    pub deliveries: u64,
    /// Messages that never came.
    pub missing: u64,
    /// Messages that came once more.
    pub doubled: u64,
    /// Messages that came after a later one of the same sender.
    pub out_of_order: u64,
    /// The longest that a connection was without any, between two of them.
    pub gap_max_micros: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.deliveries += more.deliveries;
        self.missing += more.missing;
        self.doubled += more.doubled;
        self.out_of_order += more.out_of_order;
        self.gap_max_micros = self.gap_max_micros.max(more.gap_max_micros);
    }
}

impl Arrivals {
    pub(crate) fn new(clock: Clock, broadcasts: u32, origins: Origins) -> Arc<Self> {
        Arc::new(Self {
            clock,
            broadcasts,
            origins,
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

    pub(crate) fn latency(&self) -> Percentiles {
        let mut all = Recorder::new();
        for shard in &self.latency {
            all.add(&shard.lock());
        }
        all.percentiles()
    }
}

/// The broadcasts that one connection received.
#[derive(Debug)]
pub(crate) struct Tally {
    arrivals: Arc<Arrivals>,
    shard: usize,
    instance: u32,
    seen: Vec<u64>,
    /// By sender.
    next: Vec<u32>,
    /// When the last one came, on the scenario's clock.
    pub(crate) last_micros: u64,
    here: Part,
    elsewhere: Part,
}

/// Of the broadcasts that were sent on this instance, or of the others.
#[derive(Debug, Default)]
struct Part {
    counts: Counts,
    last_micros: Option<u64>,
}

impl Tally {
    /// Of a connection to this instance.
    pub(crate) fn new(arrivals: &Arc<Arrivals>, number: usize, instance: u32) -> Self {
        Self {
            arrivals: Arc::clone(arrivals),
            shard: number % SHARDS,
            instance,
            seen: vec![0; (arrivals.broadcasts as usize).div_ceil(64)],
            next: vec![0; arrivals.origins.senders as usize],
            last_micros: 0,
            here: Part::default(),
            elsewhere: Part::default(),
        }
    }

    /// What was sent on this instance, and what was sent on others.
    pub(crate) fn counts(&self) -> [Counts; 2] {
        let mut counts = [self.here.counts, self.elsewhere.counts];
        for sequence in 0..self.arrivals.broadcasts {
            if !self.has_seen(sequence) {
                counts[usize::from(self.is_elsewhere(sequence))].missing += 1;
            }
        }
        counts
    }

    fn is_elsewhere(&self, sequence: u32) -> bool {
        self.arrivals.origins.instance(sequence) != self.instance
    }

    fn has_seen(&self, sequence: u32) -> bool {
        self.seen[sequence as usize / 64] & (1 << (sequence % 64)) != 0
    }

    fn arrived(&mut self, stamp: Stamp) {
        let sequence = stamp.sequence;
        if sequence >= self.arrivals.broadcasts {
            return;
        }
        self.arrivals.deliveries.fetch_add(1, Ordering::Relaxed);
        self.last_micros = self.arrivals.clock.micros();
        let Origins { senders, instances } = self.arrivals.origins;
        let is_elsewhere = self.is_elsewhere(sequence);
        if is_elsewhere || instances == 1 {
            let latency = self.last_micros.saturating_sub(stamp.sent_micros);
            self.arrivals.latency[self.shard].lock().record(latency);
        }
        let has_seen = self.has_seen(sequence);
        let Part { counts, last_micros } = if is_elsewhere { &mut self.elsewhere } else { &mut self.here };
        let since = last_micros.replace(self.last_micros);
        counts.gap_max_micros =
            counts.gap_max_micros.max(self.last_micros - since.unwrap_or(self.last_micros));
        counts.deliveries += 1;
        let next = &mut self.next[(sequence % senders) as usize];
        if has_seen {
            counts.doubled += 1;
        } else if sequence < *next {
            counts.out_of_order += 1;
        }
        self.seen[sequence as usize / 64] |= 1 << (sequence % 64);
        *next = (*next).max(sequence + 1);
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

    fn arrive(tally: &mut Tally, sequences: &[u32]) {
        for sequence in sequences {
            tally.arrived(Stamp { purpose: Purpose::Measured, sequence: *sequence, sent_micros: 0 });
        }
    }

    #[test]
    fn missing_doubled_and_out_of_order_are_told_apart() {
        let arrivals = Arrivals::new(Clock::start(), 100, Origins::ALONE);
        let mut tally = Tally::new(&arrivals, 9, 0);
        arrive(&mut tally, &[0, 1, 3, 2, 3, 99, 99, 100]);
        let [Counts { deliveries, missing, doubled, out_of_order, .. }, elsewhere] = tally.counts();
        assert_eq!((deliveries, missing, doubled, out_of_order), (7, 95, 2, 1));
        assert_eq!(elsewhere, Counts::default());
        assert_eq!(arrivals.count(Purpose::Measured), 7);
    }

    #[test]
    fn every_sender_has_an_order_of_its_own() {
        let arrivals = Arrivals::new(Clock::start(), 9, Origins { senders: 3, instances: 2 });
        let mut tally = Tally::new(&arrivals, 0, 1);
        // Of the senders 0, 1 and 2, only 1 is on this instance.
        arrive(&mut tally, &[6, 1, 4, 0, 2, 8]);
        let [here, elsewhere] = tally.counts();
        assert_eq!((here.deliveries, here.missing, here.out_of_order), (2, 1, 0));
        assert_eq!((elsewhere.deliveries, elsewhere.missing, elsewhere.out_of_order), (4, 2, 1));
    }
}
