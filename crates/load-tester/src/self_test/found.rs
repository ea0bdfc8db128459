use std::collections::BTreeMap;

use crate::oracle::{Arrival, Origins, Receiver, Rules, Stamp, Verdict, judge};
use crate::self_test::clock::Stalls;
use crate::self_test::faults::{Place, Wrong};

/// A receiver whose findings are written down one by one.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) receiver: Receiver,
    found: Wrong,
    /// From when to when what was late was on its way.
    late: BTreeMap<Place, (u64, u64)>,
    /// What cannot be in a self-test: messages of other runs, or such as nobody can tell.
    odd: u64,
}

impl Watched {
    pub(super) fn new(receiver: Receiver) -> Self {
        Self { receiver, found: Wrong::default(), late: BTreeMap::new(), odd: 0 }
    }

    pub(super) fn arrived(&mut self, rules: &Rules, stamp: &Stamp, now_micros: u64) {
        let arrival = self.receiver.arrived(rules, stamp, now_micros);
        if arrival != (Arrival::New { is_late: false }) {
            self.write_down(arrival, stamp, now_micros);
        }
    }

    #[inline(never)]
    fn write_down(&mut self, arrival: Arrival, stamp: &Stamp, now_micros: u64) {
        let place = (self.receiver.id(), stamp.origin, stamp.number);
        let found = &mut self.found;
        match arrival {
            Arrival::New { .. } => {}
            Arrival::OutOfOrder { .. } => found.out_of_order.push(place),
            Arrival::Doubled => found.doubled.push(place),
            Arrival::Foreign => found.foreign.push(place),
            Arrival::OtherRun | Arrival::Unclear => self.odd += 1,
        }
        if let Arrival::New { is_late: true } | Arrival::OutOfOrder { is_late: true } = arrival {
            found.late.push(place);
            self.late.insert(place, (stamp.sent_micros, now_micros));
        }
    }

    /// Adds what never came, and returns all that is wrong.
    fn all(&self, rules: &Rules, origins: &Origins) -> Wrong {
        let mut found = self.found.clone();
        for loss in self.receiver.losses(rules, origins, None) {
            let place = |number| (self.receiver.id(), loss.origin, number);
            found.lost.extend(loss.numbers.clone().map(place));
        }
        found
    }
}

/// What was planted beside what was found.
#[derive(Debug, Clone)]
pub(super) struct Compared {
    /// Messages that arrived.
    pub(super) arrived: u64,
    pub(super) planted: Wrong,
    pub(super) found: Wrong,
    pub(super) verdict: Verdict,
    /// Late messages that nobody has planted, and that came while this program stood still.
    pub(super) late_by_stalls: u64,
    pub(super) odd: u64,
}

impl Compared {
    /// Judges receivers whose messages have all come that will.
    pub(super) fn new(
        rules: &Rules,
        watched: &[Watched],
        origins: &Origins,
        mut planted: Wrong,
        arrived: u64,
        stalls: &Stalls,
    ) -> Self {
        planted.sort();
        let mut found = Wrong::default();
        let mut late_by_stalls = 0;
        for receiver in watched {
            found.append(receiver.all(rules, origins));
        }
        found.sort();
        found.late.retain(|place| {
            let span = watched.iter().find_map(|watched| watched.late.get(place));
            let is_by_stall = planted.late.binary_search(place).is_err()
                && span.is_some_and(|(sent, came)| stalls.within(*sent, *came));
            late_by_stalls += u64::from(is_by_stall);
            !is_by_stall
        });
        let odd = watched.iter().map(|watched| watched.odd).sum();
        let verdict = judge(rules, watched.iter().map(|watched| &watched.receiver), origins, origins, None);
        Self { arrived, planted, found, verdict, late_by_stalls, odd }
    }

    /// Whether the same places were found as planted, and the verdict counts them.
    pub(super) fn is_equal(&self) -> bool {
        let Verdict { lost, doubled, out_of_order, foreign, late, .. } = self.verdict;
        let counts = [lost, doubled, out_of_order, foreign, late.saturating_sub(self.late_by_stalls)];
        self.planted == self.found
            && self.odd == 0
            && counts == self.found.kinds().map(|places| places.len() as u64)
    }
}
