//! One hub's part of the directory: what it reports, and what it is asked.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_directory::local::LIMIT_CONNECTIONS_OF_USER;
use hubline_directory::{Answer, Connected, GroupWatch, HubDirectory, HubSessions, Listing, Member, Page};
use hubline_protocol::{ConnectionId, GroupName, UserId};
use redis::FromRedisValue;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::pending::Key;
use super::presence::{Request, member};
use super::{HubEntry, Shared, Tasks};
use crate::CommandError;

#[derive(Clone)]
pub(super) struct Attached {
    hub: Arc<HubEntry>,
    shared: Arc<Shared>,
    watches: mpsc::Sender<Request>,
    /// The directory lives as long as this.
    _tasks: Option<Arc<Tasks>>,
}

impl Attached {
    pub(super) fn new(hub: Arc<HubEntry>, shared: Arc<Shared>, watches: mpsc::Sender<Request>) -> Self {
        Self { hub, shared, watches, _tasks: None }
    }

    pub(super) fn keeping(self, tasks: Arc<Tasks>) -> Self {
        Self { _tasks: Some(tasks), ..self }
    }

    fn key(&self, connection: &ConnectionId) -> Key {
        (self.hub.index, connection.clone())
    }

    fn changed(&self, connection: &ConnectionId, group: &GroupName, groups_now: Option<usize>) {
        if let Some(groups_now) = groups_now {
            self.shared.pending.change(self.key(connection), group.clone(), groups_now);
        }
    }

    /// Of the fleet if Redis can be asked, else of this instance.
    async fn ask<T, R: FromRedisValue>(
        &self,
        command: redis::Cmd,
        understand: impl FnOnce(R) -> T,
        local: impl FnOnce() -> T,
    ) -> Answer<T> {
        if self.shared.is_settled().await {
            match self.shared.client.query(command).await {
                Ok(answer) => return Answer::of_fleet(understand(answer)),
                Err(error) => self.unanswered(&error),
            }
        }
        Answer::of_this_instance(local())
    }

    fn unanswered(&self, error: &CommandError) {
        tracing::debug!(hub = &*self.hub.name, %error, "the session directory answers for this instance alone");
    }
}

impl HubSessions for Attached {
    fn connected(&self, connection: ConnectionId, user: Option<UserId>) {
        self.hub.local.connected(connection.clone(), user);
        self.shared.pending.add(self.key(&connection));
    }

    fn disconnected(&self, connection: &ConnectionId) {
        let pending = &self.shared.pending;
        match self.hub.local.disconnected(connection) {
            Some(record) if record.is_shared => pending.end(self.key(connection)),
            // Redis never knew of it.
            Some(_) => pending.remove(&self.key(connection)),
            None => {}
        }
    }

    fn joined(&self, connection: &ConnectionId, group: &GroupName) {
        self.changed(connection, group, self.hub.local.joined(connection, group));
    }

    fn left(&self, connection: &ConnectionId, group: &GroupName) {
        self.changed(connection, group, self.hub.local.left(connection, group));
    }
}

impl HubDirectory for Attached {
    fn connection_count(&self) -> BoxFuture<'_, Answer<u64>> {
        let command = redis::Cmd::zcard(self.shared.keys.connections(&self.hub.part));
        self.ask(command, |count| count, || self.hub.local.connection_count()).boxed()
    }

    fn user_count(&self) -> BoxFuture<'_, Answer<u64>> {
        let command = redis::Cmd::zcard(self.shared.keys.users(&self.hub.part));
        self.ask(command, |count| count, || self.hub.local.user_count()).boxed()
    }

    fn member_count(&self, group: GroupName) -> BoxFuture<'_, Answer<u64>> {
        let command = redis::Cmd::zcard(self.shared.keys.group(&self.hub.part, &group));
        async move { self.ask(command, |count| count, || self.hub.local.member_count(&group)).await }.boxed()
    }

    fn find(&self, connection: ConnectionId) -> BoxFuture<'_, Answer<Option<Connected>>> {
        let (from, to) = (format!("[{connection}\0"), format!("({connection}\u{1}"));
        let command = by_name(self.shared.keys.connections(&self.hub.part), &from, &to, 1);
        async move {
            let found = |entries: Vec<String>| entries.first().and_then(|entry| connected(entry));
            self.ask(command, found, || self.hub.local.find(&connection)).await
        }
        .boxed()
    }

    fn connections(&self, page: Page) -> BoxFuture<'_, Answer<Listing<Connected>>> {
        let key = self.shared.keys.connections(&self.hub.part);
        let command = behind(key, &page, "\u{1}");
        async move {
            let listing = |entries: Vec<String>| {
                let items = entries.iter().filter_map(|entry| connected(entry));
                Listing::new(&page, items, |item| item.connection.as_str())
            };
            self.ask(command, listing, || self.hub.local.connections(&page)).await
        }
        .boxed()
    }

    fn users(&self, page: Page) -> BoxFuture<'_, Answer<Listing<UserId>>> {
        let command = behind(self.shared.keys.users(&self.hub.part), &page, "");
        async move {
            let listing =
                |users: Vec<String>| Listing::new(&page, users.into_iter().map(UserId::from), UserId::as_str);
            self.ask(command, listing, || self.hub.local.users(&page)).await
        }
        .boxed()
    }

    fn members(&self, group: GroupName, page: Page) -> BoxFuture<'_, Answer<Listing<Member>>> {
        let command = behind(self.shared.keys.group(&self.hub.part, &group), &page, "\u{1}");
        async move {
            let listing = |entries: Vec<String>| {
                let items = entries.iter().map(|entry| member(entry));
                Listing::new(&page, items, |member| member.connection.as_str())
            };
            self.ask(command, listing, || self.hub.local.members(&group, &page)).await
        }
        .boxed()
    }

    fn connections_of(&self, user: UserId) -> BoxFuture<'_, Answer<Vec<ConnectionId>>> {
        let mut command = redis::cmd("ZREVRANGE");
        command.arg(self.shared.keys.user(&self.hub.part, &user));
        command.arg(0).arg(LIMIT_CONNECTIONS_OF_USER - 1);
        async move {
            let ids = |ids: Vec<String>| ids.into_iter().map(ConnectionId::from).collect();
            self.ask(command, ids, || self.hub.local.connections_of(&user)).await
        }
        .boxed()
    }

    fn watch_group(&self, group: GroupName) -> BoxFuture<'_, GroupWatch> {
        async move {
            // It is watched first, so that nobody takes it for one that need not be kept.
            let watch = self.hub.local.watch(group.clone());
            let (ready, is_ready) = oneshot::channel();
            let request = Request { hub: Arc::clone(&self.hub), group, ready };
            let known = async {
                if self.watches.send(request).await.is_ok() {
                    let _ = is_ready.await;
                }
            };
            let patience = self.shared.client.options().async_timeout;
            let _ = timeout(patience, known).await;
            watch
        }
        .boxed()
    }
}

/// The entries behind a cursor, which is the beginning of one, up to `separator`; one more than the page takes.
fn behind(key: String, page: &Page, separator: &str) -> redis::Cmd {
    let from = page.after.as_ref().map_or_else(|| "-".to_owned(), |cursor| format!("({cursor}{separator}"));
    by_name(key, &from, "+", page.limit() + 1)
}

fn by_name(key: String, from: &str, to: &str, limit: usize) -> redis::Cmd {
    redis::Cmd::zrangebylex_limit(key, from, to, 0, isize::try_from(limit).unwrap_or(isize::MAX))
}

/// An entry of the index: id, instance, milliseconds, user.
fn connected(entry: &str) -> Option<Connected> {
    let mut parts = entry.splitn(4, '\0');
    let (connection, instance, since) = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
    Some(Connected {
        connection: connection.into(),
        user: parts.next().map(UserId::from),
        since: SystemTime::UNIX_EPOCH + Duration::from_millis(since),
        instance: instance.into(),
    })
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisDirectory").field("hub", &self.hub.name).finish_non_exhaustive()
    }
}
