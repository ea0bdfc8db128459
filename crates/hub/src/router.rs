//! Who is here: the connections of one hub on this instance.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};
use std::task::Context;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hubline_backplane::{Frames, GroupAction, GroupChange, HubBackplane, Subject, Target};
use hubline_directory::HubSessions;
use hubline_pipe::{Frame, LifecycleKind, LifecycleObserver};
use hubline_protocol::{ConnectionId, GroupName, UserId};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::caller::Caller;
use crate::congestion::{Congested, SentTo};
use crate::lifecycle;
use crate::outbox::Outbox;
use crate::{CloseReason, LocalConnection};

/// Finds the local connections of a target. Each connection lives in one shard, so that joining, leaving
/// and delivering to many lock only a part, and for a short time.
#[derive(Debug)]
pub(crate) struct Router {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    /// Locked before a shard, if both are.
    congested: Congested,
    /// Told under the shard's lock, so that it has one order with what the router does.
    directory: Option<Arc<dyn HubSessions>>,
    observer: Option<Arc<dyn LifecycleObserver>>,
}

#[derive(Debug, Default)]
struct Shard {
    connections: HashMap<ConnectionId, Entry>,
    groups: HashMap<GroupName, Members>,
    users: HashMap<UserId, Members>,
}

#[derive(Debug)]
struct Entry {
    outbox: Arc<Outbox>,
    caller: Caller,
    /// When it was added, in milliseconds since 1970.
    since: u64,
    groups: HashSet<GroupName>,
}

type Members = HashMap<ConnectionId, Arc<Outbox>>;

/// What joining or leaving a group changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Membership {
    Joined,
    Left,
    Unchanged,
    /// The connection is in as many groups as it may be.
    OverLimit,
    /// The connection is not on this instance.
    Elsewhere,
}

/// Tells the backplane what a change here means for it. The interest is counted when this is first polled.
pub(crate) async fn settle(backplane: &dyn HubBackplane, membership: Membership, group: GroupName) {
    match membership {
        Membership::Joined => backplane.subscribe(Subject::Group(group)).await,
        Membership::Left => backplane.unsubscribe(Subject::Group(group)).await,
        Membership::Unchanged | Membership::OverLimit | Membership::Elsewhere => {}
    }
}

impl Router {
    pub(crate) fn new(
        directory: Option<Arc<dyn HubSessions>>,
        observer: Option<Arc<dyn LifecycleObserver>>,
    ) -> Self {
        let shards = std::thread::available_parallelism().map_or(1, usize::from).next_power_of_two().min(16);
        let shards = (0..shards).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new(), congested: Congested::default(), directory, observer }
    }

    pub(crate) fn add(&self, caller: &Caller) {
        let (outbox, user_id) = (Arc::clone(&caller.0.outbox), caller.user_id());
        let id = outbox.connection_id.clone();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let since = u64::try_from(since).unwrap_or_default();
        let mut shard = self.shard(&id);
        if let Some(directory) = &self.directory {
            directory.connected(id.clone(), user_id.cloned());
        }
        if let Some(user) = user_id {
            shard.users.entry(user.clone()).or_default().insert(id.clone(), Arc::clone(&outbox));
        }
        let entry = Entry { outbox, caller: caller.clone(), since, groups: HashSet::new() };
        shard.connections.insert(id, entry);
    }

    /// Forgets a connection and returns the interests that end with it.
    pub(crate) fn remove(&self, id: &ConnectionId) -> Vec<Subject> {
        let mut shard = self.shard(id);
        let Some(entry) = shard.connections.remove(id) else { return Vec::new() };
        if let Some(directory) = &self.directory {
            directory.disconnected(id);
        }
        for group in &entry.groups {
            remove_member(&mut shard.groups, group, id);
        }
        if let Some(user) = entry.caller.user_id() {
            remove_member(&mut shard.users, user, id);
        }
        drop(shard);
        self.congested.remove(id);
        let groups = entry.groups.into_iter().map(Subject::Group);
        std::iter::once(Subject::Connection(id.clone()))
            .chain(groups)
            .chain(entry.caller.user_id().cloned().map(Subject::User))
            .collect()
    }

    /// Carries out a change, or nothing at all if the connection is not here.
    pub(crate) fn change(&self, change: &GroupChange) -> Membership {
        self.change_within(change, None)
    }

    /// As [`Router::change`]; the connection may be in at most so many groups.
    pub(crate) fn change_within(&self, change: &GroupChange, most: Option<usize>) -> Membership {
        let GroupChange { action, group, connection } = change;
        match action {
            GroupAction::Add => self.join(connection, group, most),
            GroupAction::Remove => self.leave(connection, group),
            GroupAction::Unknown if self.find(connection).is_some() => Membership::Unchanged,
            GroupAction::Unknown => Membership::Elsewhere,
        }
    }

    fn join(&self, id: &ConnectionId, group: &GroupName, most: Option<usize>) -> Membership {
        let mut shard = self.shard(id);
        let Some(entry) = shard.connections.get_mut(id) else { return Membership::Elsewhere };
        if entry.groups.contains(group) {
            return Membership::Unchanged;
        }
        if most.is_some_and(|most| entry.groups.len() >= most) {
            return Membership::OverLimit;
        }
        entry.groups.insert(group.clone());
        let outbox = Arc::clone(&entry.outbox);
        shard.groups.entry(group.clone()).or_default().insert(id.clone(), outbox);
        if let Some(directory) = &self.directory {
            directory.joined(id, group);
        }
        Membership::Joined
    }

    fn leave(&self, id: &ConnectionId, group: &GroupName) -> Membership {
        let mut shard = self.shard(id);
        let Some(entry) = shard.connections.get_mut(id) else { return Membership::Elsewhere };
        if !entry.groups.remove(group) {
            return Membership::Unchanged;
        }
        remove_member(&mut shard.groups, group, id);
        if let Some(directory) = &self.directory {
            directory.left(id, group);
        }
        Membership::Left
    }

    /// Puts a message into the queues of its connections.
    pub(crate) async fn deliver(&self, target: Target, excluded: Arc<[ConnectionId]>, frames: Frames) {
        if let Target::Subject(Subject::Connection(id)) = &target {
            if let Some(outbox) = self.find(id)
                && push(&outbox, &frames)
            {
                self.congest(vec![outbox]);
            }
            return;
        }
        for shard in &self.shards {
            let congested = lock(shard).deliver(&target, &excluded, &frames);
            self.congest(congested);
            // A fan-out to very many gives other tasks of this thread their turn in between.
            tokio::task::consume_budget().await;
        }
    }

    /// Whether a connection of the target is here.
    pub(crate) fn has(&self, target: &Target, excluded: &[ConnectionId]) -> bool {
        self.shards.iter().any(|shard| lock(shard).has(target, excluded))
    }

    /// Puts a message into the queue of one connection.
    pub(crate) fn push(&self, outbox: &Arc<Outbox>, frame: Frame) {
        if outbox.push(frame) {
            self.congest(vec![Arc::clone(outbox)]);
        }
    }

    /// Lists connections whose queues are more than half full from now on.
    fn congest(&self, outboxes: Vec<Arc<Outbox>>) {
        if let Some(observer) = &self.observer {
            for outbox in &outboxes {
                let id = &outbox.connection_id;
                let caller = self.shard(id).connections.get(id).map(|entry| entry.caller.clone());
                if let Some(caller) = caller {
                    lifecycle::report_between(&**observer, &caller, LifecycleKind::Slow);
                }
            }
        }
        self.congested.add(outboxes);
    }

    /// Whether somebody here has more to read than half of what may wait.
    pub(crate) fn is_congested(&self) -> bool {
        !self.congested.is_empty()
    }

    /// Until when a client is to wait that has sent to these, and is woken earlier if one of them has room. `None` if it
    /// need not wait.
    pub(crate) fn hold(
        &self,
        cx: &Context<'_>,
        sender: &ConnectionId,
        sent_to: &SentTo,
        patience: Duration,
    ) -> Option<Instant> {
        let concerns = |id: &ConnectionId| {
            id != sender
                && sent_to.iter().any(|(target, excluded)| self.shard(id).is_meant(id, target, excluded))
        };
        self.congested.hold(cx, patience, concerns)
    }

    pub(crate) fn find(&self, id: &ConnectionId) -> Option<Arc<Outbox>> {
        self.shard(id).connections.get(id).map(|entry| Arc::clone(&entry.outbox))
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).connections.len()).sum()
    }

    pub(crate) fn close_all(&self, reason: &CloseReason) {
        for shard in &self.shards {
            for entry in lock(shard).connections.values() {
                entry.outbox.close(reason.clone());
            }
        }
    }

    /// All connections.
    pub(crate) fn connections(&self) -> Vec<LocalConnection> {
        let mut connections = Vec::with_capacity(self.len());
        for shard in &self.shards {
            connections.extend(lock(shard).connections.values().map(Entry::shown));
        }
        connections
    }

    /// A group's connections.
    pub(crate) fn members(&self, group: &GroupName) -> Vec<LocalConnection> {
        let of_shard = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            let ids = shard.groups.get(group).into_iter().flat_map(HashMap::keys);
            ids.filter_map(|id| shard.connections.get(id)).map(Entry::shown).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(of_shard).collect()
    }

    /// A user's connections.
    pub(crate) fn connections_of(&self, user: &UserId) -> Vec<LocalConnection> {
        let of_shard = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            let ids = shard.users.get(user).into_iter().flat_map(HashMap::keys);
            ids.filter_map(|id| shard.connections.get(id)).map(Entry::shown).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(of_shard).collect()
    }

    /// The outboxes of all connections.
    pub(crate) fn outboxes(&self) -> Vec<Weak<Outbox>> {
        let mut outboxes = Vec::with_capacity(self.len());
        for shard in &self.shards {
            outboxes.extend(lock(shard).connections.values().map(|entry| Arc::downgrade(&entry.outbox)));
        }
        outboxes
    }

    /// Closes the connections that a user has here. Returns how many.
    pub(crate) fn close_user(&self, user: &UserId, reason: &CloseReason) -> usize {
        let close = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            let connections = shard.users.get(user).into_iter().flat_map(HashMap::values);
            connections.map(|outbox| outbox.close(reason.clone())).count()
        };
        self.shards.iter().map(close).sum()
    }

    fn shard(&self, id: &ConnectionId) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(id);
        let index = hash & (self.shards.len() as u64 - 1);
        lock(&self.shards[usize::try_from(index).unwrap_or(0)])
    }
}

impl Entry {
    fn shown(&self) -> LocalConnection {
        LocalConnection { caller: self.caller.clone(), since: UNIX_EPOCH + Duration::from_millis(self.since) }
    }
}

impl Shard {
    /// Returns the connections that are to be listed as congested.
    fn deliver(&self, target: &Target, excluded: &[ConnectionId], frames: &Frames) -> Vec<Arc<Outbox>> {
        let mut congested = Vec::new();
        let mut deliver = |outbox: &Arc<Outbox>| {
            if push(outbox, frames) {
                congested.push(Arc::clone(outbox));
            }
        };
        match target {
            Target::All => {
                for (id, entry) in &self.connections {
                    if !excluded.contains(id) {
                        deliver(&entry.outbox);
                    }
                }
            }
            Target::Subject(Subject::Group(group)) => {
                for (id, outbox) in self.groups.get(group).into_iter().flatten() {
                    if !excluded.contains(id) {
                        deliver(outbox);
                    }
                }
            }
            Target::Subject(Subject::User(user)) => {
                for (id, outbox) in self.users.get(user).into_iter().flatten() {
                    if !excluded.contains(id) {
                        deliver(outbox);
                    }
                }
            }
            Target::Subject(Subject::Connection(id)) => {
                if let Some(entry) = self.connections.get(id) {
                    deliver(&entry.outbox);
                }
            }
        }
        congested
    }

    fn has(&self, target: &Target, excluded: &[ConnectionId]) -> bool {
        match target {
            Target::All => self.connections.keys().any(|id| !excluded.contains(id)),
            Target::Subject(Subject::Group(group)) => {
                self.groups.get(group).is_some_and(|members| members.keys().any(|id| !excluded.contains(id)))
            }
            Target::Subject(Subject::User(user)) => self.users.contains_key(user),
            Target::Subject(Subject::Connection(id)) => self.connections.contains_key(id),
        }
    }

    /// Whether what is sent to this target goes to the connection.
    fn is_meant(&self, id: &ConnectionId, target: &Target, excluded: &[ConnectionId]) -> bool {
        let Some(entry) = self.connections.get(id) else { return false };
        match target {
            Target::All => !excluded.contains(id),
            Target::Subject(Subject::Group(group)) => entry.groups.contains(group) && !excluded.contains(id),
            Target::Subject(Subject::User(user)) => {
                entry.caller.user_id() == Some(user) && !excluded.contains(id)
            }
            Target::Subject(Subject::Connection(meant)) => meant == id,
        }
    }
}

/// Another server may publish without this connection's protocol; ASP.NET Core closes the connection then. Whether it is
/// to be listed as congested.
fn push(outbox: &Outbox, frames: &Frames) -> bool {
    match frames.get(outbox.protocol) {
        Some(frame) => outbox.push(frame.clone()),
        None => {
            outbox.close(CloseReason::ProtocolMissing);
            false
        }
    }
}

fn remove_member<K: std::hash::Hash + Eq>(index: &mut HashMap<K, Members>, key: &K, id: &ConnectionId) {
    if let Some(members) = index.get_mut(key) {
        members.remove(id);
        if members.is_empty() {
            index.remove(key);
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock()
}

#[cfg(test)]
mod tests {
    use hubline_pipe::ConnectionInfo;
    use hubline_protocol::HubProtocol;
    use hubline_protocol::negotiate::TransportKind;

    use super::*;
    use crate::HubOptions;
    use crate::caller::CallerState;

    fn add(router: &Router, id: &str, user: Option<&str>) -> ConnectionId {
        let outbox = Outbox::new(id.into(), HubProtocol::Json, &HubOptions::default());
        let info = ConnectionInfo::new(id, TransportKind::WebSockets);
        router.add(&Caller(Arc::new(CallerState::new(info, user.map(UserId::from), Arc::new(outbox)))));
        id.into()
    }

    #[test]
    fn nothing_is_left_of_a_connection_that_has_gone() {
        let router = Router::new(None, None);
        let a = add(&router, "a", Some("u"));
        let b = add(&router, "b", Some("u"));
        assert_eq!(router.join(&a, &"g".into(), None), Membership::Joined);
        assert_eq!(router.join(&a, &"g".into(), None), Membership::Unchanged);
        let ids = |found: Vec<LocalConnection>| {
            let ids = found.iter().map(|connection| connection.caller().connection_id().clone());
            ids.collect::<HashSet<_>>()
        };
        assert_eq!(ids(router.connections()), HashSet::from([a.clone(), b.clone()]));
        assert_eq!(ids(router.connections_of(&"u".into())), HashSet::from([a.clone(), b.clone()]));
        assert_eq!(ids(router.members(&"g".into())), HashSet::from([a.clone()]));
        assert_eq!(router.join(&"x".into(), &"g".into(), None), Membership::Elsewhere);
        let ended = router.remove(&a);
        assert_eq!(
            ended,
            [Subject::Connection(a.clone()), Subject::Group("g".into()), Subject::User("u".into())]
        );
        assert!(router.remove(&a).is_empty());
        assert_eq!(router.leave(&a, &"g".into()), Membership::Elsewhere);
        router.remove(&b);
        assert_eq!(router.len(), 0);
        for shard in &router.shards {
            let shard = lock(shard);
            assert!(shard.groups.is_empty() && shard.users.is_empty());
        }
    }
}
