use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::oracle::Rules;
use crate::oracle::away::{Aways, Cause};
use crate::oracle::proof::Basis;
use crate::oracle::verdict::{StateVerdict, Verdict};

/// The versions that there have been, as far as this process knows. One for all receivers that see the same states.
///
/// A version is any number that grows with each change: the state's own, or its timestamp in microseconds where a server has no versions.
#[derive(Debug, Default)]
pub struct States {
    /// One more than the newest, to look at without a lock.
    newest: AtomicU64,
    newest_change: AtomicU64,
    known: Mutex<KnownStates>,
}

/// What [`States`] knows, as one process hands it to another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownStates {
    /// The newest version of a state, and when it was first seen: microseconds since the Unix epoch.
    pub newest: Option<(u64, u64)>,
    /// When each change was first seen or told, by version.
    pub changes: BTreeMap<u64, u64>,
}

/// One connection that gets navigation states (`NavigationStateChanged`) and single changes (`ModelMappingChanged`).
#[derive(Debug)]
pub struct StateReceiver {
    since_micros: u64,
    /// One more than the highest version that has come.
    newest: u64,
    received: u64,
    went_back: u64,
    changes: Option<Box<Changes>>,
    aways: Option<Box<Aways>>,
}

/// The changes that came, one bit each.
#[derive(Debug, Default)]
struct Changes {
    /// The version of the first bit.
    base: u64,
    bits: Vec<u64>,
    newest: u64,
    received: u64,
    doubled: u64,
    out_of_order: u64,
    unclear: u64,
}

impl States {
    /// How far apart the versions of changes may be that a receiver remembers one by one: 8 KiB a receiver.
    pub const MOST_CHANGES: u64 = 1 << 16;

    /// None known.
    pub fn new() -> Self {
        Self::default()
    }

    /// There is a state of that version: it was seen, or the server said so to whoever changed it.
    pub fn newest(&self, version: u64, now_micros: u64) {
        if version < self.newest.load(Ordering::Relaxed) {
            return;
        }
        let mut known = self.known.lock();
        if known.newest.is_none_or(|(newest, _)| newest < version) {
            known.newest = Some((version, now_micros));
            self.newest.store(version.saturating_add(1), Ordering::Relaxed);
        }
    }

    /// There was a single change of that version: it was seen, or the server said so to whoever made it.
    pub fn change(&self, version: u64, now_micros: u64) {
        self.newest_change.fetch_max(version.saturating_add(1), Ordering::Relaxed);
        self.known.lock().changes.entry(version).or_insert(now_micros);
    }

    /// What this process knows.
    pub fn known(&self) -> KnownStates {
        self.known.lock().clone()
    }

    /// A change came; most have come to another receiver before.
    fn seen(&self, version: u64, now_micros: u64) {
        // Below the newest it may be one that only this receiver has got, which is rare enough for the lock.
        let is_last = version.saturating_add(1) == self.newest_change.load(Ordering::Relaxed);
        if !is_last {
            self.change(version, now_micros);
        }
    }
}

impl KnownStates {
    /// Adds what another process knows.
    pub fn merge(&mut self, other: &Self) {
        let earlier = |(version, at): (u64, u64)| (version, std::cmp::Reverse(at));
        self.newest = self.newest.into_iter().chain(other.newest).max_by_key(|newest| earlier(*newest));
        for (version, at) in &other.changes {
            let own = self.changes.entry(*version).or_insert(*at);
            *own = (*own).min(*at);
        }
    }
}

impl StateReceiver {
    /// What one takes without changes, in bytes.
    pub const BYTES: usize = size_of::<Self>();

    /// One that was connected at that time.
    pub fn new(since_micros: u64) -> Self {
        Self { since_micros, newest: 0, received: 0, went_back: 0, changes: None, aways: None }
    }

    /// A state came as an event. Returns false if an event before it had a higher version.
    pub fn state(&mut self, states: &States, version: u64, now_micros: u64) -> bool {
        self.received += 1;
        let is_in_order = version.saturating_add(1) >= self.newest;
        self.went_back += u64::from(!is_in_order);
        self.answer(states, version, now_micros);
        is_in_order
    }

    /// A state came as the result of a call, which may be behind the event of a later change.
    pub fn answer(&mut self, states: &States, version: u64, now_micros: u64) {
        self.newest = self.newest.max(version.saturating_add(1));
        states.newest(version, now_micros);
    }

    /// A single change came.
    pub fn change(&mut self, states: &States, version: u64, now_micros: u64) {
        states.seen(version, now_micros);
        self.changes.get_or_insert_default().take(version);
    }

    /// From now on something may be missed for that reason.
    pub fn goes_away(&mut self, cause: Cause, at_micros: u64) {
        self.aways.get_or_insert_default().begin(cause, at_micros);
    }

    /// It is connected again, and has asked for the state.
    pub fn is_back(&mut self, at_micros: u64) {
        if let Some(aways) = &mut self.aways {
            aways.end(at_micros);
        }
    }

    fn judge(&self, rules: &Rules, known: &KnownStates, verdict: &mut StateVerdict) {
        verdict.received += self.received;
        verdict.went_back += self.went_back;
        if let Some((newest, at)) = known.newest
            && self.newest <= newest
        {
            verdict.without_the_last += 1;
            if let Some(cause) = self.was_away(rules, at) {
                verdict.without_the_last_in_faults.add(cause, 1);
            }
        }
        let changes = self.changes.as_deref();
        if let Some(changes) = changes {
            verdict.changes_received += changes.received;
            verdict.changes_doubled += changes.doubled;
            verdict.changes_out_of_order += changes.out_of_order;
            verdict.changes_unclear += changes.unclear;
        }
        let certain_from = self.since_micros.saturating_add(rules.late_micros);
        for (version, at) in &known.changes {
            let had_to_come = *at >= certain_from;
            if !had_to_come || changes.is_some_and(|changes| changes.may_have(*version)) {
                continue;
            }
            verdict.changes_skipped += 1;
            if let Some(cause) = self.was_away(rules, *at) {
                verdict.changes_skipped_in_faults.add(cause, 1);
            }
        }
    }

    /// What it was away for when something was sent that was first seen then.
    fn was_away(&self, rules: &Rules, seen_micros: u64) -> Option<Cause> {
        let until = seen_micros.saturating_add(rules.late_micros);
        self.aways.as_ref()?.cause_within(seen_micros.saturating_sub(rules.late_micros), until)
    }
}

/// Judges receivers of states by the versions that all processes know. Call it [`Rules::settle_micros`] after the last change.
pub fn judge_states<'a>(
    rules: &Rules,
    receivers: impl IntoIterator<Item = &'a StateReceiver>,
    known: &KnownStates,
) -> Verdict {
    let mut states = StateVerdict::default();
    let mut basis = Basis { changes: !known.changes.is_empty(), ..Basis::default() };
    for receiver in receivers {
        receiver.judge(rules, known, &mut states);
        basis.states |= receiver.newest > 0;
    }
    let mut verdict = Verdict { states: Some(states), basis, ..Verdict::default() };
    verdict.proves = basis.words(&verdict);
    verdict
}

impl Changes {
    const WORD: u64 = 64;

    fn take(&mut self, version: u64) {
        self.received += 1;
        let is_in_order = version >= self.newest;
        self.newest = self.newest.max(version.saturating_add(1));
        let Some(bit) = self.bit(version) else {
            self.unclear += 1;
            return;
        };
        let (word, mask) = (&mut self.bits[bit / 64], 1 << (bit % 64));
        if *word & mask != 0 {
            self.doubled += 1;
        } else if !is_in_order {
            self.out_of_order += 1;
        }
        *word |= mask;
    }

    /// The place of a version, which is made if it is not there; `None` if it is too far from the others.
    fn bit(&mut self, version: u64) -> Option<usize> {
        if self.bits.is_empty() {
            self.base = version - version % Self::WORD;
        }
        if version < self.base {
            let words = (self.base - version).div_ceil(Self::WORD);
            let all = words + self.bits.len() as u64;
            let words = usize::try_from(words).ok().filter(|_| all <= States::MOST_CHANGES / Self::WORD)?;
            self.bits.splice(0..0, std::iter::repeat_n(0, words));
            self.base = version - version % Self::WORD;
        }
        let bit = usize::try_from(version - self.base).ok().filter(|bit| *bit < Self::most())?;
        if self.bits.len() <= bit / 64 {
            self.bits.resize(bit / 64 + 1, 0);
        }
        Some(bit)
    }

    fn most() -> usize {
        usize::try_from(States::MOST_CHANGES).unwrap_or(usize::MAX)
    }

    /// Whether it came, or is too far from the others for anybody to know.
    fn may_have(&self, version: u64) -> bool {
        let Some(bit) = version.checked_sub(self.base).and_then(|bit| usize::try_from(bit).ok()) else {
            return self.unclear > 0;
        };
        match self.bits.get(bit / 64) {
            Some(word) => word & (1 << (bit % 64)) != 0,
            None => self.unclear > 0,
        }
    }
}
