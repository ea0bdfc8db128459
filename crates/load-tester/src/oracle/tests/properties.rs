//! Any history: what was planted is found, at its place and by its name, and nothing else is.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::history::{BEGIN, Fault, History, PACE, Place, RUN, Wrong, verdict};
use crate::oracle::*;

const RECEIVERS: u32 = 5;
/// Numbers for one fault, so that none is near another.
const ROOM: u64 = Fault::REACH + 3;
const ROOMS: u64 = 12;

/// Faults at any places of their own.
fn faults() -> impl Strategy<Value = BTreeMap<Place, Fault>> {
    let fault = prop_oneof![
        Just(Fault::Lose),
        Just(Fault::Swap),
        Just(Fault::Misroute),
        Just(Fault::Leak),
        (0..=3_usize).prop_map(Fault::Double),
        (0..=3_usize).prop_map(Fault::Delay),
    ];
    let place = (0..RECEIVERS, 0..3_usize, 0..ROOMS);
    prop::collection::btree_map(place, fault, 0..120).prop_map(|faults| {
        let good = History::good(RECEIVERS, 1);
        let place = |((receiver, link, room), fault): ((u32, usize, u64), Fault)| {
            let origin = *good.expects(receiver).get(link)?;
            let is_for_all = origin == 0 && matches!(fault, Fault::Misroute | Fault::Leak);
            // No two receivers leak the same one, so that the stranger gets each once.
            let number = room * ROOM + u64::from(receiver / 2);
            (!is_for_all).then_some(((receiver, origin, number), fault))
        };
        faults.into_iter().filter_map(place).collect()
    })
}

fn planted(faults: &BTreeMap<Place, Fault>) -> History {
    let mut history = History::good(RECEIVERS, ROOMS * ROOM);
    for (place, fault) in faults {
        history.plant(*fault, *place);
    }
    history
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_planted_is_found_and_nothing_else(faults in faults()) {
        let history = planted(&faults);
        let (found, receivers) = history.play();
        prop_assert_eq!(&found, &history.planted);
        let verdict = verdict(&receivers, &history.origins());
        found.assert_counted(&verdict);
        prop_assert_eq!(verdict.is_good(), faults.values().all(|fault| *fault == Fault::Delay(0)));
        for example in &verdict.examples {
            let places = match example.finding {
                Finding::Lost => &found.lost,
                Finding::Doubled => &found.doubled,
                Finding::OutOfOrder => &found.out_of_order,
                Finding::Foreign => &found.foreign,
                Finding::Late => &found.late,
            };
            for number in example.first..=example.last {
                prop_assert!(places.contains(&(example.receiver, example.origin, number)), "{:?}", example);
            }
        }
    }

    #[test]
    fn several_processes_find_what_one_does(faults in faults(), processes in 1..4_u32, shift in 0..4_u32) {
        let history = planted(&faults);
        let (_, receivers) = history.play();
        let all = history.origins();
        let one = verdict(&receivers, &all);
        let mut merged = Verdict::default();
        let mut exchanged = Origins::new();
        let own = |process: u32| -> Origins {
            let is_own = |id: &u32| (id + shift) % processes == process;
            (0..RECEIVERS + 2).filter(is_own).filter_map(|id| all.get(id).cloned()).collect()
        };
        (0..processes).for_each(|process| exchanged.merge(own(process)));
        prop_assert_eq!(&exchanged, &all);
        for process in (0..processes).rev() {
            let receivers = receivers.iter().filter(|receiver| receiver.id() % processes == process);
            merged.merge(&judge(&Rules::new(RUN), receivers, &exchanged, &own(process), None));
        }
        prop_assert_eq!(merged, one);
    }

    #[test]
    fn each_loss_has_the_fault_in_whose_time_it_was_sent(
        lost in prop::collection::btree_set(0..200_u64, 0..60),
        times in prop::collection::btree_set(0..250_u64, 0..12),
        of_sender in prop::collection::btree_set(0..250_u64, 0..4),
    ) {
        // Between two sends, so that the remembered times need not be exact.
        let at = |time: &u64| BEGIN + time * PACE + PACE / 2;
        let causes = [Cause::Drop, Cause::PausedReader, Cause::ConnectionLost];
        let rules = Rules::new(RUN);
        let mut origin = Origin::new(0);
        let mut receiver = Receiver::new(0, 1);
        receiver.expects(0, BEGIN);
        let spans = |times: &std::collections::BTreeSet<u64>| {
            let times: Vec<u64> = times.iter().map(at).collect();
            let pairs = times.chunks(2).zip(causes.iter().cycle());
            pairs.map(|(pair, cause)| (*cause, pair[0], pair.get(1).copied())).collect::<Vec<_>>()
        };
        for (cause, from, to) in spans(&times) {
            receiver.goes_away(cause, from);
            to.into_iter().for_each(|to| receiver.is_back(to));
        }
        for (cause, from, to) in spans(&of_sender) {
            origin.goes_away(cause, from);
            to.into_iter().for_each(|to| origin.is_back(to));
        }
        let mut expected = BTreeMap::new();
        for number in 0..200 {
            let stamp = origin.stamp(RUN, BEGIN + number * PACE);
            if !lost.contains(&number) {
                receiver.arrived(&rules, &stamp, stamp.sent_micros + 1);
                continue;
            }
            let is_in = |(_, from, to): &&(Cause, u64, Option<u64>)| {
                from - rules.late_micros <= stamp.sent_micros && to.is_none_or(|to| stamp.sent_micros <= to)
            };
            let blame = [spans(&times), spans(&of_sender)].iter().find_map(|spans| spans.iter().find(is_in).copied());
            expected.insert(number, blame.map_or(Blame::Nothing, |(cause, ..)| Blame::Fault(cause)));
        }
        let origins: Origins = [origin].into_iter().collect();
        let mut found = BTreeMap::new();
        for loss in receiver.losses(&rules, &origins, None) {
            found.extend(loss.numbers.map(|number| (number, loss.blame)));
        }
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_clean_history_has_nothing() {
    let history = planted(&BTreeMap::new());
    let (found, receivers) = history.play();
    assert_eq!(found, Wrong::default());
    let verdict = verdict(&receivers, &history.origins());
    assert_eq!(verdict.to_string(), "0 lost, 0 doubled, 0 late");
    for (receiver, link) in receivers.iter().zip([3, 2, 3, 2, 3]) {
        assert!(receiver.trouble.is_none(), "nothing is allocated");
        assert_eq!((receiver.pairs.len(), receiver.pairs.capacity()), (link, link));
    }
    assert_eq!((verdict.sent, verdict.received), (7 * 84, (5 + 3 + 5) * 84));
}
