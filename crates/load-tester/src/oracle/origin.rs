use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::oracle::away::{Away, Aways, Cause};
use crate::oracle::timeline::Timeline;
use crate::oracle::{MOST_REMEMBERED, Stamp};

/// One sender to one audience: gives its messages their numbers and remembers when it sent them.
///
/// A connection that sends to all, to a group and to itself is three origins, each with an id of its own in the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub(super) id: u32,
    pub(super) timeline: Timeline,
    pub(super) aways: Aways,
    /// Numbers that may not have left, in order.
    unsent: Vec<Range<u64>>,
}

impl Origin {
    /// What an origin takes, before it sends.
    pub const BYTES: usize = size_of::<Self>();
    /// What the times of one that sends without any pace take at most, besides.
    pub const MOST_BYTES: usize = Timeline::MOST_BYTES;

    /// One that has sent nothing.
    pub fn new(id: u32) -> Self {
        Self { id, timeline: Timeline::default(), aways: Aways::default(), unsent: Vec::new() }
    }

    /// The id that is in its stamps.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// How many messages it has stamped.
    pub fn sent(&self) -> u64 {
        self.timeline.sent()
    }

    /// The stamp of its next message, which is sent now.
    pub fn stamp(&mut self, run: u32, now_micros: u64) -> Stamp {
        let number = self.timeline.push(now_micros);
        Stamp { run, origin: self.id, number, sent_micros: now_micros }
    }

    /// A message whose sending has failed: it may come, and need not.
    pub fn unsent(&mut self, number: u64) {
        let is_full = self.unsent.len() == MOST_REMEMBERED;
        match self.unsent.last_mut() {
            Some(last) if last.end == number => last.end += 1,
            // Too many to remember: what is between them need not come either.
            Some(last) if is_full => last.end = last.end.max(number + 1),
            _ => self.unsent.push(number..number + 1),
        }
    }

    /// Its sender has lost its connection: what it sent shortly before may not have reached the server.
    pub fn goes_away(&mut self, cause: Cause, at_micros: u64) {
        self.aways.begin(cause, at_micros);
    }

    /// Its sender is connected again.
    pub fn is_back(&mut self, at_micros: u64) {
        self.aways.end(at_micros);
    }

    pub(super) fn unsent_ranges(&self) -> &[Range<u64>] {
        &self.unsent
    }

    pub(super) fn aways(&self) -> impl Iterator<Item = &Away> {
        self.aways.iter()
    }
}

/// All origins of a run. Several processes serialize theirs, and each judges its receivers by those of all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origins {
    all: BTreeMap<u32, Origin>,
}

impl Origins {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what another process has sent. One that is there already, by its id, stays.
    pub fn merge(&mut self, other: Self) {
        for (id, origin) in other.all {
            self.all.entry(id).or_insert(origin);
        }
    }

    /// The origin of that id.
    pub fn get(&self, id: u32) -> Option<&Origin> {
        self.all.get(&id)
    }

    /// How far from the truth a remembered time may be.
    pub(super) fn times_within_micros(&self) -> u64 {
        self.all.values().map(|origin| origin.timeline.error_micros()).max().unwrap_or(0)
    }

    /// Messages that these have sent; without those whose sending failed.
    pub fn sent(&self) -> u64 {
        let unsent = |origin: &Origin| origin.unsent.iter().map(|range| range.end - range.start).sum::<u64>();
        self.all.values().map(|origin| origin.sent().saturating_sub(unsent(origin))).sum()
    }
}

impl Extend<Origin> for Origins {
    fn extend<T: IntoIterator<Item = Origin>>(&mut self, origins: T) {
        self.all.extend(origins.into_iter().map(|origin| (origin.id, origin)));
    }
}

impl FromIterator<Origin> for Origins {
    fn from_iter<T: IntoIterator<Item = Origin>>(origins: T) -> Self {
        let mut all = Self::new();
        all.extend(origins);
        all
    }
}
