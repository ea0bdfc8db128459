//! What users of rooms were not told of as it happened, beside the times at which they had no connection.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde::Serialize;

use super::history::{Conversation, Event, History, Way};
use super::judge::rooms;
use crate::measure::{Percentiles, Recorder};

/// What is listed in full; all are counted.
const TOLD: usize = 40;
/// An absence that is longer is listed with its causes.
const LONG_MICROS: u64 = 2_000_000;
/// How long before a client has read its Close it may be gone for the server already: this program reads for thousands at once.
const UNREAD_MICROS: u64 = 100_000;

/// Events of rooms that were missed, and why.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missed {
    /// Users who were in a room.
    pub users: usize,
    /// Events that were due: each message of a room for each other member.
    pub due: usize,
    /// Those that came as events, on any connection of the user.
    pub received: usize,
    /// Those that did not, all of whose messages were sent while the user was between two connections.
    pub between: usize,
    /// Those that did not, of messages that were sent within 100 ms before the user had read its Close.
    pub leaving: usize,
    /// Those that did not come although the user had a connection.
    pub outside: usize,
    /// Times at which a user was between two connections.
    pub absences: usize,
    /// How long these were.
    pub absent: Percentiles,
    /// Users whose longest absence was more than 2 s.
    pub users_absent_long: usize,
    /// Absences of more than 2 s, and events that were missed before or without one, in words.
    pub told: Vec<String>,
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            users,
            due,
            received,
            between,
            leaving,
            outside,
            absences,
            absent,
            users_absent_long,
            told,
        } = self;
        writeln!(f, "events        {due} due, {received} received")?;
        writeln!(
            f,
            "missed        {between} between two connections, {leaving} before a Close was read, {outside} otherwise"
        )?;
        writeln!(f, "absences      {absences} of {users} users, {absent}")?;
        for line in told {
            writeln!(f, "              {line}")?;
        }
        write!(f, "over 2 s      {users_absent_long} users")
    }
}

/// Who was away from when to when, and for what reasons.
type Absences<'a> = BTreeMap<&'a str, Vec<(u64, u64, &'a [String])>>;

/// Compares the two. A message may reach those it is for at any time from when it was first sent until it was confirmed.
pub fn missed(history: &History) -> Missed {
    let rooms = rooms(history);
    let absences = absences(history);
    let users: HashSet<&str> = rooms.values().flatten().copied().collect();
    let mut missed = Missed { users: users.len(), ..Missed::default() };
    measure(&absences, &mut missed);
    let (room_of, seen) = (room_of(history), seen(history));
    for event in &history.events {
        let Event::Sent { user: sender, key, from, until } = event else { continue };
        let Some(members) = room_of.get(&(&**sender, &**key)).and_then(|room| rooms.get(room)) else {
            continue;
        };
        for member in members.iter().copied().filter(|member| member != sender) {
            missed.due += 1;
            if seen.contains(&(member, &**sender, &**key)) {
                missed.received += 1;
                continue;
            }
            let absences = absences.get(member).map(Vec::as_slice).unwrap_or_default();
            if absences.iter().any(|(left, back, _)| left <= until && from <= back) {
                missed.between += 1;
                continue;
            }
            match absences.iter().any(|(left, ..)| (*until..=until + UNREAD_MICROS).contains(left)) {
                true => missed.leaving += 1,
                false => missed.outside += 1,
            }
            missed.tell(|| outside(member, key, *from, *until, absences));
        }
    }
    missed
}

impl Missed {
    fn tell(&mut self, text: impl FnOnce() -> String) {
        if self.told.len() < TOLD {
            self.told.push(text());
        }
    }
}

fn measure(absences: &Absences<'_>, missed: &mut Missed) {
    let mut times = Recorder::new();
    for (user, absences) in absences {
        let mut is_long = false;
        for (from, until, reasons) in absences {
            let micros = until.saturating_sub(*from);
            times.record(micros);
            missed.absences += 1;
            if micros > LONG_MICROS {
                is_long = true;
                missed.tell(|| {
                    format!("{user} was away for {} ms: {}", micros / 1000, reasons.join("; then "))
                });
            }
        }
        missed.users_absent_long += usize::from(is_long);
    }
    missed.absent = times.percentiles();
}

fn outside(member: &str, key: &str, from: u64, until: u64, absences: &[(u64, u64, &[String])]) -> String {
    let apart =
        |(left, back, _): &(u64, u64, &[String])| left.saturating_sub(until).max(from.saturating_sub(*back));
    let nearest = absences.iter().map(apart).min();
    let nearest = nearest
        .map_or("never away".to_owned(), |micros| format!("away {} ms before or after", micros / 1000));
    format!("{member} missed {key}, sent within {} ms: {nearest}", (until - from) / 1000)
}

fn absences(history: &History) -> Absences<'_> {
    let mut absences = Absences::new();
    for event in &history.events {
        if let Event::Away { user, from, until, reasons } = event {
            absences.entry(user).or_default().push((*from, *until, reasons));
        }
    }
    absences
}

fn room_of<'a>(history: &'a History) -> HashMap<(&'a str, &'a str), &'a str> {
    let room = |event: &'a Event| match event {
        Event::Sends { user, conversation: Conversation::Room(room), key } => {
            Some(((user.as_str(), key.as_str()), room.as_str()))
        }
        _ => None,
    };
    history.events.iter().filter_map(room).collect()
}

/// User, sender and key of what came as an event.
fn seen<'a>(history: &'a History) -> HashSet<(&'a str, &'a str, &'a str)> {
    let seen = |event: &'a Event| match event {
        Event::Saw { user, sender, key, way: Way::Event, .. } => {
            Some((user.as_str(), sender.as_str(), key.as_str()))
        }
        _ => None,
    };
    history.events.iter().filter_map(seen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ada sends at 1000 to 1010 into a room with Bob, who is away as told and sees it so.
    fn judged(away: &[(u64, u64)], way: Option<Way>) -> Missed {
        let (ada, bob, room, key) = ("ada".to_owned(), "bob".to_owned(), "ward".to_owned(), "k".to_owned());
        let conversation = Conversation::Room(room.clone());
        let joined = [&ada, &bob].map(|user| Event::Joined { user: user.clone(), room: room.clone() });
        let sent = [
            Event::Sends { user: ada.clone(), conversation: conversation.clone(), key: key.clone() },
            Event::Sent { user: ada.clone(), key: key.clone(), from: 1000, until: 1010 },
        ];
        let saw = way.map(|way| Event::Saw {
            user: bob.clone(),
            conversation,
            id: "1".to_owned(),
            sender: ada,
            key,
            way,
        });
        let away = away.iter().map(|&(from, until)| Event::Away {
            user: bob.clone(),
            from,
            until,
            reasons: vec!["gone".to_owned(), "503".to_owned()],
        });
        missed(&History { events: joined.into_iter().chain(sent).chain(saw).chain(away).collect() })
    }

    #[test]
    fn what_was_missed_is_excused_by_an_absence_at_that_time_alone() {
        for (away, way, expected) in [
            (&[][..], Some(Way::Event), (1, 0, 0, 0)),
            (&[(0, 5000)], Some(Way::Event), (1, 0, 0, 0)),
            (&[], None, (0, 0, 0, 1)),
            (&[], Some(Way::Since), (0, 0, 0, 1)),
            (&[(1010, 1100)], None, (0, 1, 0, 0)),
            (&[(900, 1000)], Some(Way::Since), (0, 1, 0, 0)),
            (&[(900, 999)], None, (0, 0, 0, 1)),
            (&[(1011, 1100)], None, (0, 0, 1, 0)),
            (&[(1010 + UNREAD_MICROS, 200_000)], None, (0, 0, 1, 0)),
            (&[(1011 + UNREAD_MICROS, 200_000)], None, (0, 0, 0, 1)),
            (&[(10, 20), (1005, 1006)], None, (0, 1, 0, 0)),
        ] {
            let missed = judged(away, way);
            assert_eq!(missed.due, 1);
            let found = (missed.received, missed.between, missed.leaving, missed.outside);
            assert_eq!(found, expected, "{away:?} {way:?}");
            assert_eq!(missed.told.len(), expected.2 + expected.3);
        }
    }

    #[test]
    fn long_absences_are_listed_with_their_causes() {
        let missed = judged(&[(0, LONG_MICROS), (5_000_000, 5_000_001 + LONG_MICROS)], Some(Way::Event));
        assert_eq!((missed.absences, missed.users_absent_long, missed.users), (2, 1, 2));
        assert_eq!(missed.told, ["bob was away for 2000 ms: gone; then 503"]);
    }
}
