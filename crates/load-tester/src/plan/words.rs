//! A plan in words: for the report, and for whoever starts it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::plan::role::of;
use crate::plan::values::Ramp;
use crate::plan::{Audience, Call, Memory, Pace, Plan, Proof, Role, Storm};
use crate::wire::messages::Protocol;

impl Plan {
    /// What makes runs comparable, by name.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = BTreeMap::new();
        let mut put = |name: &str, value: String| _ = settings.insert(name.to_owned(), value);
        put("connections", Ramp(self.steps.clone()).to_string());
        put("duration", span(self.duration));
        put("late", span(Duration::from_micros(self.rules.late_micros)));
        put("settle", span(Duration::from_micros(self.rules.settle_micros)));
        for role in &self.roles {
            let prefix = of(&role.name);
            let options = role.options();
            put(&format!("{prefix}transport"), options.transport.name().to_owned());
            put(&format!("{prefix}protocol"), protocol(options.protocol).to_owned());
            put(
                &format!("{prefix}negotiation"),
                if options.skip_negotiation { "no" } else { "yes" }.to_owned(),
            );
            put(&format!("{prefix}does"), role.does());
        }
        for (name, value) in self.fault_words() {
            put(name, value);
        }
        settings
    }

    /// The faults that are planted, by the names of their options.
    fn fault_words(&self) -> Vec<(&'static str, String)> {
        let faults = self.faults;
        let pause = || format!(" for {}", span(faults.pause));
        let mut words = Vec::new();
        words.extend(faults.drop.map(|share| ("drop", share.to_string())));
        words.extend(faults.pause_readers.map(|share| ("pause-readers", share.to_string() + &pause())));
        words.extend(faults.storm.map(|storm| {
            let when = match storm {
                Storm::Middle => "in the middle of each step".to_owned(),
                Storm::Every(every) => format!("every {}", span(every)),
            };
            ("storm", when)
        }));
        words.extend(faults.stateful.then(|| ("stateful", "cut connections are resumed".to_owned())));
        words.extend(faults.read_rate.map(|rate| ("read-rate", format!("{rate} a second"))));
        words
    }

    /// What is about to happen, a line each.
    pub(crate) fn announcement(&self, memory: Memory) -> Vec<String> {
        let steps = Ramp(self.steps.clone()).to_string().replace(',', ", ");
        let mut lines = vec![format!("{steps} connections, {} each", span(self.duration))];
        if self.steps.len() == 1 {
            lines[0] = format!("{steps} connections for {}", span(self.duration));
        }
        for role in &self.roles {
            let urls: Vec<_> = role.urls.iter().map(ToString::to_string).collect();
            lines.push(format!("{}{}: {}", of(&role.name), urls.join(", "), role.does()));
        }
        for (name, value) in self.fault_words() {
            lines.push(format!("fault {name}: {value}"));
        }
        if let Some(rate) = self.rate() {
            lines.push(rate);
        }
        if memory.pairs > 0 {
            lines.push(format!("the oracle watches {} pairs of sender and receiver", grouped(memory.pairs)));
        }
        lines
    }

    /// What the last step asks of the server.
    fn rate(&self) -> Option<String> {
        let ranks = self.ranks();
        let (mut calls, mut deliveries) = (0.0, 0.0);
        for (index, role) in self.roles.iter().enumerate() {
            let Some(Call { pace: Pace::Interval(interval), .. }) = &role.call else { continue };
            let members = || self.members.iter().zip(&ranks).filter(|(of, _)| usize::from(**of) == index);
            let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
            let made =
                number(members().filter(|(_, rank)| role.sends(**rank)).count()) / interval.as_secs_f64();
            let everybody = number(self.members.len());
            calls += made;
            deliveries += match role.proof {
                Proof::Stamps(Audience::All) => made * everybody,
                Proof::Stamps(Audience::Others) => made * (everybody - 1.0),
                Proof::Stamps(Audience::Group) => made * everybody / f64::from(role.groups),
                _ => 0.0,
            };
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "shown as a whole number"
        )]
        let whole = |rate: f64| grouped(rate.round() as u64);
        match (calls > 0.0, deliveries > 0.0) {
            (true, true) => Some(format!(
                "about {} calls and {} deliveries a second with all connections",
                whole(calls),
                whole(deliveries)
            )),
            (true, false) => Some(format!("about {} calls a second with all connections", whole(calls))),
            (false, _) => None,
        }
    }
}

impl Role {
    /// What its connections do.
    pub(crate) fn does(&self) -> String {
        let Some(call) = &self.call else { return "listens".to_owned() };
        let Call { method, pace, senders, size, .. } = call;
        let who = senders.map_or_else(String::new, |senders| format!(" on {senders} connections"));
        let when = match pace {
            Pace::Interval(interval) => format!("every {}", span(*interval)),
            Pace::ThinkTime(think) => format!("{} after each answer", span(*think)),
        };
        let size = size.map_or_else(String::new, |size| format!(", {size} bytes"));
        let heard = match &self.proof {
            Proof::Stamps(audience) => format!(", proved for {}", audience_word(*audience)),
            Proof::Counts(event) => format!(", {event} counted"),
            Proof::Navigation | Proof::Nothing => String::new(),
        };
        format!("calls {method} {when}{who}{size}{heard}")
    }
}

fn audience_word(audience: Audience) -> &'static str {
    match audience {
        Audience::All => "all",
        Audience::Others => "all others",
        Audience::Caller => "the caller",
        Audience::Group => "the group",
        Audience::Unknown => "nobody",
    }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Json => "json",
        Protocol::MessagePack => "messagepack",
    }
}

fn span(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    match millis {
        millis if millis < 1000.0 => format!("{} ms", (millis * 1000.0).round() / 1000.0),
        millis => format!("{} s", millis.round() / 1000.0),
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
