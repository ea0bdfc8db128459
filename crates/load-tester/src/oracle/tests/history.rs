//! What several receivers got, which a fault can be put into.

use std::collections::BTreeSet;

use crate::oracle::*;

pub(super) const RUN: u32 = 7;
pub(super) const BEGIN: u64 = 1_796_000_000_000_000;
/// Between two messages of an origin.
pub(super) const PACE: u64 = 100_000;
const TRAVEL: u64 = 2_000;
const TOO_LATE: u64 = 1_500_000;

/// One message at one receiver.
pub(super) type Place = (u32, u32, u64);

/// What a fault does to one message of one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Lose,
    /// The second one comes behind so many later ones of its origin.
    Double(usize),
    /// It comes behind the next of its origin.
    Swap,
    /// It comes too late, and behind so many later ones of its origin.
    Delay(usize),
    /// It comes to somebody else instead.
    Misroute,
    /// It comes to somebody else too.
    Leak,
}

impl Fault {
    /// How many messages of the origin have to follow.
    pub(super) const REACH: u64 = 4;
    pub(super) const ALL: [Self; 9] = [
        Self::Lose,
        Self::Double(0),
        Self::Double(3),
        Self::Swap,
        Self::Delay(0),
        Self::Delay(1),
        Self::Delay(3),
        Self::Misroute,
        Self::Leak,
    ];
}

/// Everything that is wrong, message by message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) lost: BTreeSet<Place>,
    pub(super) doubled: BTreeSet<Place>,
    pub(super) out_of_order: BTreeSet<Place>,
    pub(super) late: BTreeSet<Place>,
    pub(super) foreign: BTreeSet<Place>,
}

/// What comes to one receiver, in order: a message, and when.
type Arrivals = Vec<(Stamp, u64)>;

#[derive(Debug, Clone)]
pub(super) struct History {
    origins: Vec<Origin>,
    /// By receiver: the origins that it expects.
    expects: Vec<Vec<u32>>,
    arrivals: Vec<Arrivals>,
    pub(super) planted: Wrong,
}

impl History {
    /// Receivers that all get origin 0. The even ones get origin 1 too, a group, and each one an origin of its own, an echo.
    pub(super) fn good(receivers: u32, messages: u64) -> Self {
        let mut origins: Vec<Origin> = (0..receivers + 2).map(Origin::new).collect();
        let mut sends = Vec::new();
        for number in 0..messages {
            for origin in &mut origins {
                sends.push(origin.stamp(RUN, BEGIN + number * PACE + u64::from(origin.id()) * 7));
            }
        }
        let expects = |receiver: u32| {
            let group = receiver.is_multiple_of(2).then_some(1);
            [Some(0), group, Some(2 + receiver)].into_iter().flatten().collect::<Vec<u32>>()
        };
        let expects: Vec<Vec<u32>> = (0..receivers).map(expects).collect();
        let arrive = |own: &Vec<u32>| {
            let mine = sends.iter().filter(|stamp| own.contains(&stamp.origin));
            mine.map(|stamp| (*stamp, stamp.sent_micros + TRAVEL)).collect()
        };
        let arrivals = expects.iter().map(arrive).collect();
        Self { origins, expects, arrivals, planted: Wrong::default() }
    }

    /// The receiver's origins.
    pub(super) fn expects(&self, receiver: u32) -> &[u32] {
        &self.expects[receiver as usize]
    }

    /// Somebody who does not get that origin.
    fn stranger(&self, origin: u32) -> u32 {
        let is_stranger = |receiver: &u32| !self.expects(*receiver).contains(&origin);
        (0..).take(self.arrivals.len()).find(is_stranger).expect("somebody is not in the group")
    }

    /// Puts one fault in. No other may be within [`Fault::REACH`] numbers of the same origin at the same receiver.
    pub(super) fn plant(&mut self, fault: Fault, place @ (receiver, origin, number): Place) {
        let arrivals = &mut self.arrivals[receiver as usize];
        let own = |arrivals: &Arrivals, after: usize| {
            let of_origin = arrivals.iter().enumerate().filter(|(_, (stamp, _))| stamp.origin == origin);
            of_origin.filter(|(index, _)| *index > after).map(|(index, _)| index).collect::<Vec<_>>()
        };
        let is_it = |(stamp, _): &(Stamp, u64)| (stamp.origin, stamp.number) == (origin, number);
        let at = arrivals.iter().position(is_it).expect("no other fault is near");
        let behind = |arrivals: &Arrivals, count: usize| match count {
            0 => at + 1,
            count => own(arrivals, at)[count - 1] + 1,
        };
        let (stamp, came) = arrivals[at];
        match fault {
            Fault::Lose => {
                arrivals.remove(at);
                self.planted.lost.insert(place);
            }
            Fault::Double(count) => {
                arrivals.insert(behind(arrivals, count), (stamp, came + PACE));
                self.planted.doubled.insert(place);
            }
            Fault::Swap => {
                arrivals.insert(behind(arrivals, 1), (stamp, came));
                arrivals.remove(at);
                self.planted.out_of_order.insert(place);
            }
            Fault::Delay(count) => {
                arrivals.insert(behind(arrivals, count), (stamp, came + TOO_LATE));
                arrivals.remove(at);
                self.planted.late.insert(place);
                if count > 0 {
                    self.planted.out_of_order.insert(place);
                }
            }
            Fault::Misroute | Fault::Leak => {
                if fault == Fault::Misroute {
                    arrivals.remove(at);
                    self.planted.lost.insert(place);
                }
                let stranger = self.stranger(origin);
                let arrivals = &mut self.arrivals[stranger as usize];
                arrivals.insert(at.min(arrivals.len()), (stamp, came));
                self.planted.foreign.insert((stranger, origin, number));
            }
        }
    }

    /// Lets everything arrive: what was found, message by message, and the receivers.
    pub(super) fn play(&self) -> (Wrong, Vec<Receiver>) {
        let (rules, origins) = (Rules::new(RUN), self.origins());
        let mut found = Wrong::default();
        let mut receivers = Vec::new();
        for ((id, expects), arrivals) in (0..).zip(&self.expects).zip(&self.arrivals) {
            let mut receiver = Receiver::new(id, expects.len());
            expects.iter().for_each(|origin| receiver.expects(*origin, BEGIN));
            for (stamp, now) in arrivals {
                let place = (id, stamp.origin, stamp.number);
                let arrival = receiver.arrived(&rules, stamp, *now);
                let is_first = match arrival {
                    Arrival::New { is_late } | Arrival::OutOfOrder { is_late } => {
                        !is_late || found.late.insert(place)
                    }
                    Arrival::Doubled => found.doubled.insert(place),
                    Arrival::Foreign => found.foreign.insert(place),
                    other => panic!("{place:?} is {other:?}"),
                };
                assert!(is_first, "{place:?} was found twice");
                if matches!(arrival, Arrival::OutOfOrder { .. }) {
                    assert!(found.out_of_order.insert(place), "{place:?}");
                }
            }
            for loss in receiver.losses(&rules, &origins, None) {
                assert_eq!(loss.blame, Blame::Nothing);
                found.lost.extend(loss.numbers.map(|number| (id, loss.origin, number)));
            }
            receivers.push(receiver);
        }
        (found, receivers)
    }

    pub(super) fn origins(&self) -> Origins {
        self.origins.iter().cloned().collect()
    }
}

/// The verdict of one process on everything.
pub(super) fn verdict(receivers: &[Receiver], origins: &Origins) -> Verdict {
    judge(&Rules::new(RUN), receivers, origins, origins, None)
}

impl Wrong {
    pub(super) fn assert_counted(&self, verdict: &Verdict) {
        let Verdict { lost, doubled, out_of_order, late, foreign, .. } = verdict;
        let counts = [&self.lost, &self.doubled, &self.out_of_order, &self.late, &self.foreign];
        assert_eq!(
            [*lost, *doubled, *out_of_order, *late, *foreign],
            counts.map(|places| places.len() as u64)
        );
        assert_eq!((verdict.unclear, verdict.other_runs, verdict.lost_to_nothing()), (0, 0, *lost));
    }
}
