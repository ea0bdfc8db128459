//! Navigation states, single changes, and events that are only counted.

use crate::oracle::*;

const SECOND: u64 = 1_000_000;

fn rules() -> Rules {
    Rules::new(1)
}

fn states_of(verdict: &Verdict) -> &StateVerdict {
    verdict.states.as_ref().unwrap()
}

#[test]
fn a_state_may_be_skipped_but_never_goes_back_and_the_last_must_come() {
    let states = States::new();
    let mut receivers: Vec<StateReceiver> = (0..4).map(|_| StateReceiver::new(0)).collect();
    for (receiver, versions) in receivers.iter_mut().zip([&[1, 5, 5, 9][..], &[1, 9], &[5, 1, 9], &[1, 5]]) {
        for (version, at) in versions.iter().zip(5..) {
            let is_back = *versions == [5, 1, 9] && *version == 1;
            assert_eq!(receiver.state(&states, *version, at * SECOND), !is_back);
        }
    }
    // The result of a call may be behind an event, and is as good as one.
    receivers[0].answer(&states, 3, 9 * SECOND);
    let verdict = judge_states(&rules(), &receivers, &states.known());
    assert_eq!(
        verdict.to_string(),
        "0 lost, 0 doubled, 0 late; 11 states, 1 went back, 1 receivers without the last"
    );
    assert!(!verdict.is_good() && verdict.proves.contains("may be skipped"));
    receivers[3].answer(&states, 9, 10 * SECOND);
    let verdict = judge_states(&rules(), &receivers, &states.known());
    assert_eq!((states_of(&verdict).without_the_last, states_of(&verdict).went_back), (0, 1));
    states.newest(12, 11 * SECOND);
    let verdict = judge_states(&rules(), &receivers, &states.known());
    assert_eq!(
        states_of(&verdict).without_the_last,
        4,
        "a state that nobody got, which an admin was told of"
    );
}

#[test]
fn a_change_that_one_got_all_had_to_get() {
    let states = States::new();
    let mut receivers: Vec<StateReceiver> = (0..5).map(|_| StateReceiver::new(0)).collect();
    // 2 to 6 are an import and providers: nobody gets these, and that is right.
    for (version, at) in [(1, 2), (7, 3), (200, 4), (201, 5), (300, 6)] {
        for receiver in &mut receivers[..1] {
            receiver.change(&states, version, at * SECOND);
        }
    }
    for (receiver, versions) in receivers[1..].iter_mut().zip([
        &[1, 200, 201, 300][..],
        &[1, 7, 200, 200, 201, 300],
        &[7, 1, 200, 201, 300],
        &[],
    ]) {
        versions.iter().for_each(|version| receiver.change(&states, *version, 7 * SECOND));
    }
    let verdict = judge_states(&rules(), &receivers, &states.known());
    let StateVerdict { changes_received, changes_skipped, changes_doubled, changes_out_of_order, .. } =
        states_of(&verdict);
    assert_eq!((changes_received, changes_skipped, changes_doubled, changes_out_of_order), (&20, &6, &1, &1));
    let mut late = vec![StateReceiver::new(5 * SECOND)];
    let verdict = judge_states(&rules(), &late, &states.known());
    assert_eq!(states_of(&verdict).changes_skipped, 1, "what was first seen a second after it joined");
    late[0].goes_away(Cause::Storm, 6 * SECOND + 1);
    late[0].is_back(7 * SECOND);
    let verdict = judge_states(&rules(), &late, &states.known());
    assert_eq!(states_of(&verdict).changes_skipped_in_faults.total(), 1);
    assert!(verdict.is_good(), "{verdict}");
}

#[test]
fn a_change_that_only_the_slowest_got_is_known_too() {
    let states = States::new();
    let (mut first, mut second) = (StateReceiver::new(0), StateReceiver::new(0));
    first.change(&states, 9, 2 * SECOND);
    second.change(&states, 8, 3 * SECOND);
    second.change(&states, 9, 3 * SECOND);
    let verdict = judge_states(&rules(), [&first, &second], &states.known());
    assert_eq!(states_of(&verdict).changes_skipped, 1);
    assert_eq!(states.known().changes.keys().copied().collect::<Vec<_>>(), [8, 9]);
}

#[test]
fn versions_too_far_from_each_other_are_said_to_be_unclear() {
    let states = States::new();
    let mut receiver = StateReceiver::new(0);
    for version in [10_000_000, 10_000_000 + States::MOST_CHANGES, 5, u64::MAX] {
        receiver.change(&states, version, 2 * SECOND);
    }
    let verdict = judge_states(&rules(), [&receiver], &states.known());
    let states = states_of(&verdict);
    assert_eq!((states.changes_received, states.changes_skipped, states.changes_unclear), (4, 0, 3));
    assert!(!verdict.is_good());
}

#[test]
fn processes_know_together_what_one_would() {
    let (one, other) = (States::new(), States::new());
    one.newest(3, 30);
    one.change(2, 25);
    other.newest(3, 20);
    other.change(2, 35);
    other.change(4, 40);
    let mut known = one.known();
    known.merge(&other.known());
    assert_eq!(known.newest, Some((3, 20)));
    assert_eq!(known.changes.into_iter().collect::<Vec<_>>(), [(2, 25), (4, 40)]);
}

#[test]
fn what_was_only_counted_is_said_to_be() {
    let mut verdict = judge_counts([3, 3, 3]);
    assert_eq!(verdict.to_string(), "0 lost, 0 doubled, 0 late; 9 events counted at 3 receivers, 3 at each");
    verdict.merge(&judge_counts([5]));
    verdict.merge(&judge_counts([]));
    assert_eq!(verdict.counted, Some(Counted { receivers: 4, events: 14, fewest: 3, most: 5 }));
    assert!(verdict.proves.contains("do not prove that nothing was"), "{}", verdict.proves);
    assert!(Verdict::default().proves.is_empty());
    assert!(judge_counts([]).proves.contains("nothing is proved"));
}
