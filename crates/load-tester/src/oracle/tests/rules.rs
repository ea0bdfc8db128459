//! One rule each.

use crate::oracle::*;

const RUN: u32 = 0x0bad_cafe;
const SECOND: u64 = 1_000_000;

/// Number `n` is sent at `n` seconds, and comes 1 ms later.
struct Line {
    rules: Rules,
    origin: Origin,
    stamps: Vec<Stamp>,
}

impl Line {
    fn new(messages: u64) -> Self {
        let mut origin = Origin::new(0);
        let stamps = (0..messages).map(|number| origin.stamp(RUN, number * SECOND)).collect();
        Self { rules: Rules::new(RUN), origin, stamps }
    }

    fn give(&self, receiver: &mut Receiver, numbers: impl IntoIterator<Item = usize>) -> Vec<Arrival> {
        let arrive = |number: usize| {
            let stamp = &self.stamps[number];
            receiver.arrived(&self.rules, stamp, stamp.sent_micros + 1_000)
        };
        numbers.into_iter().map(arrive).collect()
    }

    fn verdict(&self, receiver: &Receiver, until: Option<u64>) -> Verdict {
        let origins: Origins = [self.origin.clone()].into_iter().collect();
        judge(&self.rules, [receiver], &origins, &origins, until)
    }
}

fn receiver(since: u64) -> Receiver {
    let mut receiver = Receiver::new(1, 1);
    receiver.expects(0, since);
    receiver
}

#[test]
fn ten_thousand_receivers_of_ten_origins_take_a_few_megabytes() {
    assert_eq!((Receiver::BYTES_PER_ORIGIN, Receiver::BYTES), (32, 56));
    assert_eq!(memory_bytes(10_000, 10, 10), 10_000 * (56 + 320) + 10 * Origin::BYTES);
    assert!(memory_bytes(10_000, 10, 10) < 4_000_000);
    assert_eq!((Origin::BYTES, Origin::MOST_BYTES), (120, 16_384));
    assert_eq!(memory_bytes(usize::MAX, 2, 2), usize::MAX);
}

#[test]
fn who_joins_has_to_get_what_is_sent_then() {
    let line = Line::new(10);
    let mut joined = receiver(4 * SECOND - SECOND / 2);
    line.give(&mut joined, [5, 6, 7, 8]);
    let verdict = line.verdict(&joined, None);
    assert_eq!((verdict.lost, verdict.expected, verdict.examples.len()), (2, 6, 2), "{verdict}");
    assert_eq!((verdict.examples[0].first, verdict.examples[1].last), (4, 9));

    let mut early = receiver(4 * SECOND);
    line.give(&mut early, 2..10);
    let verdict = line.verdict(&early, None);
    assert_eq!((verdict.lost, verdict.received, verdict.foreign), (0, 8, 0), "what was on its way may come");

    let line = Line::new(20);
    let mut late = receiver(15 * SECOND);
    assert_eq!(line.give(&mut late, [9, 10]), [Arrival::Foreign, Arrival::New { is_late: false }]);
}

#[test]
fn who_leaves_gets_nothing_more_until_it_is_back() {
    let line = Line::new(30);
    let mut receiver = receiver(0);
    line.give(&mut receiver, 0..10);
    receiver.stops(0, 10 * SECOND, 10 * SECOND + 1);
    receiver.stops(0, 11 * SECOND, 11 * SECOND);
    assert_eq!(line.give(&mut receiver, [10, 11]), [Arrival::New { is_late: false }, Arrival::Foreign]);
    receiver.expects(0, 20 * SECOND);
    receiver.expects(0, 25 * SECOND);
    assert_eq!(line.give(&mut receiver, [14, 16])[..], [Arrival::Foreign, Arrival::New { is_late: false }]);
    line.give(&mut receiver, (20..29).filter(|number| *number != 22));
    let verdict = line.verdict(&receiver, None);
    assert_eq!((verdict.lost, verdict.foreign), (2, 2), "{verdict}");
    receiver.closes(22 * SECOND, 23 * SECOND);
    let verdict = line.verdict(&receiver, None);
    assert_eq!(verdict.lost, 0, "22 was on its way, and 29 after the end");
}

#[test]
fn a_loss_is_put_down_to_who_was_away() {
    let line = Line::new(40);
    let mut receiver = receiver(0);
    receiver.goes_away(Cause::Drop, 10 * SECOND + SECOND / 2);
    receiver.goes_away(Cause::Storm, 11 * SECOND);
    receiver.is_back(12 * SECOND + SECOND / 2);
    receiver.is_back(20 * SECOND);
    receiver.goes_away(Cause::ConnectionLost, 38 * SECOND);
    // 10 was on its way; 13 was sent after the connection was back.
    line.give(&mut receiver, (0..38).filter(|number| !(9..15).contains(number)));
    let verdict = line.verdict(&receiver, None);
    assert_eq!(
        verdict.to_string(),
        "8 lost (3 to drop, 2 to connection lost, 3 to nothing), 0 doubled, 0 late"
    );
    assert_eq!((verdict.lost_to_nothing(), verdict.is_good()), (3, false));
    assert!(verdict.proves.contains("put down to a fault"), "{}", verdict.proves);
}

#[test]
fn a_sender_that_was_away_explains_it_too() {
    let mut line = Line::new(20);
    line.origin.goes_away(Cause::Drop, 5 * SECOND);
    line.origin.is_back(7 * SECOND);
    line.origin.unsent(9);
    line.origin.unsent(10);
    let mut receiver = receiver(0);
    line.give(&mut receiver, (0..20).filter(|number| ![4, 5, 9, 10, 15].contains(number)));
    let verdict = line.verdict(&receiver, None);
    assert_eq!(verdict.to_string(), "3 lost (2 to drop, 1 to nothing), 0 doubled, 0 late");
    assert_eq!(verdict.sent, 18);
}

#[test]
fn an_early_end_does_not_judge_what_is_on_its_way() {
    let line = Line::new(20);
    let mut receiver = receiver(0);
    line.give(&mut receiver, (0..18).filter(|number| *number != 12));
    assert_eq!(line.verdict(&receiver, Some(19 * SECOND)).lost, 1);
    assert_eq!(line.verdict(&receiver, None).lost, 3);
    assert_eq!(receiver.so_far().missing, 1);
}

#[test]
fn late_is_counted_with_what_explains_it() {
    let line = Line::new(3);
    let mut receiver = receiver(0);
    let arrive = |receiver: &mut Receiver, number: usize, age: u64| {
        receiver.arrived(&line.rules, &line.stamps[number], line.stamps[number].sent_micros + age)
    };
    assert_eq!(arrive(&mut receiver, 0, SECOND), Arrival::New { is_late: false });
    assert_eq!(arrive(&mut receiver, 1, SECOND + 1), Arrival::New { is_late: true });
    receiver.goes_away(Cause::PausedReader, 2 * SECOND + 5);
    assert_eq!(arrive(&mut receiver, 2, 4 * SECOND), Arrival::New { is_late: true });
    let verdict = line.verdict(&receiver, None);
    assert_eq!(verdict.to_string(), "0 lost, 0 doubled, 2 late (1 to paused reader, 1 to nothing)");
    assert!(verdict.is_good());
}

#[test]
fn what_was_never_sent_or_is_of_another_run_is_not_received() {
    let line = Line::new(3);
    let mut receiver = receiver(0);
    line.give(&mut receiver, 0..3);
    let other = |run, origin, number| Stamp { run, origin, number, sent_micros: 3 * SECOND };
    for (stamp, arrival) in [
        (other(RUN + 1, 0, 3), Arrival::OtherRun),
        (other(RUN, 1, 0), Arrival::Foreign),
        (other(RUN, 0, u64::MAX), Arrival::Foreign),
        (other(RUN, 0, 5), Arrival::New { is_late: false }),
    ] {
        assert_eq!(receiver.arrived(&line.rules, &stamp, 3 * SECOND), arrival, "{stamp:?}");
    }
    let verdict = line.verdict(&receiver, None);
    assert_eq!(verdict.to_string(), "0 lost, 0 doubled, 0 late, 3 foreign, 1 of other runs");
    assert_eq!((verdict.received, verdict.expected), (3, 3));
}

#[test]
fn more_gaps_than_it_remembers_are_counted_and_said() {
    let gaps = MOST_REMEMBERED + 100;
    let line = Line::new(2 * gaps as u64 + 1);
    let mut receiver = receiver(0);
    line.give(&mut receiver, (0..=2 * gaps).step_by(2));
    let verdict = line.verdict(&receiver, None);
    assert_eq!((verdict.lost, verdict.lost_unclear), (gaps as u64, 100));
    assert!(verdict.proves.contains("More was missing"), "{}", verdict.proves);
    // The oldest are forgotten, so what comes of them now is a double or is not.
    assert_eq!(line.give(&mut receiver, [1, 0]), [Arrival::Unclear; 2]);
    assert_eq!(line.give(&mut receiver, [2 * gaps - 1]), [Arrival::OutOfOrder { is_late: false }]);
    assert_eq!(line.give(&mut receiver, [2 * gaps - 1]), [Arrival::Doubled]);
    assert_eq!(line.verdict(&receiver, None).lost, gaps as u64 - 1);
}

#[test]
fn times_away_and_subscriptions_beyond_the_bound_are_said_too() {
    let most = MOST_REMEMBERED as u64 + 1;
    let line = Line::new(4 * most);
    let mut away = receiver(0);
    let mut leaves = receiver(0);
    for n in 0..most {
        away.goes_away(Cause::Drop, 4 * n * SECOND + 1);
        away.is_back(4 * n * SECOND + 2);
        leaves.stops(0, (4 * n + 1) * SECOND, (4 * n + 1) * SECOND);
        leaves.expects(0, (4 * n + 3) * SECOND);
    }
    line.give(&mut away, (3..4 * MOST_REMEMBERED + 4).filter(|number| *number != 4));
    let verdict = line.verdict(&away, None);
    assert_eq!((verdict.lost, verdict.lost_unclear, verdict.lost_in_faults.total()), (4, 1, 1), "{verdict}");
    let verdict = line.verdict(&leaves, None);
    assert_eq!(verdict.unjudged, 1);
}

#[test]
fn nobody_who_says_what_was_sent_leaves_the_end_open() {
    let line = Line::new(10);
    let mut receiver = receiver(0);
    line.give(&mut receiver, [0, 1, 3, 4]);
    let verdict = judge(&line.rules, [&receiver], &Origins::new(), &Origins::new(), None);
    assert_eq!((verdict.lost, verdict.lost_unclear, verdict.unknown_origins), (1, 1, 1));
    assert!(verdict.proves.contains("has not said what it sent"), "{}", verdict.proves);
}

#[test]
fn a_verdict_and_origins_survive_the_way_between_processes() {
    let mut line = Line::new(10);
    line.origin.goes_away(Cause::Storm, 3);
    let mut receiver = receiver(0);
    receiver.goes_away(Cause::Stateful, 2 * SECOND);
    line.give(&mut receiver, [0, 1, 4, 4]);
    let verdict = line.verdict(&receiver, None);
    let text = serde_json::to_string(&verdict).unwrap();
    assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict, "{text}");
    let origins: Origins = [line.origin.clone()].into_iter().collect();
    let text = serde_json::to_string(&origins).unwrap();
    let mut merged = serde_json::from_str::<Origins>(&text).unwrap();
    assert_eq!(merged, origins);
    merged.merge(origins.clone());
    assert_eq!(merged, origins);
}

#[test]
fn a_step_is_what_came_since_the_one_before() {
    let line = Line::new(20);
    let mut receiver = receiver(0);
    line.give(&mut receiver, [0, 1, 1, 3, 4, 5, 6, 7, 8, 9]);
    let first = line.verdict(&receiver, Some(10 * SECOND));
    line.give(&mut receiver, (10..20).filter(|number| *number != 12));
    let second = line.verdict(&receiver, None).since(&first);
    assert_eq!((first.lost, first.doubled, first.received), (1, 1, 9));
    assert_eq!((second.lost, second.doubled, second.received, second.expected), (1, 0, 9, 10));
    assert_eq!(second.examples.iter().map(|example| example.first).collect::<Vec<_>>(), [12]);
}
