//! One good history, and every single fault at every n-th message of it.

use super::history::{Fault, History, Wrong, verdict};

const RECEIVERS: u32 = 4;
const MESSAGES: u64 = 40;

#[test]
fn every_fault_is_found_and_called_by_its_name() {
    let good = History::good(RECEIVERS, MESSAGES);
    let (found, receivers) = good.play();
    assert_eq!(found, Wrong::default());
    let untouched = verdict(&receivers, &good.origins());
    assert!(untouched.is_good());
    assert_eq!((untouched.expected, untouched.received), (400, 400), "10 links of 40");
    let mut planted = 0;
    for receiver in 0..RECEIVERS {
        for origin in good.expects(receiver) {
            for number in (0..MESSAGES - Fault::REACH).step_by(7).chain([1, MESSAGES - Fault::REACH - 1]) {
                // All get origin 0: nobody is a stranger to it.
                let has_stranger =
                    |fault: &Fault| *origin != 0 || !matches!(fault, Fault::Misroute | Fault::Leak);
                for fault in Fault::ALL.into_iter().filter(has_stranger) {
                    let mut history = good.clone();
                    history.plant(fault, (receiver, *origin, number));
                    let (found, receivers) = history.play();
                    assert_eq!(found, history.planted, "{fault:?} at {receiver}, {origin}, {number}");
                    found.assert_counted(&verdict(&receivers, &history.origins()));
                    planted += 1;
                }
            }
        }
    }
    assert_eq!(planted, 8 * (6 * 9 + 4 * 7));
}

#[test]
fn the_last_messages_can_be_lost_doubled_and_late_too() {
    let good = History::good(RECEIVERS, MESSAGES);
    for fault in [Fault::Lose, Fault::Double(0), Fault::Delay(0), Fault::Misroute, Fault::Leak] {
        let mut history = good.clone();
        history.plant(fault, (0, 1, MESSAGES - 1));
        let (found, receivers) = history.play();
        assert_eq!(found, history.planted, "{fault:?}");
        found.assert_counted(&verdict(&receivers, &history.origins()));
    }
}
