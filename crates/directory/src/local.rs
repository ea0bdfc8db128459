//! What one instance knows by itself: the whole truth of a fleet of one, and the local half of any other
//! directory. For those who write directories.

mod members;
mod notifier;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hubline_protocol::{ConnectionId, GroupName, UserId};
use parking_lot::{Mutex, MutexGuard};

use crate::presence::Watcher;
use crate::{Connected, Cursor, GroupEvent, GroupWatch, Listing, Member, Page};

use members::Groups;
pub use notifier::{Batch, Notifier};

/// A user's connections that an answer names at most.
pub const LIMIT_CONNECTIONS_OF_USER: usize = 1000;

/// One hub's connections on this instance, and the groups that are watched here.
///
/// What other instances have in a watched group is told by `remote_…`; the events of both halves have one order.
pub struct LocalHub {
    instance: Arc<str>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: BTreeMap<ConnectionId, Session>,
    /// In the order of connecting. No user has an allocation of its own.
    users: BTreeSet<(UserId, u64, ConnectionId)>,
    user_count: usize,
    groups: Groups,
}

/// A connection, and its groups in order, each once.
struct Session {
    record: Record,
    groups: Vec<GroupName>,
}

/// What is known of a connection beside its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whom it belongs to, if anyone.
    pub user: Option<UserId>,
    /// When it began, in milliseconds since 1970.
    pub since: u64,
    /// Whether somebody else may have been told of it. Of use to directories that do.
    pub is_shared: bool,
}

impl LocalHub {
    /// An empty one, on an instance of that name.
    pub fn new(instance: Arc<str>) -> Self {
        Self { instance, state: Mutex::default() }
    }

    /// Adds a connection.
    pub fn connected(&self, connection: ConnectionId, user: Option<UserId>) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let mut state = self.state();
        if let Some(user) = &user {
            state.user_count += usize::from(!state.has_user(user));
            state.users.insert((user.clone(), since, connection.clone()));
        }
        let record = Record { user, since, is_shared: false };
        state.connections.insert(connection, Session { record, groups: Vec::new() });
    }

    /// Removes a connection; what it was, if it was.
    pub fn disconnected(&self, connection: &ConnectionId) -> Option<Record> {
        let mut state = self.state();
        let Session { record, groups } = state.connections.remove(connection)?;
        let member = Member { connection: connection.clone(), user: record.user.clone() };
        for group in &groups {
            state.groups.remove(group, &member);
        }
        if let Some(user) = &record.user {
            state.users.remove(&(user.clone(), record.since, connection.clone()));
            state.user_count -= usize::from(!state.has_user(user));
        }
        Some(record)
    }

    /// Adds a membership, if it was none before and the connection is here; then, how many the connection has.
    pub fn joined(&self, connection: &ConnectionId, group: &GroupName) -> Option<usize> {
        let mut state = self.state();
        let State { connections, groups, .. } = &mut *state;
        let session = connections.get_mut(connection)?;
        let place = session.groups.binary_search(group).err()?;
        session.groups.insert(place, group.clone());
        groups.add(group, Member { connection: connection.clone(), user: session.record.user.clone() });
        Some(session.groups.len())
    }

    /// Ends a membership, if it was one; then, how many the connection has left.
    pub fn left(&self, connection: &ConnectionId, group: &GroupName) -> Option<usize> {
        let mut state = self.state();
        let State { connections, groups, .. } = &mut *state;
        let session = connections.get_mut(connection)?;
        let place = session.groups.binary_search(group).ok()?;
        session.groups.remove(place);
        groups.remove(group, &Member { connection: connection.clone(), user: session.record.user.clone() });
        Some(session.groups.len())
    }

    /// Whether a connection that is here is a member of a group.
    pub fn is_member(&self, connection: &ConnectionId, group: &GroupName) -> bool {
        let state = self.state();
        state.connections.get(connection).is_some_and(|session| session.groups.binary_search(group).is_ok())
    }

    /// Groups of a connection that is here, in order, from `after` on.
    pub fn groups_of(
        &self,
        connection: &ConnectionId,
        after: Bound<&GroupName>,
        limit: usize,
    ) -> Vec<GroupName> {
        let state = self.state();
        let Some(Session { groups, .. }) = state.connections.get(connection) else { return Vec::new() };
        let first = match after {
            Bound::Unbounded => 0,
            Bound::Included(name) => groups.partition_point(|group| group < name),
            Bound::Excluded(name) => groups.partition_point(|group| group <= name),
        };
        groups[first..].iter().take(limit).cloned().collect()
    }

    /// How many connections are here.
    pub fn connection_count(&self) -> u64 {
        self.state().connections.len() as u64
    }

    /// How many users are here.
    pub fn user_count(&self) -> u64 {
        self.state().user_count as u64
    }

    /// How many members of a group are here.
    pub fn member_count(&self, group: &GroupName) -> u64 {
        self.state().groups.local_count(group) as u64
    }

    /// Whether a connection is here.
    pub fn has(&self, connection: &ConnectionId) -> bool {
        self.state().connections.contains_key(connection)
    }

    /// A connection that is here.
    pub fn find(&self, connection: &ConnectionId) -> Option<Connected> {
        let state = self.state();
        let (connection, session) = state.connections.get_key_value(connection)?;
        Some(self.connected_as(connection, &session.record))
    }

    /// See [`crate::HubDirectory::connections`].
    pub fn connections(&self, page: &Page) -> Listing<Connected> {
        let state = self.state();
        let behind = state.connections.range::<str, _>((after(page), Bound::Unbounded));
        let items = behind.map(|(connection, session)| self.connected_as(connection, &session.record));
        Listing::new(page, items, |item| item.connection.as_str())
    }

    /// See [`crate::HubDirectory::users`].
    pub fn users(&self, page: &Page) -> Listing<UserId> {
        let state = self.state();
        let mut before = page.after.as_ref().map(|cursor| UserId::from(cursor.as_str()));
        let items = std::iter::from_fn(|| {
            let next = state.user_after(before.as_ref())?.clone();
            before = Some(next.clone());
            Some(next)
        });
        Listing::new(page, items, UserId::as_str)
    }

    /// See [`crate::HubDirectory::members`].
    pub fn members(&self, group: &GroupName, page: &Page) -> Listing<Member> {
        let state = self.state();
        let items = state.groups.local(group, page.after.as_ref().map(Cursor::as_str));
        Listing::new(page, items.cloned(), |member| member.connection.as_str())
    }

    /// See [`crate::HubDirectory::connections_of`].
    pub fn connections_of(&self, user: &UserId) -> Vec<ConnectionId> {
        let state = self.state();
        let newest_first = state.of_user(user).rev().take(LIMIT_CONNECTIONS_OF_USER);
        newest_first.map(|(.., connection)| connection.clone()).collect()
    }

    /// Watches a group.
    pub fn watch(self: &Arc<Self>, group: GroupName) -> GroupWatch {
        let watcher = Arc::<Watcher>::default();
        self.state().groups.watch(&group, Arc::clone(&watcher));
        GroupWatch::new(Arc::clone(self), group, watcher)
    }

    /// What is known of a connection that is here, to tell others. From now on it counts as shared; the record says
    /// whether it did before.
    pub fn share(&self, connection: &ConnectionId) -> Option<Record> {
        let mut state = self.state();
        let Session { record, .. } = state.connections.get_mut(connection)?;
        let before = record.clone();
        record.is_shared = true;
        Some(before)
    }

    /// Takes the first [`share`](Self::share) of a connection back: nobody can have been told.
    pub fn unshare(&self, connection: &ConnectionId) {
        if let Some(session) = self.state().connections.get_mut(connection) {
            session.record.is_shared = false;
        }
    }

    /// The ids of connections that are here, in order, behind one of them.
    pub fn ids_after(&self, connection: Option<&ConnectionId>, limit: usize) -> Vec<ConnectionId> {
        let state = self.state();
        let after = connection.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_str()));
        let behind = state.connections.range::<str, _>((after, Bound::Unbounded));
        behind.take(limit).map(|(connection, _)| connection.clone()).collect()
    }

    /// Begins to keep what others have in a group, watched or not.
    pub fn remote_begin(&self, group: &GroupName) {
        self.state().groups.begin_remote(group);
    }

    /// Stops to, unless somebody watches; whether it has stopped.
    pub fn remote_end(&self, group: &GroupName) -> bool {
        self.state().groups.end_remote(group)
    }

    /// Somebody joined elsewhere.
    pub fn remote_joined(&self, group: &GroupName, member: Member) {
        self.state().groups.remote_joined(group, member);
    }

    /// Somebody left elsewhere.
    pub fn remote_left(&self, group: &GroupName, connection: &ConnectionId) {
        self.state().groups.remote_left(group, connection);
    }

    /// All there are elsewhere; watchers learn what that changes.
    pub fn remote_members(&self, group: &GroupName, members: BTreeMap<ConnectionId, Option<UserId>>) {
        self.state().groups.remote_members(group, members);
    }

    pub(crate) fn snapshot_for(&self, group: &GroupName, watcher: &Watcher) -> Vec<Member> {
        let state = self.state();
        watcher.resume_after_snapshot();
        state.groups.everybody(group)
    }

    pub(crate) fn unwatch(&self, group: &GroupName, watcher: &Arc<Watcher>) {
        self.state().groups.unwatch(group, watcher);
    }

    fn connected_as(&self, connection: &ConnectionId, record: &Record) -> Connected {
        Connected {
            connection: connection.clone(),
            user: record.user.clone(),
            since: SystemTime::UNIX_EPOCH + Duration::from_millis(record.since),
            instance: Arc::clone(&self.instance),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn has_user(&self, user: &UserId) -> bool {
        self.of_user(user).next().is_some()
    }

    fn of_user(&self, user: &UserId) -> impl DoubleEndedIterator<Item = &(UserId, u64, ConnectionId)> {
        let first = (user.clone(), 0, ConnectionId::from(""));
        // No connection begins at the end of time.
        let last = (user.clone(), u64::MAX, ConnectionId::from(""));
        self.users.range(first..last)
    }

    fn user_after(&self, user: Option<&UserId>) -> Option<&UserId> {
        let after = match user {
            Some(user) => Bound::Excluded((user.clone(), u64::MAX, ConnectionId::from(""))),
            None => Bound::Unbounded,
        };
        self.users.range((after, Bound::Unbounded)).next().map(|(user, ..)| user)
    }
}

fn after(page: &Page) -> Bound<&str> {
    page.after.as_ref().map_or(Bound::Unbounded, |cursor| Bound::Excluded(cursor.as_str()))
}

impl fmt::Debug for LocalHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHub").field("connections", &self.connection_count()).finish_non_exhaustive()
    }
}

/// What happened, for those who watch.
fn tell(watchers: &[Arc<Watcher>], event: &GroupEvent) {
    for watcher in watchers {
        watcher.push(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_those_who_have_gone() {
        let hub = LocalHub::new("here".into());
        let ids: Vec<ConnectionId> = (0..100).map(|n| format!("c{n}").into()).collect();
        for (n, id) in ids.iter().enumerate() {
            hub.connected(id.clone(), (n % 3 > 0).then(|| format!("u{}", n % 7).into()));
            for group in 0..n % 5 {
                hub.joined(id, &format!("g{group}").into());
            }
        }
        for id in &ids {
            hub.left(id, &"g0".into());
            assert!(hub.disconnected(id).is_some());
        }
        let state = hub.state();
        assert!(state.connections.is_empty() && state.users.is_empty() && state.groups.is_empty());
        assert_eq!(state.user_count, 0);
    }
}
