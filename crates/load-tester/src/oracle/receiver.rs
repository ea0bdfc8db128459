use crate::oracle::away::{Aways, Cause};
use crate::oracle::gaps::{Filled, Gaps};
use crate::oracle::verdict::{Example, Finding, Tally};
use crate::oracle::{EXAMPLES_OF_EACH, MOST_REMEMBERED, Rules, Stamp};

/// One connection as a receiver: which origins' messages it has to get, and what it got.
///
/// Taking what arrives allocates nothing while everything comes once and in order.
#[derive(Debug)]
pub struct Receiver {
    id: u32,
    /// By origin.
    pub(super) pairs: Vec<Pair>,
    pub(super) received: u64,
    pub(super) late: u64,
    pub(super) trouble: Option<Box<Trouble>>,
}

/// What a receiver knows of one origin. Of the numbers in `low..next` each has come, or is in a gap.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) origin: u32,
    /// Whether it has been left, perhaps more than once.
    pub(super) was_left: bool,
    /// From when on the receiver has to get everything.
    pub(super) since_micros: u64,
    pub(super) low: u64,
    pub(super) next: u64,
}

/// A time without a subscription.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub(super) origin: u32,
    pub(super) leaving_micros: u64,
    pub(super) left_micros: u64,
    /// `u64::MAX` if it never subscribed again.
    pub(super) again_micros: u64,
}

/// What most receivers never need.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    pub(super) gaps: Gaps,
    pub(super) aways: Aways,
    pub(super) lefts: Vec<Left>,
    pub(super) doubled: u64,
    pub(super) out_of_order: u64,
    pub(super) foreign: u64,
    pub(super) other_runs: u64,
    pub(super) unclear: u64,
    pub(super) late_in_faults: Tally,
    /// Subscriptions whose losses cannot be judged, as there were too many.
    pub(super) unjudged: u64,
    pub(super) examples: Vec<Example>,
}

/// What one message was, at once. A loss shows only at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It came for the first time, before every later one.
    New {
        /// Older than [`Rules::late_micros`].
        is_late: bool,
    },
    /// It came for the first time, after a later one of its origin.
    OutOfOrder {
        /// Older than [`Rules::late_micros`].
        is_late: bool,
    },
    /// It had come before.
    Doubled,
    /// It is not for this receiver.
    Foreign,
    /// It is of another run of the tester on the same server.
    OtherRun,
    /// It came before or is one that was missing: too many were missing to remember each.
    Unclear,
}

impl Arrival {
    /// Whether it counts as received.
    pub fn is_new(self) -> bool {
        matches!(self, Self::New { .. } | Self::OutOfOrder { .. })
    }
}

/// A receiver's counts while the run goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SoFar {
    /// Messages for it that have come, each once.
    pub received: u64,
    /// Of these, older than [`Rules::late_micros`].
    pub late: u64,
    /// Messages that have not come though later ones of their origin have. They may still come.
    pub missing: u64,
    /// Messages that came once more.
    pub doubled: u64,
    /// Messages that came after a later one of their origin.
    pub out_of_order: u64,
    /// Messages that were not for it.
    pub foreign: u64,
}

impl std::ops::AddAssign for SoFar {
    fn add_assign(&mut self, more: Self) {
        self.received += more.received;
        self.late += more.late;
        self.missing += more.missing;
        self.doubled += more.doubled;
        self.out_of_order += more.out_of_order;
        self.foreign += more.foreign;
    }
}

impl Receiver {
    /// What one takes without origins, in bytes.
    pub const BYTES: usize = size_of::<Self>();
    /// What one more origin costs each receiver, in bytes.
    pub const BYTES_PER_ORIGIN: usize = size_of::<Pair>();

    /// One that expects nothing yet. `id` names it in examples; `origins` is how many it will expect.
    pub fn new(id: u32, origins: usize) -> Self {
        Self { id, pairs: Vec::with_capacity(origins), received: 0, late: 0, trouble: None }
    }

    /// The id that examples name.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// From now on it has to get everything of an origin: it is connected, and has joined the group if it is one.
    ///
    /// What was sent before may come as well, up to [`Rules::settle_micros`] before. Calling it for an origin that it expects already changes nothing.
    /// An origin that never sends costs only its memory, so expect all that the plan has, before the first one sends.
    pub fn expects(&mut self, origin: u32, since_micros: u64) {
        match self.pairs.binary_search_by_key(&origin, |pair| pair.origin) {
            Err(index) => {
                let pair = Pair { origin, was_left: false, since_micros, low: 0, next: 0 };
                self.pairs.insert(index, pair);
            }
            Ok(_) => {
                let lefts = self.trouble.iter_mut().flat_map(|trouble| &mut trouble.lefts);
                if let Some(left) = lefts.rev().find(|left| left.origin == origin) {
                    left.again_micros = left.again_micros.min(since_micros);
                }
            }
        }
    }

    /// It no longer has to get what an origin sends: it asked to leave at `leaving_micros`, and was told that it has at `left_micros`.
    pub fn stops(&mut self, origin: u32, leaving_micros: u64, left_micros: u64) {
        let Ok(index) = self.pairs.binary_search_by_key(&origin, |pair| pair.origin) else { return };
        let trouble = self.trouble.get_or_insert_default();
        let last = trouble.lefts.iter().rev().find(|left| left.origin == origin);
        if last.is_some_and(|left| left.again_micros == u64::MAX) {
            return;
        }
        if trouble.lefts.len() == MOST_REMEMBERED {
            let oldest = trouble.lefts.remove(0);
            trouble.unjudged += 1;
            if let Ok(index) = self.pairs.binary_search_by_key(&oldest.origin, |pair| pair.origin) {
                self.pairs[index].since_micros = oldest.again_micros;
            }
        }
        self.pairs[index].was_left = true;
        trouble.lefts.push(Left { origin, leaving_micros, left_micros, again_micros: u64::MAX });
    }

    /// It ends, as planned: as [`Receiver::stops`] for all origins.
    pub fn closes(&mut self, leaving_micros: u64, left_micros: u64) {
        for index in 0..self.pairs.len() {
            self.stops(self.pairs[index].origin, leaving_micros, left_micros);
        }
    }

    /// From now on messages may be lost or late for that reason.
    pub fn goes_away(&mut self, cause: Cause, at_micros: u64) {
        self.trouble.get_or_insert_default().aways.begin(cause, at_micros);
    }

    /// It is connected again, and in its groups; or it reads again.
    pub fn is_back(&mut self, at_micros: u64) {
        if let Some(trouble) = &mut self.trouble {
            trouble.aways.end(at_micros);
        }
    }

    /// Takes a message that arrived.
    pub fn arrived(&mut self, rules: &Rules, stamp: &Stamp, now_micros: u64) -> Arrival {
        if let Some(pair) = self.pair(stamp.origin)
            && pair.next == stamp.number
            && pair.low < pair.next
            && !pair.was_left
            && stamp.run == rules.run
        {
            pair.next += 1;
            let is_late = self.count(rules, stamp, now_micros);
            return Arrival::New { is_late };
        }
        self.arrived_otherwise(rules, stamp, now_micros)
    }

    /// What has come of it until now.
    pub fn so_far(&self) -> SoFar {
        let trouble = self.trouble.as_deref();
        let of = |count: fn(&Trouble) -> u64| trouble.map_or(0, count);
        SoFar {
            received: self.received,
            late: self.late,
            missing: of(|trouble| trouble.gaps.numbers()),
            doubled: of(|trouble| trouble.doubled),
            out_of_order: of(|trouble| trouble.out_of_order),
            foreign: of(|trouble| trouble.foreign),
        }
    }

    fn pair(&mut self, origin: u32) -> Option<&mut Pair> {
        // Where all origins are expected, as with messages to all, each is at its own place.
        let index = usize::try_from(origin).ok()?;
        let index = match self.pairs.get(index) {
            Some(pair) if pair.origin == origin => index,
            _ => self.pairs.binary_search_by_key(&origin, |pair| pair.origin).ok()?,
        };
        self.pairs.get_mut(index)
    }

    /// The first of an origin, or anything that should not be.
    #[inline(never)]
    fn arrived_otherwise(&mut self, rules: &Rules, stamp: &Stamp, now_micros: u64) -> Arrival {
        let found = self.find(rules, stamp);
        match found {
            Arrival::New { .. } => Arrival::New { is_late: self.count(rules, stamp, now_micros) },
            Arrival::OutOfOrder { .. } => {
                self.trouble.get_or_insert_default().out_of_order += 1;
                self.note(Finding::OutOfOrder, stamp, now_micros);
                Arrival::OutOfOrder { is_late: self.count(rules, stamp, now_micros) }
            }
            Arrival::Doubled => {
                self.trouble.get_or_insert_default().doubled += 1;
                self.note(Finding::Doubled, stamp, now_micros);
                found
            }
            Arrival::Foreign => {
                self.trouble.get_or_insert_default().foreign += 1;
                self.note(Finding::Foreign, stamp, now_micros);
                found
            }
            Arrival::OtherRun => {
                self.trouble.get_or_insert_default().other_runs += 1;
                found
            }
            Arrival::Unclear => {
                self.trouble.get_or_insert_default().unclear += 1;
                found
            }
        }
    }

    /// What it is, and puts it into its place.
    fn find(&mut self, rules: &Rules, stamp: &Stamp) -> Arrival {
        if stamp.run != rules.run {
            return Arrival::OtherRun;
        }
        let number = stamp.number;
        let Some(&mut Pair { since_micros, was_left, .. }) = self.pair(stamp.origin) else {
            return Arrival::Foreign;
        };
        let is_long_before = stamp.sent_micros.saturating_add(rules.settle_micros) < since_micros;
        if is_long_before || was_left && self.had_left(rules, stamp) || number == u64::MAX {
            return Arrival::Foreign;
        }
        let Some(pair) = self.pair(stamp.origin) else { return Arrival::Foreign };
        let Pair { low, next, .. } = *pair;
        if low == next {
            (pair.low, pair.next) = (number, number + 1);
            return Arrival::New { is_late: false };
        }
        if number >= next {
            pair.next = number + 1;
            if number > next {
                self.trouble.get_or_insert_default().gaps.add(stamp.origin, next..number);
            }
            return Arrival::New { is_late: false };
        }
        if number < low {
            pair.low = number;
            self.trouble.get_or_insert_default().gaps.add(stamp.origin, number + 1..low);
            return Arrival::OutOfOrder { is_late: false };
        }
        match self.trouble.as_mut().map(|trouble| trouble.gaps.fill(stamp.origin, number)) {
            Some(Filled::Gap) => Arrival::OutOfOrder { is_late: false },
            Some(Filled::Unclear) => Arrival::Unclear,
            Some(Filled::Nothing) | None => Arrival::Doubled,
        }
    }

    /// Whether it was sent after this receiver had left, and long before it came again.
    fn had_left(&self, rules: &Rules, stamp: &Stamp) -> bool {
        let sent = stamp.sent_micros;
        self.trouble.iter().flat_map(|trouble| &trouble.lefts).any(|left| {
            left.origin == stamp.origin
                && sent > left.left_micros
                && sent.saturating_add(rules.settle_micros) < left.again_micros
        })
    }

    /// Counts a message that came for the first time; says whether it was late.
    fn count(&mut self, rules: &Rules, stamp: &Stamp, now_micros: u64) -> bool {
        self.received += 1;
        let is_late = stamp.age_micros(now_micros) > rules.late_micros;
        if is_late {
            self.count_late(stamp, now_micros);
        }
        is_late
    }

    #[inline(never)]
    fn count_late(&mut self, stamp: &Stamp, now_micros: u64) {
        self.late += 1;
        let trouble = self.trouble.get_or_insert_default();
        if let Some(cause) = trouble.aways.cause_within(stamp.sent_micros, now_micros) {
            trouble.late_in_faults.add(cause, 1);
        }
        self.note(Finding::Late, stamp, now_micros);
    }

    fn note(&mut self, finding: Finding, stamp: &Stamp, now_micros: u64) {
        let receiver = self.id;
        let trouble = self.trouble.get_or_insert_default();
        let known = trouble.examples.iter().filter(|example| example.finding == finding).count();
        if known < EXAMPLES_OF_EACH {
            trouble.examples.push(Example {
                finding,
                receiver,
                origin: stamp.origin,
                first: stamp.number,
                last: stamp.number,
                at_micros: now_micros,
                cause: trouble.aways.cause_within(stamp.sent_micros, now_micros),
            });
        }
    }
}
