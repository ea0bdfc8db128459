use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

use crate::oracle::EXAMPLES_OF_EACH;
use crate::oracle::away::Cause;
use crate::oracle::counted::Counted;
use crate::oracle::proof::Basis;

/// What can be wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Finding {
    /// It never came.
    Lost,
    /// It came once more.
    Doubled,
    /// It came after a later one of its origin.
    OutOfOrder,
    /// It came to somebody it was not for.
    Foreign,
    /// It came too late.
    Late,
}

/// One thing that was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Example {
    /// What.
    pub finding: Finding,
    /// The fault that explains it; what none explains is the first in order.
    pub cause: Option<Cause>,
    /// When it came, or for a loss about when it was sent: microseconds since the Unix epoch.
    pub at_micros: u64,
    /// Whom it reached, or should have.
    pub receiver: u32,
    /// Whose it was.
    pub origin: u32,
    /// The first number of it.
    pub first: u64,
    /// The last one, itself included.
    pub last: u64,
}

/// Numbers by cause.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tally(pub BTreeMap<Cause, u64>);

impl Tally {
    /// Counts `more` to a cause.
    pub fn add(&mut self, cause: Cause, more: u64) {
        if more > 0 {
            *self.0.entry(cause).or_default() += more;
        }
    }

    /// Of all causes.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    fn merge(&mut self, other: &Self) {
        for (cause, more) in &other.0 {
            self.add(*cause, *more);
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        let mut since = Self::default();
        for (cause, count) in &self.0 {
            since.add(*cause, count.saturating_sub(earlier.0.get(cause).copied().unwrap_or(0)));
        }
        since
    }
}

/// What became of navigation states and single changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StateVerdict {
    /// States that came as events.
    pub received: u64,
    /// Of these, behind one with a higher version.
    pub went_back: u64,
    /// Receivers that do not have the last one.
    pub without_the_last: u64,
    /// Of these, those that were away when it was sent, by cause.
    pub without_the_last_in_faults: Tally,
    /// Changes that came.
    pub changes_received: u64,
    /// Changes that did not come though there was one, each counted for each receiver.
    pub changes_skipped: u64,
    /// Of these, what was sent while the receiver was away, by cause.
    pub changes_skipped_in_faults: Tally,
    /// Changes that came once more.
    pub changes_doubled: u64,
    /// Changes that came behind a later one.
    pub changes_out_of_order: u64,
    /// Changes with versions too far from the others to remember.
    pub changes_unclear: u64,
}

/// What became of the messages of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// Messages that origins sent.
    pub sent: u64,
    /// Messages that receivers had to get or got, each counted for each receiver: `received + lost`.
    pub expected: u64,
    /// Messages for them that came, each once.
    pub received: u64,
    /// Messages that never came.
    pub lost: u64,
    /// Of these, what was sent while the receiver or the sender was away, by cause.
    pub lost_in_faults: Tally,
    /// Of these, what cannot be attributed: there was too much to remember.
    pub lost_unclear: u64,
    /// Messages that came later than they may.
    pub late: u64,
    /// Of these, what was on its way while the receiver was away or did not read, by cause.
    pub late_in_faults: Tally,
    /// Messages that came once more.
    pub doubled: u64,
    /// Messages that came after a later one of their origin.
    pub out_of_order: u64,
    /// Messages that came to somebody they were not for.
    pub foreign: u64,
    /// Messages of other runs of the tester.
    pub other_runs: u64,
    /// Messages that were doubled or late: there was too much to remember.
    pub unclear: u64,
    /// Subscriptions whose losses were not judged: there were too many to remember.
    pub unjudged: u64,
    /// Origins of which nobody says what they sent: only losses between messages that came are counted.
    pub unknown_origins: u64,
    /// How exactly the time of a message that did not come is known: about so long after somebody joined it is open whether it had to come.
    pub times_within_micros: u64,
    /// Navigation states, where there were any.
    pub states: Option<StateVerdict>,
    /// Events that were only counted, where there were any.
    pub counted: Option<Counted>,
    /// The first of each finding.
    pub examples: Vec<Example>,
    /// What was looked at.
    pub basis: Basis,
    /// What that proves and what it cannot, in words.
    pub proves: String,
}

impl Verdict {
    /// Losses that no fault explains.
    pub fn lost_to_nothing(&self) -> u64 {
        self.lost.saturating_sub(self.lost_in_faults.total()).saturating_sub(self.lost_unclear)
    }

    /// Whether nothing is wrong but for what a fault explains; what is late counts as right.
    pub fn is_good(&self) -> bool {
        self.lost == self.lost_in_faults.total()
            && self.doubled + self.out_of_order + self.foreign + self.unclear == 0
            && self.states.as_ref().is_none_or(StateVerdict::is_good)
    }

    /// Adds what another process, or another group of receivers, has found.
    pub fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.expected += other.expected;
        self.received += other.received;
        self.lost += other.lost;
        self.lost_in_faults.merge(&other.lost_in_faults);
        self.lost_unclear += other.lost_unclear;
        self.late += other.late;
        self.late_in_faults.merge(&other.late_in_faults);
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
        self.foreign += other.foreign;
        self.other_runs += other.other_runs;
        self.unclear += other.unclear;
        self.unjudged += other.unjudged;
        self.unknown_origins = self.unknown_origins.max(other.unknown_origins);
        self.times_within_micros = self.times_within_micros.max(other.times_within_micros);
        if let Some(other) = &other.states {
            self.states.get_or_insert_default().merge(other);
        }
        if let Some(other) = &other.counted {
            self.counted.get_or_insert_default().merge(other);
        }
        self.examples.extend_from_slice(&other.examples);
        self.keep_first_examples();
        self.basis = self.basis.and(other.basis);
        self.proves = self.basis.words(self);
    }

    /// What was found after an earlier verdict of the same run, for one step of it. What was lost then and came since is not counted.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        let less = |now: u64, then: u64| now.saturating_sub(then);
        since.sent = less(self.sent, earlier.sent);
        since.received = less(self.received, earlier.received);
        since.lost = less(self.lost, earlier.lost);
        since.expected = since.received + since.lost;
        since.lost_in_faults = self.lost_in_faults.since(&earlier.lost_in_faults);
        since.lost_unclear = less(self.lost_unclear, earlier.lost_unclear);
        since.late = less(self.late, earlier.late);
        since.late_in_faults = self.late_in_faults.since(&earlier.late_in_faults);
        since.doubled = less(self.doubled, earlier.doubled);
        since.out_of_order = less(self.out_of_order, earlier.out_of_order);
        since.foreign = less(self.foreign, earlier.foreign);
        since.other_runs = less(self.other_runs, earlier.other_runs);
        since.unclear = less(self.unclear, earlier.unclear);
        since.unjudged = less(self.unjudged, earlier.unjudged);
        since.states = match (&self.states, &earlier.states) {
            (Some(now), Some(then)) => Some(now.since(then)),
            (now, _) => now.clone(),
        };
        since.examples.retain(|example| !earlier.examples.contains(example));
        since.proves = since.basis.words(&since);
        since
    }

    /// In the order of kind and time, so that the order of merging does not matter.
    pub(super) fn keep_first_examples(&mut self) {
        self.examples.sort_unstable();
        let mut kept: Vec<Example> = Vec::new();
        for example in &self.examples {
            let same = kept.iter().rev().take_while(|other| other.finding == example.finding).count();
            if same < EXAMPLES_OF_EACH {
                kept.push(*example);
            }
        }
        self.examples = kept;
    }
}

impl StateVerdict {
    /// Whether nothing is wrong but for what a fault explains.
    pub fn is_good(&self) -> bool {
        self.went_back + self.changes_doubled + self.changes_out_of_order + self.changes_unclear == 0
            && self.without_the_last == self.without_the_last_in_faults.total()
            && self.changes_skipped == self.changes_skipped_in_faults.total()
    }

    fn merge(&mut self, other: &Self) {
        self.received += other.received;
        self.went_back += other.went_back;
        self.without_the_last += other.without_the_last;
        self.without_the_last_in_faults.merge(&other.without_the_last_in_faults);
        self.changes_received += other.changes_received;
        self.changes_skipped += other.changes_skipped;
        self.changes_skipped_in_faults.merge(&other.changes_skipped_in_faults);
        self.changes_doubled += other.changes_doubled;
        self.changes_out_of_order += other.changes_out_of_order;
        self.changes_unclear += other.changes_unclear;
    }

    fn since(&self, earlier: &Self) -> Self {
        let less = |now: u64, then: u64| now.saturating_sub(then);
        Self {
            received: less(self.received, earlier.received),
            went_back: less(self.went_back, earlier.went_back),
            without_the_last: self.without_the_last,
            without_the_last_in_faults: self.without_the_last_in_faults.clone(),
            changes_received: less(self.changes_received, earlier.changes_received),
            changes_skipped: less(self.changes_skipped, earlier.changes_skipped),
            changes_skipped_in_faults: self
                .changes_skipped_in_faults
                .since(&earlier.changes_skipped_in_faults),
            changes_doubled: less(self.changes_doubled, earlier.changes_doubled),
            changes_out_of_order: less(self.changes_out_of_order, earlier.changes_out_of_order),
            changes_unclear: less(self.changes_unclear, earlier.changes_unclear),
        }
    }
}

/// One line: "0 lost, 0 doubled, 3 late", then what else there is.
impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lost", self.lost)?;
        if self.lost > 0 && (self.lost_in_faults.total() > 0 || self.lost_unclear > 0) {
            write_causes(f, &self.lost_in_faults, self.lost_to_nothing(), self.lost_unclear)?;
        }
        write!(f, ", {} doubled, {} late", self.doubled, self.late)?;
        if self.late_in_faults.total() > 0 {
            let rest = self.late.saturating_sub(self.late_in_faults.total());
            write_causes(f, &self.late_in_faults, rest, 0)?;
        }
        for (count, what) in [
            (self.out_of_order, "out of order"),
            (self.foreign, "foreign"),
            (self.unclear, "doubled or late, too many to tell"),
            (self.other_runs, "of other runs"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        if let Some(states) = &self.states {
            write!(f, "; {states}")?;
        }
        self.counted.as_ref().map_or(Ok(()), |counted| write!(f, "; {counted}"))
    }
}

fn write_causes(f: &mut fmt::Formatter<'_>, tally: &Tally, to_nothing: u64, unclear: u64) -> fmt::Result {
    let mut start = " (";
    let causes = tally.0.iter().map(|(cause, count)| (*count, cause.to_string()));
    let rest = [(to_nothing, "nothing".to_owned()), (unclear, "too many to tell".to_owned())];
    for (count, cause) in causes.chain(rest) {
        if count > 0 {
            write!(f, "{start}{count} to {cause}")?;
            start = ", ";
        }
    }
    write!(f, ")")
}

impl Display for StateVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, went_back, without_the_last, changes_received, changes_skipped, .. } = self;
        write!(f, "{received} states, {went_back} went back, {without_the_last} receivers without the last")?;
        if self.without_the_last_in_faults.total() > 0 {
            let rest = without_the_last.saturating_sub(self.without_the_last_in_faults.total());
            write_causes(f, &self.without_the_last_in_faults, rest, 0)?;
        }
        if *changes_received + changes_skipped == 0 {
            return Ok(());
        }
        write!(f, "; {changes_received} changes, {changes_skipped} skipped")?;
        if self.changes_skipped_in_faults.total() > 0 {
            let rest = changes_skipped.saturating_sub(self.changes_skipped_in_faults.total());
            write_causes(f, &self.changes_skipped_in_faults, rest, 0)?;
        }
        write!(f, ", {} doubled, {} out of order", self.changes_doubled, self.changes_out_of_order)
    }
}
