use serde::{Deserialize, Serialize};

use crate::oracle::verdict::Verdict;

/// What a verdict rests on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Basis {
    /// Payloads of ours that came back with their stamps.
    pub stamps: bool,
    /// Versions of navigation states.
    pub states: bool,
    /// Versions of single changes.
    pub changes: bool,
    /// Events without anything of ours, which were only counted.
    pub counts: bool,
}

impl Basis {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            stamps: self.stamps || other.stamps,
            states: self.states || other.states,
            changes: self.changes || other.changes,
            counts: self.counts || other.counts,
        }
    }

    /// What that proves and what it cannot.
    pub(super) fn words(self, verdict: &Verdict) -> String {
        let mut words: Vec<String> = Vec::new();
        let mut say = |sentence: &str| words.push(sentence.to_owned());
        if self.stamps {
            say(&format!(
                "Messages carried their sender, number and time: each one that was lost, doubled, out of order, late or at somebody it was not for is \
                 counted. Not proved: the order of messages of different senders, and whether what was sent within {} ms after somebody joined had to come.",
                verdict.times_within_micros.div_ceil(1000)
            ));
        }
        if self.states {
            say(
                "Navigation states carried versions: none went back, and each receiver has the last one, if the counts say so. A state in between \
                 may be skipped, so a lost one is no finding.",
            );
        }
        if self.changes {
            say(
                "Changes carried versions: one that any receiver got, all had to get, once and in order. A change that nobody got shows only if its version was told \
                 to the tester.",
            );
        }
        if self.counts {
            say(
                "Some events carried nothing of the tester's: they were counted. Receivers with different counts prove that something was lost or doubled, not what; \
                 equal counts do not prove that nothing was. Age and order of these events are not known.",
            );
        }
        if !(self.stamps || self.states || self.changes || self.counts) {
            say("No message was looked at, so nothing is proved about delivery.");
        }
        if verdict.lost_in_faults.total() > 0 {
            say(
                "A loss is put down to a fault if it was sent while the receiver or the sender was away, or up to --late before: the server may have lost it by itself \
                 at the same time.",
            );
        }
        if verdict.lost_unclear + verdict.unclear + verdict.unjudged > 0 {
            say(
                "More was missing at some receiver than the tester remembers one by one: what is counted there as unclear is lost, late or doubled, and not attributed.",
            );
        }
        if verdict.unknown_origins > 0 {
            say("A sender's process has not said what it sent: what it sent last is not judged.");
        }
        words.join(" ")
    }
}
