//! Where each user is connected, for other programs.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, try_join};
use futures_util::stream::{self, TryStreamExt};
use hubline::directory::{
    ConnectionChange, ConnectionObserver, HubDirectory, ObserverError, Scope, SessionDirectory,
};
use hubline::{ConnectionId, UserId};
use hubline_redis::{CommandError, RedisClient};

use crate::cache_entry::{self, Expiration};

const EXPIRATION: Expiration =
    Expiration { absolute: Duration::from_secs(12 * 60 * 60), sliding: Duration::from_secs(4 * 60 * 60) };
/// How often entries are written again while their user is connected.
const RENEWAL: Duration = Duration::from_secs(60 * 60);
/// Connections of one user that are listed.
const LIMIT_LISTED: usize = 100;
/// Users whose entries are written at once.
const PARALLEL: usize = 32;
/// How often an entry is written again at once because the user's connections have changed meanwhile.
const ATTEMPTS: usize = 8;

/// Keeps two entries of .NET's `IDistributedCache` for each user of a hub, behind `Redis:InstanceName`:
///
/// - `connection:{user}`: the id of the user's newest connection;
/// - `connections:{user}`: a JSON list of the user's newest 100 connections, oldest first.
///
/// Both are there while the user has a connection anywhere in the fleet. They are written one by one, from what the
/// directory says at that time, so on a Redis Cluster each may be on another node. The entries of an instance that died
/// are corrected by the instance that removes its record from the directory.
#[derive(Debug)]
pub struct ConnectionMapping {
    client: RedisClient,
    renewal: Duration,
}

impl ConnectionMapping {
    /// Keeps the entries of a hub's users from now on.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(client: RedisClient, directory: &dyn SessionDirectory, hub_name: &str) {
        Self::start_with(client, directory, hub_name, RENEWAL);
    }

    /// [`ConnectionMapping::start`] with another period than 1 hour after which all entries are written again.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start_with(
        client: RedisClient,
        directory: &dyn SessionDirectory,
        hub_name: &str,
        renewal: Duration,
    ) {
        directory.observe(hub_name, Arc::new(Self { client, renewal }));
    }

    /// Writes until what was written is what the directory says: another instance may have written what it had read before.
    async fn update(&self, hub: &dyn HubDirectory, user: UserId) -> Result<(), ObserverError> {
        let mut connections = newest(hub, &user).await?;
        for _ in 0..ATTEMPTS {
            self.write(&user, &connections).await?;
            let now = newest(hub, &user).await?;
            if now == connections {
                return Ok(());
            }
            connections = now;
        }
        Err(format!("the connections of {user} change all the time").into())
    }

    async fn write(&self, user: &UserId, connections: &[ConnectionId]) -> Result<(), CommandError> {
        let prefix = self.client.options().instance_name.as_deref().unwrap_or_default();
        let keys = ["connection:", "connections:"].map(|kind| [prefix, kind, user.as_str()].concat());
        let Some(newest) = connections.first() else {
            let [one, all] = keys.each_ref().map(|key| cache_entry::remove(&self.client, key));
            return try_join(one, all).await.map(drop);
        };
        let oldest_first: Vec<&str> = connections.iter().rev().map(ConnectionId::as_str).collect();
        let list = serde_json::to_string(&oldest_first).unwrap_or_default();
        let one = cache_entry::write(&self.client, &keys[0], newest.as_str(), EXPIRATION);
        let all = cache_entry::write(&self.client, &keys[1], &list, EXPIRATION);
        try_join(one, all).await.map(drop)
    }
}

/// A user's newest connections in the fleet, newest first.
async fn newest(hub: &dyn HubDirectory, user: &UserId) -> Result<Vec<ConnectionId>, ObserverError> {
    let answer = hub.connections_of(user.clone()).await;
    if answer.scope == Scope::ThisInstance {
        return Err("the session directory cannot reach Redis".into());
    }
    let mut connections = answer.value;
    connections.truncate(LIMIT_LISTED);
    Ok(connections)
}

impl ConnectionObserver for ConnectionMapping {
    fn changed<'a>(
        &'a self,
        hub: &'a dyn HubDirectory,
        changes: &'a [ConnectionChange],
    ) -> BoxFuture<'a, Result<(), ObserverError>> {
        let users: HashSet<UserId> = changes.iter().filter_map(|change| change.user.clone()).collect();
        let users = stream::iter(users.into_iter().map(Ok));
        users.try_for_each_concurrent(PARALLEL, move |user| self.update(hub, user)).boxed()
    }

    fn resync_period(&self) -> Option<Duration> {
        Some(self.renewal)
    }
}
