use super::*;

const USERS: [&str; 4] = ["ada", "bob", "cyd", "dan"];

/// Each user sends to each other one, and to a room all are in; everybody sees everything by the way given.
fn good(way: Way) -> (History, Vec<Stored>) {
    let mut events: Vec<Event> =
        USERS.map(|user| Event::Joined { user: user.to_owned(), room: "ward".to_owned() }).to_vec();
    let mut stored = Vec::new();
    let mut counters: HashMap<Conversation, u64> = HashMap::new();
    for round in 0..3 {
        for sender in USERS {
            let others = USERS.into_iter().filter(|user| *user != sender);
            let mut targets: Vec<_> =
                others.map(|other| (Conversation::of(sender, other), vec![other])).collect();
            let members = USERS.into_iter().filter(|user| *user != sender).collect();
            targets.push((Conversation::Room("ward".to_owned()), members));
            for (number, (conversation, receivers)) in targets.into_iter().enumerate() {
                let key = format!("{sender}-{round}-{number}");
                let counter = counters.entry(conversation.clone()).or_default();
                *counter += 1;
                let (id, user) = (counter.to_string(), sender.to_owned());
                let sends =
                    Event::Sends { user: user.clone(), conversation: conversation.clone(), key: key.clone() };
                events.push(sends);
                events.push(Event::Confirmed { user: user.clone(), key: key.clone(), id: id.clone() });
                events.extend(receivers.into_iter().map(|receiver| Event::Saw {
                    user: receiver.to_owned(),
                    conversation: conversation.clone(),
                    id: id.clone(),
                    sender: user.clone(),
                    key: key.clone(),
                    way,
                }));
                stored.push(Stored { conversation, id, sender: user, key });
            }
        }
    }
    (History { events }, stored)
}

fn is_bad(history: &History, stored: &[Stored]) -> bool {
    !judge(history, stored).is_good()
}

#[test]
fn a_good_run_is_good() {
    for way in [Way::Event, Way::Since] {
        let (history, stored) = good(way);
        let verdict = judge(&history, &stored);
        assert!(verdict.is_good(), "{verdict}");
        assert_eq!((verdict.sent, verdict.confirmed, verdict.stored), (48, 48, 48));
        assert_eq!((verdict.seen, verdict.again, verdict.late_events), (72, 0, 0));
    }
}

#[test]
fn a_sighting_that_is_dropped_or_given_to_another_is_found() {
    let (history, stored) = good(Way::Event);
    for position in 0..history.events.len() {
        let Event::Saw { user, conversation, .. } = &history.events[position] else { continue };
        let mut dropped = history.clone();
        dropped.events.remove(position);
        assert!(is_bad(&dropped, &stored), "dropped: {:?}", history.events[position]);
        let is_outside = |other: &&str| match conversation {
            Conversation::Pair(one, another) => one != other && another != other,
            Conversation::Room(_) => **other != **user,
        };
        let stranger = USERS.into_iter().find(is_outside).unwrap();
        let mut given = history.clone();
        if let Event::Saw { user, .. } = &mut given.events[position] {
            *user = stranger.to_owned();
        }
        assert!(is_bad(&given, &stored), "given to {stranger}: {:?}", history.events[position]);
    }
}

#[test]
fn a_stored_message_that_is_dropped_doubled_or_changed_is_found() {
    let (history, stored) = good(Way::Event);
    for position in 0..stored.len() {
        let mut dropped = stored.clone();
        dropped.remove(position);
        assert!(is_bad(&history, &dropped), "dropped: {:?}", stored[position]);
        let mut doubled = stored.clone();
        doubled.push(Stored { id: "1000".to_owned(), ..stored[position].clone() });
        assert!(is_bad(&history, &doubled), "doubled: {:?}", stored[position]);
        let mut renumbered = stored.clone();
        renumbered[position].id = "1000".to_owned();
        assert!(is_bad(&history, &renumbered), "renumbered: {:?}", stored[position]);
        let mut forged = stored.clone();
        forged[position].sender = "eve".to_owned();
        assert!(is_bad(&history, &forged), "forged: {:?}", stored[position]);
    }
}

#[test]
fn answers_that_go_back_are_found_and_events_that_do_are_counted() {
    for (way, is_bad) in [(Way::Since, true), (Way::Event, false)] {
        let (mut history, stored) = good(way);
        let room = Conversation::Room("ward".to_owned());
        let of_dan = |event: &Event| matches!(event, Event::Saw { user, conversation, .. } if user == "dan" && *conversation == room);
        let places: Vec<usize> =
            (0..history.events.len()).filter(|at| of_dan(&history.events[*at])).collect();
        history.events.swap(places[0], places[1]);
        let verdict = judge(&history, &stored);
        assert_eq!((!verdict.is_good(), verdict.late_events > 0), (is_bad, !is_bad), "{verdict}");
    }
}

#[test]
fn a_sender_whose_messages_change_places_is_found() {
    let (history, mut stored) = good(Way::Event);
    let of_ada =
        |message: &Stored| message.sender == "ada" && message.conversation == Conversation::of("ada", "bob");
    let places: Vec<usize> = (0..stored.len()).filter(|at| of_ada(&stored[*at])).collect();
    let (first, second) = (stored[places[0]].key.clone(), stored[places[1]].key.clone());
    (stored[places[0]].key, stored[places[1]].key) = (second, first);
    assert!(judge(&history, &stored).out_of_order > 0);
}

#[test]
fn a_second_copy_is_counted_and_no_fault() {
    let (mut history, stored) = good(Way::Event);
    let saw = history.events.iter().find(|event| matches!(event, Event::Saw { .. })).unwrap().clone();
    history.events.push(saw);
    let verdict = judge(&history, &stored);
    assert!(verdict.is_good() && verdict.again == 1, "{verdict}");
}
