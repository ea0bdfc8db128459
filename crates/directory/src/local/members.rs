use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hubline_protocol::{ConnectionId, GroupName, UserId};

use super::tell;
use crate::presence::Watcher;
use crate::{GroupEvent, Member};

/// The members of groups: those here, and of watched groups those elsewhere too.
#[derive(Default)]
pub(super) struct Groups {
    /// Of all groups, so that a small group has no allocation of its own.
    members: BTreeSet<(GroupName, Member)>,
    counts: HashMap<GroupName, usize>,
    watched: HashMap<GroupName, Watched>,
}

#[derive(Default)]
struct Watched {
    watchers: Vec<Arc<Watcher>>,
    /// Members elsewhere; one that is here as well counts as here.
    remote: BTreeMap<ConnectionId, Option<UserId>>,
    /// Whether somebody keeps `remote` up to date.
    is_kept: bool,
}

impl Groups {
    pub(super) fn add(&mut self, group: &GroupName, member: Member) {
        if let Some(watched) = self.watched.get_mut(group)
            && watched.remote.remove(&member.connection).is_none()
        {
            tell(&watched.watchers, &GroupEvent::Joined(member.clone()));
        }
        if self.members.insert((group.clone(), member)) {
            *self.counts.entry(group.clone()).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, group: &GroupName, member: &Member) {
        let key = (group.clone(), member.clone());
        if !self.members.remove(&key) {
            return;
        }
        let (group, member) = key;
        if let Some(count) = self.counts.get_mut(&group) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&group);
            }
        }
        if let Some(watched) = self.watched.get(&group) {
            tell(&watched.watchers, &GroupEvent::Left(member));
        }
    }

    pub(super) fn local_count(&self, group: &GroupName) -> usize {
        self.counts.get(group).copied().unwrap_or(0)
    }

    /// Those here, in order, from behind a connection's id.
    pub(super) fn local(&self, group: &GroupName, after: Option<&str>) -> impl Iterator<Item = &Member> {
        let id = ConnectionId::from(after.unwrap_or_default());
        let first = (group.clone(), Member { connection: id.clone(), user: None });
        let (group, skipped) = (group.clone(), after.is_some());
        self.members
            .range(first..)
            .take_while(move |(of, _)| *of == group)
            .map(|(_, member)| member)
            .skip_while(move |member| skipped && member.connection == id)
    }

    /// Those here and elsewhere, in order.
    pub(super) fn everybody(&self, group: &GroupName) -> Vec<Member> {
        let mut everybody: Vec<Member> = self.local(group, None).cloned().collect();
        if let Some(watched) = self.watched.get(group) {
            everybody.extend(watched.remote.iter().map(member));
            everybody.sort();
        }
        everybody
    }

    pub(super) fn watch(&mut self, group: &GroupName, watcher: Arc<Watcher>) {
        self.watched.entry(group.clone()).or_default().watchers.push(watcher);
    }

    pub(super) fn unwatch(&mut self, group: &GroupName, watcher: &Arc<Watcher>) {
        let Some(watched) = self.watched.get_mut(group) else { return };
        watched.watchers.retain(|other| !Arc::ptr_eq(other, watcher));
        if watched.watchers.is_empty() && !watched.is_kept {
            self.watched.remove(group);
        }
    }

    pub(super) fn begin_remote(&mut self, group: &GroupName) {
        self.watched.entry(group.clone()).or_default().is_kept = true;
    }

    pub(super) fn end_remote(&mut self, group: &GroupName) -> bool {
        let is_unwatched = self.watched.get(group).is_none_or(|watched| watched.watchers.is_empty());
        if is_unwatched {
            self.watched.remove(group);
        }
        is_unwatched
    }

    pub(super) fn remote_joined(&mut self, group: &GroupName, member: Member) {
        let is_here = self.is_here(group, &member);
        if let Some(watched) = self.watched.get_mut(group).filter(|_| !is_here)
            && watched.remote.insert(member.connection.clone(), member.user.clone()).is_none()
        {
            tell(&watched.watchers, &GroupEvent::Joined(member));
        }
    }

    pub(super) fn remote_left(&mut self, group: &GroupName, connection: &ConnectionId) {
        if let Some(watched) = self.watched.get_mut(group)
            && let Some(user) = watched.remote.remove(connection)
        {
            let member = Member { connection: connection.clone(), user };
            tell(&watched.watchers, &GroupEvent::Left(member));
        }
    }

    pub(super) fn remote_members(
        &mut self,
        group: &GroupName,
        members: BTreeMap<ConnectionId, Option<UserId>>,
    ) {
        let Some(watched) = self.watched.get(group) else { return };
        let gone = watched.remote.keys().filter(|id| !members.contains_key(*id));
        let gone: Vec<ConnectionId> = gone.cloned().collect();
        for connection in gone {
            self.remote_left(group, &connection);
        }
        for (connection, user) in members {
            self.remote_joined(group, Member { connection, user });
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.counts.is_empty() && self.watched.is_empty()
    }

    fn is_here(&self, group: &GroupName, member: &Member) -> bool {
        self.members.contains(&(group.clone(), member.clone()))
    }
}

fn member((connection, user): (&ConnectionId, &Option<UserId>)) -> Member {
    Member { connection: connection.clone(), user: user.clone() }
}
