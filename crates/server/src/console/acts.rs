//! What somebody at a console does: previewed in words, then done, and in the audit.

use std::time::Duration;

use hubline::{HubError, Reach};
use hubline_store::Store;
use hubline_store::clinic::Party;
use hubline_store::clinic::audit::{self, AuditEntry};
use hubline_store::keys::AdminScope;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::NAME;
use super::fleet::{About, Fleet, Instance, State};
use super::local::{Question, Target};
use super::session::told;
use crate::api::AdminPrincipal;

/// Bytes of a name, of the arguments of a call as JSON, and of a reason.
const LONGEST_NAME: usize = 512;
const LARGEST_ARGUMENTS: usize = 32 * 1024;
const LONGEST_REASON: usize = 500;
/// Arguments of a call.
const MOST_ARGUMENTS: usize = 12;
/// Longest time that a user stays out: 10 years.
const LONGEST_BAN_SECONDS: u64 = 315_360_000;

/// What is to be done.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(super) enum Act {
    /// Calls a method of clients.
    Send { target: Target, hub: String, method: String, arguments: Vec<Value> },
    /// Closes connections, whose clients do not come back by themselves.
    Close {
        target: Target,
        #[serde(default)]
        hub: Option<String>,
    },
    /// Keeps a user out for a time.
    Ban {
        user: String,
        seconds: u64,
        #[serde(default)]
        reason: Option<String>,
    },
    /// Has an instance hand its clients over.
    Drain { instance: String },
    /// Ends a key.
    RevokeKey { key: String },
}

/// What would be done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Preview {
    words: String,
    connections: u64,
    instances: u64,
    scope: &'static str,
    /// Whether who asks may do it.
    is_allowed: bool,
    silent: Vec<Instance>,
}

/// What was done.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    words: String,
    connections: u64,
    instances: u64,
    silent: Vec<Instance>,
}

/// How many connections, on how many instances.
#[derive(Debug, Default)]
struct Reached {
    connections: u64,
    instances: u64,
    silent: Vec<Instance>,
}

/// Does what it is asked to.
#[derive(Debug)]
pub(super) struct Acts {
    pub(super) fleet: Fleet,
    pub(super) store: Store,
}

impl Act {
    /// What a key needs to do it.
    pub(super) fn scope(&self) -> AdminScope {
        match self {
            Self::Send { .. } | Self::Close { .. } | Self::Ban { .. } => AdminScope::Write,
            Self::Drain { .. } | Self::RevokeKey { .. } => AdminScope::Full,
        }
    }

    /// Whose connections it concerns.
    fn target(&self) -> Option<(Target, Option<String>)> {
        match self {
            Self::Send { target, hub, .. } => Some((target.clone(), Some(hub.clone()))),
            Self::Close { target, hub } => Some((target.clone(), hub.clone())),
            Self::Ban { user, .. } => Some((Target::User(user.clone()), None)),
            Self::Drain { .. } | Self::RevokeKey { .. } => None,
        }
    }
}

impl Acts {
    /// Says what an act would do.
    ///
    /// # Errors
    /// It makes no sense; the text says what would.
    pub(super) async fn preview(&self, act: &Act, who: &AdminPrincipal) -> Result<Preview, HubError> {
        self.check(act)?;
        let (words, reached) = match act {
            Act::Drain { instance } => self.of_drain(instance, "Hands over").await?,
            Act::RevokeKey { key } => {
                (format!("Revokes the key {}.", self.key(key, who).await?), Reached::default())
            }
            _ => {
                let reached = self.count(act).await;
                (words(act, &reached, Tense::Now), reached)
            }
        };
        let Reached { connections, instances, silent } = reached;
        let is_allowed = who.scope >= act.scope();
        Ok(Preview { words, connections, instances, scope: scope_word(act.scope()), is_allowed, silent })
    }

    /// Does it. Who may has been looked at before.
    ///
    /// # Errors
    /// It makes no sense, or it cannot be done now; then nothing has been done.
    pub(super) async fn act(&self, act: Act, who: AdminPrincipal) -> Result<Done, HubError> {
        self.check(&act)?;
        let (words, reached) = match &act {
            Act::Send { target, hub, method, arguments } => {
                let before = self.count(&act).await;
                self.record(&who, "console.send", party(target), Some(format!("{method} of {hub}"))).await?;
                let sent = self.send(target, hub, method, arguments).await?;
                let reached = sent.unwrap_or(before);
                (words(&act, &reached, Tense::Past), reached)
            }
            Act::Close { target, hub } => {
                let details =
                    format!("closed{}", hub.as_ref().map(|hub| format!(" in {hub}")).unwrap_or_default());
                self.record(&who, "console.close", party(target), Some(details)).await?;
                let question = Question::Close { target: target.clone(), hub: hub.clone() };
                let reached = self.ask(&question).await;
                (words(&act, &reached, Tense::Past), reached)
            }
            Act::Ban { user, seconds, reason } => {
                let reached = self.count(&act).await;
                let (out_for, reason) = (Duration::from_secs(*seconds), reason.clone().unwrap_or_default());
                let host = self.fleet.local().host();
                host.ban(who, user.clone(), out_for, reason).await.map_err(told)?;
                (words(&act, &reached, Tense::Past), reached)
            }
            Act::Drain { instance } => self.drain(instance, &who).await?,
            Act::RevokeKey { key } => {
                let revoked = self.fleet.local().host().revoke_key(who, key.clone()).await.map_err(told)?;
                (format!("Revoked the {} key {}.", revoked.kind, revoked.name), Reached::default())
            }
        };
        let Reached { connections, instances, silent } = reached;
        Ok(Done { words, connections, instances, silent })
    }

    fn check(&self, act: &Act) -> Result<(), HubError> {
        if let Some((target, hub)) = act.target() {
            checked_target(&target)?;
            if let Some(hub) = &hub
                && !self.fleet.local().hub_names().contains(hub)
                && !(hub == NAME && matches!(act, Act::Close { .. }))
            {
                let names = self.fleet.local().hub_names().join(", ");
                return Err(HubError::new(format!("There is no such hub; there are {names}.")));
            }
        }
        match act {
            Act::Send { method, arguments, .. } => {
                checked_name("method", method)?;
                let bytes = serde_json::to_vec(arguments).map_or(usize::MAX, |json| json.len());
                if arguments.len() > MOST_ARGUMENTS || bytes > LARGEST_ARGUMENTS {
                    return Err(HubError::new(format!(
                        "Expected {MOST_ARGUMENTS} arguments at most, of {LARGEST_ARGUMENTS} bytes of JSON together."
                    )));
                }
                Ok(())
            }
            Act::Close { target: Target::All, .. } => Err(HubError::new(
                "Expected a connection, a user or a group to close; drain an instance to send all its clients away.",
            )),
            Act::Close { target: Target::Group(_), hub: None } => Err(HubError::new(
                "Expected the hub whose group is to be closed: each hub has its own groups.",
            )),
            Act::Ban { seconds, reason, .. } => {
                let reason = reason.as_deref().unwrap_or_default();
                if !(1..=LONGEST_BAN_SECONDS).contains(seconds) {
                    return Err(HubError::new(format!("Expected 1 to {LONGEST_BAN_SECONDS} seconds.")));
                }
                match reason.chars().count() > LONGEST_REASON || reason.contains('\0') {
                    true => Err(HubError::new(format!(
                        "Expected a reason of at most {LONGEST_REASON} characters, none of them NUL."
                    ))),
                    false => Ok(()),
                }
            }
            Act::Drain { instance } => checked_name("instance", instance),
            Act::RevokeKey { key } => checked_name("key", key),
            Act::Close { .. } => Ok(()),
        }
    }

    async fn count(&self, act: &Act) -> Reached {
        match act.target() {
            Some((target, hub)) => self.ask(&Question::Count { target, hub }).await,
            None => Reached::default(),
        }
    }

    async fn ask(&self, question: &Question) -> Reached {
        let asked = self.fleet.ask::<u64>(question).await;
        let mut reached = Reached { silent: asked.silent, ..Reached::default() };
        for answer in asked.answers.iter().filter(|answer| answer.answer > 0) {
            reached.connections += answer.answer;
            reached.instances += 1;
        }
        reached
    }

    /// Sends; returns who was reached where that is known better than before.
    async fn send(
        &self,
        target: &Target,
        hub: &str,
        method: &str,
        arguments: &[Value],
    ) -> Result<Option<Reached>, HubError> {
        if let Target::Connection(id) = target {
            // By its public id, which the instance that has it alone knows.
            let (id, hub, method) = (id.clone(), hub.to_owned(), method.to_owned());
            let question = Question::Send { id, hub, method, arguments: arguments.to_vec() };
            return Ok(Some(self.ask(&question).await));
        }
        let context = self.fleet.local().hub(hub).ok_or_else(|| HubError::new("There is no such hub."))?;
        let clients = context.clients();
        let clients = match target {
            Target::Group(group) => clients.group(group.as_str()),
            Target::User(user) => clients.user(user.as_str()),
            Target::All | Target::Connection(_) => clients.all(),
        };
        match clients.send_with_reach(method, arguments.to_vec()).await {
            Ok(Reach::Fleet) => Ok(None),
            Ok(_) => Err(HubError::new(
                "Sent to the clients of this instance alone: the other instances cannot be reached now.",
            )),
            Err(error) => Err(HubError::new(format!("Not sent: {error}."))),
        }
    }

    async fn drain(&self, instance: &str, who: &AdminPrincipal) -> Result<(String, Reached), HubError> {
        let (words, reached) = self.of_drain(instance, "Hands over").await?;
        // It is done whether or not the database is there, as by the admin API.
        if self.record(who, "instance.drain", Party::new("instance", instance), None).await.is_err() {
            tracing::warn!(
                by = who.name,
                instance,
                "That an instance was asked to drain is missing in the audit"
            );
        }
        tracing::info!(by = who.name, instance, "Asked at a console to drain an instance");
        let asked = self.fleet.ask::<bool>(&Question::Drain { instance: instance.to_owned() }).await;
        match asked.answers.iter().any(|answer| answer.answer) {
            true => Ok((words, reached)),
            false => Err(HubError::new("The instance does not answer; it may drain or not.")),
        }
    }

    /// What draining an instance means, which has to be there.
    async fn of_drain(&self, instance: &str, verb: &str) -> Result<(String, Reached), HubError> {
        let about = self.instance(instance).ok_or_else(|| HubError::new("There is no such instance."))?;
        let (target, hub) = (Target::All, None);
        let asked = self.fleet.ask::<u64>(&Question::Count { target, hub }).await;
        let count =
            asked.answers.iter().find(|answer| answer.from.id == about.id).map(|answer| answer.answer);
        let connections = count.ok_or_else(|| HubError::new("The instance does not answer."))?;
        let words = match about.state {
            State::Draining | State::Drained => format!("{} is being drained already.", about.name),
            _ => format!(
                "{verb} {} of {} to other instances, and takes no new ones until it is started anew.{}",
                several(connections, "connection"),
                about.name,
                if self.is_last(&about) { " No other instance is up to take them." } else { "" }
            ),
        };
        Ok((words, Reached { connections, instances: 1, silent: Vec::new() }))
    }

    fn instance(&self, id: &str) -> Option<About> {
        let found = self.instances().find(|about| about.id == id)?;
        (found.state != State::Gone).then_some(found)
    }

    fn is_last(&self, about: &About) -> bool {
        !self.instances().any(|other| other.id != about.id && other.state == State::Up)
    }

    fn instances(&self) -> impl Iterator<Item = About> {
        let others = self.fleet.others().into_iter().map(|seen| seen.about);
        std::iter::once(self.fleet.local().about()).chain(others)
    }

    /// The name of a key, which has to be there.
    async fn key(&self, id: &str, who: &AdminPrincipal) -> Result<String, HubError> {
        let keys = self.fleet.local().host().keys(who.clone()).await.map_err(told)?;
        let found = keys.into_iter().find(|key| key.id == id && !key.is_revoked);
        found.map(|key| key.name).ok_or_else(|| HubError::new("There is no such key that is not revoked."))
    }

    /// Writes down who does what before it is done.
    async fn record(
        &self,
        who: &AdminPrincipal,
        action: &'static str,
        subject: Party,
        details: Option<String>,
    ) -> Result<(), HubError> {
        let mut entry = AuditEntry::now(who.party(), action, subject);
        entry.details = details;
        let written =
            self.store.write(move |db| Box::pin(async move { audit::record(db, &entry).await })).await;
        written.map_err(|error| {
            tracing::warn!(%error, action, "Nothing was done at a console, because it cannot be written into the audit");
            HubError::new("Nothing was done: the database, which keeps the audit, cannot be used now.")
        })
    }
}

/// Whose connections an act was for, in the audit.
fn party(target: &Target) -> Party {
    match target {
        Target::All => Party::new("connection", "*"),
        Target::Group(group) => Party::new("group", group),
        Target::User(user) => Party::user(user),
        Target::Connection(id) => Party::new("connection", id),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tense {
    Now,
    Past,
}

/// What is, or was, done with connections.
fn words(act: &Act, reached: &Reached, tense: Tense) -> String {
    let Reached { connections, instances, .. } = reached;
    let connections = several(*connections, "connection");
    let of = match act.target() {
        Some((Target::Group(group), _)) => format!(" in the group {group}"),
        Some((Target::User(user), _)) => format!(" of {user}"),
        Some((Target::Connection(id), _)) => format!(" with the id {id}"),
        _ => String::new(),
    };
    let hub = match act.target() {
        Some((_, Some(hub))) => format!(" to {hub}"),
        _ => String::new(),
    };
    let at = format!("{connections}{of}{hub} on {}", several(*instances, "instance"));
    match (act, tense) {
        (Act::Send { method, .. }, Tense::Now) => format!("Sends {method} to {at}."),
        (Act::Send { method, .. }, Tense::Past) => format!("Sent {method} to {at}."),
        (Act::Ban { user, seconds, .. }, Tense::Now) => {
            format!("Closes {at}, and keeps {user} out for {}.", span(*seconds))
        }
        (Act::Ban { user, seconds, .. }, Tense::Past) => {
            format!("Closed {at}; {user} is kept out for {}.", span(*seconds))
        }
        (_, Tense::Now) => format!("Closes {at}."),
        (_, Tense::Past) => format!("Closed {at}."),
    }
}

fn several(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

fn span(seconds: u64) -> String {
    // The largest unit that says it exactly: who confirms 150 minutes does not mean 2 hours.
    let larger = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let (size, unit) =
        larger.into_iter().find(|(size, _)| seconds.is_multiple_of(*size)).unwrap_or((1, "second"));
    several(seconds / size, unit)
}

fn scope_word(scope: AdminScope) -> &'static str {
    match scope {
        AdminScope::Read => "read",
        AdminScope::Write => "write",
        AdminScope::Full => "full",
    }
}

fn checked_target(target: &Target) -> Result<(), HubError> {
    match target {
        Target::All => Ok(()),
        Target::Group(id) => checked_name("group", id),
        Target::User(id) => checked_name("user", id),
        Target::Connection(id) => checked_name("connection", id),
    }
}

/// Looks at a name that somebody has typed.
///
/// # Errors
/// It is none.
pub(super) fn checked_name(what: &str, name: &str) -> Result<(), HubError> {
    match (1..=LONGEST_NAME).contains(&name.len()) && !name.contains(char::is_control) {
        true => Ok(()),
        false => Err(HubError::new(format!(
            "Expected the name or id of a {what}: 1 to {LONGEST_NAME} bytes without control characters."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(json: &str) -> Act {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn acts_are_told_in_words() {
        let reached = |connections, instances| Reached { connections, instances, silent: Vec::new() };
        for (json, expected) in [
            (
                r#"{"kind":"close","target":{"kind":"user","id":"ada"}}"#,
                "Closes 12 connections of ada on 3 instances.",
            ),
            (
                r#"{"kind":"close","target":{"kind":"group","id":"room"},"hub":"ChatHub"}"#,
                "Closes 12 connections in the group room to ChatHub on 3 instances.",
            ),
            (
                r#"{"kind":"send","target":{"kind":"all"},"hub":"ChatHub","method":"M","arguments":[1]}"#,
                "Sends M to 12 connections to ChatHub on 3 instances.",
            ),
            (
                r#"{"kind":"ban","user":"ada","seconds":300}"#,
                "Closes 12 connections of ada on 3 instances, and keeps ada out for 5 minutes.",
            ),
        ] {
            assert_eq!(words(&act(json), &reached(12, 3), Tense::Now), expected);
        }
        for (seconds, expected) in [
            (1, "1 second"),
            (61, "61 seconds"),
            (9_000, "150 minutes"),
            (86_400, "1 day"),
            (90_000, "25 hours"),
        ] {
            assert_eq!(span(seconds), expected);
        }
        let one = act(r#"{"kind":"close","target":{"kind":"connection","id":"abc"},"hub":null}"#);
        assert_eq!(
            words(&one, &reached(1, 1), Tense::Past),
            "Closed 1 connection with the id abc on 1 instance."
        );
        for wrong in [
            r#"{"kind":"explode"}"#,
            r#"{"kind":"drain"}"#,
            r#"{"kind":"drain","instance":"a","more":1}"#,
            r#"{"kind":"close","target":{"kind":"user"}}"#,
            r#"{"kind":"ban","user":"ada","seconds":-1}"#,
        ] {
            assert!(serde_json::from_str::<Act>(wrong).is_err(), "{wrong}");
        }
    }
}
