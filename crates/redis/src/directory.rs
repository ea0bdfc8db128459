//! The session directory in Redis.

mod calls;
mod hub;
mod keys;
mod pending;
mod presence;
mod scripts;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_directory::local::{LocalCalls, LocalHub};
use hubline_directory::{CallDirectory, HubSessions, SessionDirectory};
use hubline_protocol::ConnectionId;
use hubline_supervision::spawn;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::hub::Attached;
use self::keys::Keys;
use self::pending::Pending;
use self::presence::{Presence, Request};
use self::writer::Writer;
use crate::client::names::new_server_name;
use crate::{CommandError, RawChannels, RedisBackplane, RedisClient};

/// A session directory that the instances of a fleet share through Redis.
///
/// The truth is one record set per instance, with a lease that it renews. Redis is told of connections and their
/// groups, not of events: what changes while Redis is away, or faster than it can be written, is written as it is in
/// the end. All that is pending is bounded by the connections and memberships that are here and those that Redis still
/// has. A join or leave costs the same however many groups its connection is in, and no script changes more than about
/// 1,000 memberships at once.
///
/// - **An instance that dies** is noticed when its lease ends (5 heartbeats, 15 s); the others then remove what it
///   held, a hundred connections or a thousand memberships at a time, each once. All of it is gone within 30 s.
/// - **A Redis that lost something**, restarted empty or with an old copy, or failed over, is noticed by a number
///   that every write carries; the instance then writes everything again under a new name and removes the old one.
/// - **Redis away**: answers cover this instance, and say so ([`Scope`](hubline_directory::Scope)); calls that this
///   instance knows can be created and changed. Nothing waits longer than twice `asyncTimeout`.
/// - **Changes of groups** are published with the change, and carry versions without gaps; a watcher's instance that
///   has missed one, by its own fault or Redis', reads the members again and tells what has changed. It compares
///   versions each heartbeat, so that it also works, late, without [`RawChannels`].
///
/// # Keys
///
/// All in `defaultDatabase`. `{P}` is [`RedisDirectoryOptions::instance_name`] and stands before every key with
/// nothing between; `{H}` is a hub's name, with `%XX` for `%`, `:`, `{` and `}`. All are written by scripts of
/// Hubline only.
///
/// | key | type | lives | what it is |
/// | --- | --- | --- | --- |
/// | `{P}connection:{user}` | hash | 4 h, renewed every hour | the user's newest connection: `absexp`, `sldexp` (12 h absolute, 4 h sliding), `data` |
/// | `{P}connections:{user}` | hash | the same | `data` is a JSON list of the user's newest 100 connections, oldest first |
/// | `{P}call:{id}` | hash | 4 h | `data` is the call, [`Call::to_json`](hubline_directory::Call::to_json) |
/// | `{P}hubline:instances` | sorted set | - | instances by the end of their lease, in milliseconds since 1970 by Redis' clock |
/// | `{P}hubline:instance:{instance}` | hash | while it lives | its connections, by `{H}`, a zero byte and the id: `[since,mapped,[],user]`; the number of its last write under the empty name |
/// | `{P}hubline:connections:{H}` | sorted set | while there are any | id, instance, time and user of each connection, parted by zero bytes |
/// | `{P}hubline:users:{H}` | sorted set | while there are any | the users |
/// | `{P}hubline:user:{H}:{user}` | sorted set | while it has any | connections by time |
/// | `{P}hubline:mapped:{user}` | sorted set | while it has any | connections by time, of the hubs that count for `connection:{user}` |
/// | `{P}hubline:group:{H}:{group}` | sorted set | while it has any | members, user behind a zero byte; also the channel, behind the channel prefix, of the group's changes |
/// | `{P}hubline:joined:{H}:{id}` | sorted set | while it has any | groups of a connection |
/// | `{P}hubline:groups:{H}` | hash | while there are any | the version of each group that has members |
/// | `{P}hubline:version` | string | - | the last version of any group |
/// | `{P}hubline:epoch` | string | - | since when this Redis has what it has |
///
/// The entries for other programs are as .NET's `IDistributedCache` writes them. The keys of `hubline:` have no time
/// to live: the next instance that starts removes what a fleet that was killed has left.
///
/// On Redis Cluster the scripts want all keys in one slot: `instance_name` must have a hash tag, `{clinic}:` for
/// example.
///
/// Cloning shares it. It needs a tokio runtime that outlives it.
#[derive(Clone)]
pub struct RedisDirectory {
    shared: Arc<Shared>,
    watches: mpsc::Sender<Request>,
    _tasks: Arc<[AbortOnDropHandle<()>; 2]>,
}

/// What can be set for a [`RedisDirectory`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RedisDirectoryOptions {
    /// `Redis:InstanceName`: stands before every key. Default: nothing.
    pub instance_name: String,
    /// Names of the hubs whose connections count for `connection:{user}` and `connections:{user}`. Default: `None`,
    /// all do.
    pub mapped_hubs: Option<Vec<String>>,
    /// How often this instance says that it lives; its lease ends 5 times that after the last time. The same for the
    /// whole fleet. Default: 3 s.
    pub heartbeat: Duration,
}

impl Default for RedisDirectoryOptions {
    fn default() -> Self {
        Self { instance_name: String::new(), mapped_hubs: None, heartbeat: Duration::from_secs(3) }
    }
}

/// What the tasks and the hubs share.
struct Shared {
    client: RedisClient,
    keys: Keys,
    options: RedisDirectoryOptions,
    /// Its name without the number of its life.
    base_name: Arc<str>,
    hubs: Mutex<Vec<Arc<HubEntry>>>,
    pending: Pending,
    calls: LocalCalls,
    /// Why Redis cannot be asked for now, if so.
    away: watch::Sender<Option<Arc<str>>>,
    closing: CancellationToken,
    closed: CancellationToken,
}

/// One hub.
struct HubEntry {
    index: u32,
    name: Box<str>,
    /// Its name in keys.
    part: Box<str>,
    is_mapped: bool,
    local: Arc<LocalHub>,
}

impl RedisDirectory {
    /// Starts a directory and keeps at it in the background: returns at once, whether Redis is there or not.
    ///
    /// `channels`, of the backplane on the same Redis and with the same `channelPrefix`, bring changes of watched
    /// groups at once; without them they come with the heartbeat.
    pub fn start(client: RedisClient, channels: Option<RawChannels>, options: RedisDirectoryOptions) -> Self {
        let (watches, requests) = mpsc::channel(64);
        let shared = Arc::new(Shared {
            keys: Keys { instance_name: options.instance_name.as_str().into() },
            client,
            options,
            base_name: new_server_name().into(),
            hubs: Mutex::default(),
            pending: Pending::new(),
            calls: LocalCalls::default(),
            away: watch::Sender::new(Some("connecting".into())),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
        });
        let writer = spawn(Writer::new(Arc::clone(&shared)));
        let presence = spawn(Presence::new(Arc::clone(&shared), channels, requests));
        let tasks = [writer, presence];
        Self { shared, watches, _tasks: Arc::new(tasks) }
    }
}

impl RedisBackplane {
    /// Starts a session directory with default options on the same Redis. Changes of watched groups come over this backplane's
    /// links. Needs a tokio runtime. Give it to a server before the backplane itself:
    /// `builder.directory(backplane.directory()).backplane(backplane)`.
    pub fn directory(&self) -> RedisDirectory {
        self.directory_with(RedisDirectoryOptions::default())
    }

    /// [`RedisBackplane::directory`] with options.
    pub fn directory_with(&self, options: RedisDirectoryOptions) -> RedisDirectory {
        RedisDirectory::start(self.client().clone(), Some(self.raw_channels()), options)
    }
}

impl SessionDirectory for RedisDirectory {
    fn attach(&self, hub_name: &str) -> Arc<dyn HubSessions> {
        let entry = self.shared.hub(hub_name);
        Arc::new(Attached::new(entry, self.clone()))
    }

    fn calls(&self) -> Arc<dyn CallDirectory> {
        Arc::new(calls::Calls::new(self.clone()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.shared.closing.cancel();
        self.shared.closed.cancelled().boxed()
    }
}

impl Shared {
    fn hub(&self, name: &str) -> Arc<HubEntry> {
        let mut hubs = self.hubs();
        if let Some(hub) = hubs.iter().find(|hub| &*hub.name == name) {
            return Arc::clone(hub);
        }
        let mapped = self.options.mapped_hubs.as_ref();
        let hub = Arc::new(HubEntry {
            index: u32::try_from(hubs.len()).unwrap_or(u32::MAX),
            name: name.into(),
            part: keys::hub_part(name).into(),
            is_mapped: mapped.is_none_or(|mapped| mapped.iter().any(|hub| hub == name)),
            local: Arc::new(LocalHub::new(Arc::clone(&self.base_name))),
        });
        hubs.push(Arc::clone(&hub));
        hub
    }

    /// Whether Redis can be asked, and has all that was reported here.
    async fn is_settled(&self) -> bool {
        if self.away.borrow().is_some() {
            return false;
        }
        let mut away = self.away.subscribe();
        let settled = async {
            tokio::select! {
                () = self.pending.settled() => true,
                _ = away.wait_for(Option::is_some) => false,
            }
        };
        timeout(self.client.options().async_timeout, settled).await.unwrap_or(false)
    }

    /// Redis does not answer, or not as it should.
    fn lost(&self, error: &CommandError) {
        let reason: Arc<str> = error.to_string().into();
        if self.away.send_replace(Some(Arc::clone(&reason))).as_ref() != Some(&reason) {
            tracing::warn!(%reason, "the session directory cannot use Redis and answers for this instance alone");
        }
    }

    fn found(&self) {
        if self.away.send_replace(None).is_some() {
            tracing::info!("the session directory has reached Redis");
        }
    }

    /// Whether a connection of this instance is here, or was and Redis does not know yet that it is gone.
    fn is_of_this_instance(&self, hub: &HubEntry, connection: &ConnectionId) -> bool {
        hub.local.has(connection) || self.pending.contains(&(hub.index, connection.clone()))
    }

    fn hubs(&self) -> MutexGuard<'_, Vec<Arc<HubEntry>>> {
        self.hubs.lock()
    }
}

impl fmt::Debug for RedisDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisDirectory")
            .field("instance", &self.shared.base_name)
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_redis_never_knew_leaves_nothing_to_tell_it() {
        let client = RedisClient::new("127.0.0.1:1".parse().unwrap()).unwrap();
        let directory = RedisDirectory::start(client, None, RedisDirectoryOptions::default());
        let hub = directory.attach("Chat");
        for n in 0..1000 {
            let id = ConnectionId::from(format!("c{n}"));
            hub.connected(id.clone(), Some("ada".into()));
            hub.joined(&id, &"g".into());
            hub.left(&id, &"g".into());
            if n > 0 {
                hub.disconnected(&id);
            }
        }
        assert!(directory.shared.pending.take(1000).is_some());
        assert!(directory.shared.pending.take(1000).is_none());
    }
}
