//! Whether what users saw and what the database has is what a chat may do.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde::Serialize;

use super::history::{Conversation, Event, History, Stored, Way};

/// Faults that are told in full; all are counted.
const TOLD: usize = 20;

/// What became of all messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Messages that users sent.
    pub sent: usize,
    /// Those that the server confirmed.
    pub confirmed: usize,
    /// Those that the database has.
    pub stored: usize,
    /// First sightings of a message by a user.
    pub seen: usize,
    /// Sightings of a message that the user had, which its id lets a client drop.
    pub again: usize,
    /// Events that came after one with a later id; allowed where an instance died, since the id has the order.
    pub late_events: usize,
    /// Confirmed and not in the database, or in the database and not seen by somebody it is for.
    pub lost: usize,
    /// More than once in the database.
    pub doubled: usize,
    /// Two messages of one sender in the wrong order, or an answer of `GetSince` that goes back.
    pub out_of_order: usize,
    /// Seen by somebody whom they are not for, or not as they were sent.
    pub foreign: usize,
    /// The first faults, in words.
    pub faults: Vec<String>,
}

impl Verdict {
    /// Whether nothing is lost, doubled, out of order or foreign.
    pub fn is_good(&self) -> bool {
        self.lost + self.doubled + self.out_of_order + self.foreign == 0
    }

    fn fault(&mut self, text: impl FnOnce() -> String) {
        if self.faults.len() < TOLD {
            self.faults.push(text());
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            confirmed,
            stored,
            seen,
            again,
            late_events,
            lost,
            doubled,
            out_of_order,
            foreign,
            faults,
        } = self;
        writeln!(f, "messages      {sent} sent, {confirmed} confirmed, {stored} stored")?;
        writeln!(f, "sightings     {seen} first, {again} again, {late_events} events behind a later one")?;
        for fault in faults {
            writeln!(f, "fault         {fault}")?;
        }
        write!(
            f,
            "verdict       {lost} lost, {doubled} doubled, {out_of_order} out of order, {foreign} foreign"
        )
    }
}

/// Judges a run after which every user has asked for everything missed. Ids are numbers that grow within a conversation.
pub fn judge(history: &History, stored: &[Stored]) -> Verdict {
    let mut verdict = Verdict { stored: stored.len(), ..Verdict::default() };
    let by_place = index(stored, &mut verdict);
    let sent = sends(history, &mut verdict);
    confirmed(history, stored, &by_place, &sent, &mut verdict);
    order_of_senders(history, stored, &mut verdict);
    let seen = sightings(history, &by_place, &mut verdict);
    missing(history, stored, &seen, &mut verdict);
    verdict
}

type Place<'a> = (&'a Conversation, &'a str);

fn index<'a>(stored: &'a [Stored], verdict: &mut Verdict) -> HashMap<Place<'a>, &'a Stored> {
    let mut by_place = HashMap::new();
    let mut keys = HashSet::new();
    for message in stored {
        let is_new = by_place.insert((&message.conversation, &*message.id), message).is_none();
        if !is_new || !keys.insert((&message.sender, &message.key)) {
            verdict.doubled += 1;
            verdict.fault(|| format!("stored twice: {message:?}"));
        }
    }
    by_place
}

fn sends<'a>(history: &'a History, verdict: &mut Verdict) -> HashMap<(&'a str, &'a str), &'a Conversation> {
    let mut sent = HashMap::new();
    for event in &history.events {
        if let Event::Sends { user, conversation, key } = event {
            sent.insert((&**user, &**key), conversation);
        }
    }
    verdict.sent = sent.len();
    sent
}

fn confirmed(
    history: &History,
    stored: &[Stored],
    by_place: &HashMap<Place<'_>, &Stored>,
    sent: &HashMap<(&str, &str), &Conversation>,
    verdict: &mut Verdict,
) {
    let mut confirmed = HashMap::new();
    for event in &history.events {
        let Event::Confirmed { user, key, id } = event else { continue };
        if let Some(before) = confirmed.insert((&**user, &**key), id) {
            if before != id {
                verdict.doubled += 1;
                verdict.fault(|| format!("{key} of {user} was confirmed as {before} and as {id}"));
            }
            continue;
        }
        let conversation = sent.get(&(&**user, &**key));
        let there = conversation.and_then(|conversation| by_place.get(&(*conversation, &**id)));
        if !there.is_some_and(|message| message.sender == *user && message.key == *key) {
            verdict.lost += 1;
            verdict.fault(|| format!("{key} of {user} was confirmed as {id} and is not stored so"));
        }
    }
    verdict.confirmed = confirmed.len();
    for message in stored
        .iter()
        .filter(|message| sent.get(&(&*message.sender, &*message.key)) != Some(&&message.conversation))
    {
        verdict.foreign += 1;
        verdict.fault(|| format!("stored and never sent so: {message:?}"));
    }
}

/// A sender's next message leaves when the one before is confirmed, so ids follow the order of sending.
fn order_of_senders(history: &History, stored: &[Stored], verdict: &mut Verdict) {
    let ids: HashMap<_, _> =
        stored.iter().map(|message| ((&*message.sender, &*message.key), number(&message.id))).collect();
    let mut last: HashMap<(&str, &Conversation), (&str, u64)> = HashMap::new();
    for event in &history.events {
        let Event::Sends { user, conversation, key } = event else { continue };
        let Some(id) = ids.get(&(&**user, &**key)) else { continue };
        let before = last.insert((user, conversation), (key, *id));
        if before.is_some_and(|(before, earlier)| before != key && earlier >= *id) {
            verdict.out_of_order += 1;
            verdict.fault(|| format!("{key} of {user} has id {id}, which is not behind the one before"));
        }
    }
}

type Seen<'a> = HashSet<(&'a str, &'a Conversation, &'a str)>;

fn sightings<'a>(
    history: &'a History,
    by_place: &HashMap<Place<'_>, &Stored>,
    verdict: &mut Verdict,
) -> Seen<'a> {
    let rooms = rooms(history);
    let mut seen = Seen::new();
    let mut last: HashMap<(&str, &Conversation, bool), u64> = HashMap::new();
    for event in &history.events {
        let Event::Saw { user, conversation, id, sender, key, way } = event else { continue };
        let is_stored = by_place
            .get(&(conversation, &**id))
            .is_some_and(|message| message.sender == *sender && message.key == *key);
        if !is_stored || !is_for(conversation, user, &rooms) {
            verdict.foreign += 1;
            verdict.fault(|| format!("not stored so, or not for them: {event:?}"));
        }
        if !seen.insert((user, conversation, id)) {
            verdict.again += 1;
            continue;
        }
        verdict.seen += 1;
        let number = number(id);
        let before = last.entry((user, conversation, *way == Way::Since)).or_insert(0);
        match (*before >= number, way) {
            (true, Way::Event) => verdict.late_events += 1,
            (true, Way::Since) => {
                verdict.out_of_order += 1;
                verdict.fault(|| format!("behind a later one: {event:?}"));
            }
            (false, _) => *before = number,
        }
    }
    seen
}

/// What is stored has to be seen by everybody it is for, confirmed or not.
fn missing(history: &History, stored: &[Stored], seen: &Seen<'_>, verdict: &mut Verdict) {
    let rooms = rooms(history);
    let users = history.users();
    for message in stored {
        let conversation = &message.conversation;
        let for_whom: Vec<&str> = match conversation {
            Conversation::Pair(one, other) => [one, other].into_iter().map(|user| &**user).collect(),
            Conversation::Room(room) => rooms.get(&**room).into_iter().flatten().copied().collect(),
        };
        for user in for_whom.into_iter().filter(|user| users.contains(user) && *user != message.sender) {
            if !seen.contains(&(user, conversation, &*message.id)) {
                verdict.lost += 1;
                verdict.fault(|| format!("{user} never saw {message:?}"));
            }
        }
    }
}

/// Who is in which room.
pub(super) fn rooms(history: &History) -> BTreeMap<&str, HashSet<&str>> {
    let mut rooms: BTreeMap<&str, HashSet<&str>> = BTreeMap::new();
    for event in &history.events {
        if let Event::Joined { user, room } = event {
            rooms.entry(room).or_default().insert(user);
        }
    }
    rooms
}

fn is_for(conversation: &Conversation, user: &str, rooms: &BTreeMap<&str, HashSet<&str>>) -> bool {
    match conversation {
        Conversation::Pair(one, other) => user == one || user == other,
        Conversation::Room(room) => rooms.get(&**room).is_some_and(|members| members.contains(user)),
    }
}

fn number(id: &str) -> u64 {
    id.parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
