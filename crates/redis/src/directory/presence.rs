//! The task that keeps the members of watched groups, those on other instances.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::FutureExt;
use hubline_directory::Member;
use hubline_protocol::{ConnectionId, GroupName, UserId};
use hubline_supervision::Vital;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::scripts::MEMBERS;
use super::{HubEntry, Shared};
use crate::{CommandError, RawChannels, RawInbox, RawMessage, RawMessages, RawSubscription};

/// Changes that may wait to be looked at; what comes when there are more is made up for.
const LIMIT_MESSAGES: usize = 4096;
const LIMIT_MESSAGE_BYTES: u32 = 4 * 1024 * 1024;
/// Members that one script call reads.
const PAGE: usize = 1000;
/// Versions that one command reads.
const VERSIONS: usize = 256;
/// After Redis lost everything the others have this many heartbeats to write their members again, before who is not
/// there is taken to have left.
const GRACE_BEATS: u32 = 4;

/// Asks to keep a group; answered when its members are known or cannot be for now.
pub(super) struct Request {
    pub(super) hub: Arc<HubEntry>,
    pub(super) group: GroupName,
    pub(super) ready: oneshot::Sender<()>,
}

pub(super) struct Presence {
    shared: Arc<Shared>,
    channels: Option<RawChannels>,
    requests: mpsc::Receiver<Request>,
    inbox: RawInbox,
    messages: RawMessages,
    /// By channel, which is the group's key too.
    groups: HashMap<Arc<str>, Kept>,
    /// Since when Redis has what it has.
    epoch: Option<String>,
    /// Until when others may still be writing what it lost.
    grace: Option<Instant>,
}

/// A group whose members are kept.
struct Kept {
    hub: Arc<HubEntry>,
    group: GroupName,
    /// The version that is known; 0 when it is empty, `None` when it is to be read again.
    known: Option<u64>,
    _subscription: Option<RawSubscription>,
}

/// What the scripts publish: version before, version of the change, version afterwards, instance, changes.
#[derive(serde::Deserialize)]
struct Event(String, String, String, String, Vec<Vec<Value>>);

impl Vital for Presence {
    const NAME: &'static str = "members of groups";

    async fn run(&mut self) {
        let mut heartbeat = tokio::time::interval(self.shared.options.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(request) = self.requests.recv() => self.begin(request).await,
                Some(message) = self.messages.next() => self.changed(&message).await,
                _ = heartbeat.tick() => self.compare().await,
            }
        }
    }
}

impl Presence {
    pub(super) fn new(
        shared: Arc<Shared>,
        channels: Option<RawChannels>,
        requests: mpsc::Receiver<Request>,
    ) -> Self {
        let (inbox, messages) = RawInbox::new(LIMIT_MESSAGES, LIMIT_MESSAGE_BYTES);
        Self { shared, channels, requests, inbox, messages, groups: HashMap::new(), epoch: None, grace: None }
    }

    async fn begin(&mut self, request: Request) {
        let Request { hub, group, ready } = request;
        let key: Arc<str> = self.shared.keys.group(&hub.part, &group).into();
        if !self.groups.contains_key(&key) {
            hub.local.remote_begin(&group);
            let subscription = match &self.channels {
                Some(channels) => Some(channels.subscribe(&key, &self.inbox).await),
                None => None,
            };
            let kept = Kept { hub, group, known: None, _subscription: subscription };
            self.groups.insert(Arc::clone(&key), kept);
            self.read(&key).await;
        }
        // Who asked may have gone.
        let _ = ready.send(());
    }

    /// A message of a group's channel.
    async fn changed(&mut self, message: &RawMessage) {
        let Some(kept) = self.groups.get_mut(&message.channel) else { return };
        let Ok(event) = serde_json::from_slice::<Event>(&message.payload) else { return };
        let Event(before, version, after, instance, changes) = event;
        let (Ok(before), Ok(version), Ok(after)) = (before.parse(), version.parse(), after.parse()) else {
            return;
        };
        let is_next = kept.known == Some(before) || (self.grace.is_some() && kept.known.is_some());
        if is_next {
            let is_own = instance.starts_with(&*self.shared.base_name);
            changes.iter().for_each(|change| apply(kept, change, is_own));
            kept.known = Some(after);
        } else if kept.known.is_none_or(|known: u64| known < version) {
            // One has been missed. What was read already comes again and does not count.
            self.read(&Arc::clone(&message.channel)).await;
        }
    }

    /// Whether something has been missed, and whether there is something that nobody watches any more.
    async fn compare(&mut self) {
        self.groups.retain(|_, kept| !kept.hub.local.remote_end(&kept.group));
        if self.shared.is_away() {
            return;
        }
        // What has come already is no miss.
        while let Some(message) = self.messages.next().now_or_never().flatten() {
            self.changed(&message).await;
        }
        if self.grace.is_some_and(|until| Instant::now() >= until) {
            self.grace = None;
            self.groups.values_mut().for_each(|kept| kept.known = None);
        }
        match self.outdated().await {
            Ok(outdated) => {
                for key in outdated {
                    self.read(&key).await;
                }
            }
            Err(error) => tracing::debug!(%error, "versions of groups cannot be compared"),
        }
    }

    /// Groups whose version is another one than the one that is known.
    async fn outdated(&self) -> Result<Vec<Arc<str>>, CommandError> {
        let mut outdated = Vec::new();
        let kept: Vec<_> = self.groups.iter().collect();
        for some in kept.chunks(VERSIONS) {
            let mut pipeline = redis::pipe();
            for (_, kept) in some {
                pipeline.hget(self.shared.keys.groups(&kept.hub.part), kept.group.as_str());
            }
            let versions: Vec<Option<u64>> = self.shared.client.query_pipeline(pipeline).await?;
            let differs = |((_, kept), version): &(&(&Arc<str>, &Kept), Option<u64>)| {
                kept.known != Some(version.unwrap_or(0))
            };
            let differing = some.iter().zip(versions).filter(differs);
            outdated.extend(differing.map(|((key, _), _)| Arc::clone(key)));
        }
        Ok(outdated)
    }

    /// Reads a group's members, all of them.
    async fn read(&mut self, key: &Arc<str>) {
        let Some(kept) = self.groups.get(key) else { return };
        let (hub, group) = (Arc::clone(&kept.hub), kept.group.clone());
        match self.read_pages(key, &hub, &group).await {
            Ok((epoch, version, members)) => self.learned(key, epoch, version, members),
            Err(error) => {
                tracing::debug!(%error, "the members of a group cannot be read");
                if let Some(kept) = self.groups.get_mut(key) {
                    kept.known = None;
                }
            }
        }
    }

    /// The version is that of the first page: whatever changes later comes as an event that says how it is then.
    async fn read_pages(
        &self,
        key: &str,
        hub: &HubEntry,
        group: &GroupName,
    ) -> Result<(String, u64, BTreeMap<ConnectionId, Option<UserId>>), CommandError> {
        let keys = &self.shared.keys;
        let keys = [key.to_owned(), keys.groups(&hub.part), keys.epoch()];
        let mut all = BTreeMap::new();
        let mut first = None;
        let mut from = "-".to_owned();
        loop {
            let arguments = [group.as_str(), &from, &PAGE.to_string()];
            let page: (String, u64, Vec<String>) =
                self.shared.client.invoke(&MEMBERS, &keys, &arguments).await?;
            let (epoch, version, entries) = page;
            let (epoch, version) = first.get_or_insert((epoch, version));
            let is_last = entries.len() < PAGE;
            if let Some(last) = entries.last().filter(|_| !is_last) {
                from = format!("({last}");
            }
            let members = entries.iter().map(|entry| member(entry));
            all.extend(members.map(|Member { connection, user }| (connection, user)));
            if is_last {
                return Ok((std::mem::take(epoch), *version, all));
            }
        }
    }

    fn learned(
        &mut self,
        key: &Arc<str>,
        epoch: String,
        version: u64,
        mut members: BTreeMap<ConnectionId, Option<UserId>>,
    ) {
        let Some(kept) = self.groups.get_mut(key) else { return };
        if self.epoch.as_ref().is_some_and(|known| *known != epoch) {
            self.grace = Some(Instant::now() + self.shared.options.heartbeat * GRACE_BEATS);
        }
        self.epoch = Some(epoch);
        members.retain(|connection, _| !self.shared.is_of_this_instance(&kept.hub, connection));
        kept.known = Some(version);
        if self.grace.is_none() {
            return kept.hub.local.remote_members(&kept.group, members);
        }
        for (connection, user) in members {
            kept.hub.local.remote_joined(&kept.group, Member { connection, user });
        }
    }
}

/// What this instance has told others it knows better, but that somebody is gone is true of anybody.
fn apply(kept: &Kept, change: &[Value], is_own: bool) {
    match change {
        [Value::String(kind), Value::String(connection), user @ ..] => {
            let connection = ConnectionId::from(connection.as_str());
            let user = user.first().and_then(Value::as_str).map(UserId::from);
            match kind.as_str() {
                "-" => kept.hub.local.remote_left(&kept.group, &connection),
                _ if is_own => {}
                _ => kept.hub.local.remote_joined(&kept.group, Member { connection, user }),
            }
        }
        _ => tracing::debug!(?change, "a change of a group that is none"),
    }
}

/// A connection, and its user behind a zero byte.
pub(super) fn member(entry: &str) -> Member {
    match entry.split_once('\0') {
        Some((connection, user)) => Member { connection: connection.into(), user: Some(user.into()) },
        None => Member { connection: entry.into(), user: None },
    }
}
