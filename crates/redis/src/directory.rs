//! The session directory in Redis.

mod departures;
mod hub;
mod keys;
mod notifying;
mod pending;
mod presence;
mod scripts;
mod sweep;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_backplane::Status;
use hubline_directory::local::{LocalHub, Notifier};
use hubline_directory::{ConnectionObserver, HubSessions, SessionDirectory};
use hubline_protocol::ConnectionId;
use hubline_supervision::spawn;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::departures::Departures;
use self::hub::Attached;
use self::keys::Keys;
use self::notifying::Notifying;
use self::pending::Pending;
use self::presence::{Presence, Request};
use self::writer::Writer;
use crate::client::names::new_server_name;
use crate::{CommandError, RawChannels, RedisBackplane, RedisClient};

/// A session directory that the instances of a fleet share through Redis.
///
/// Each instance has a record of its connections in Redis, with a lease that it renews. An instance writes the state of its
/// connections and groups, not events: what changes while Redis is away, or faster than it can be written, is written as
/// it is in the end. What is pending is bounded by the connections and memberships of this instance and those that Redis
/// still has. A join or leave costs the same however many groups its connection is in, and no script changes more than
/// about 1,000 memberships.
///
/// - **An instance that dies** is noticed when its lease ends (5 heartbeats, 15 s). The others then remove its
///   record, a hundred connections or a thousand memberships at a time, and report each connection to the observers as
///   [`InstanceDied`](hubline_directory::ConnectionEvent::InstanceDied). All of it is gone within 30 s.
/// - **A departure** stays in Redis until the observers have handled it, so none is lost if this instance dies meanwhile.
/// - **A Redis that lost data**, restarted empty or with an old copy, or failed over, is noticed by a number
///   that every write carries; the instance then writes everything again under a new name and removes the old one.
/// - **Redis away**: answers cover this instance, and say so ([`Scope`](hubline_directory::Scope)); no answer takes longer
///   than twice `asyncTimeout`. [`status`](SessionDirectory::status) has the reason.
/// - **Changes of groups** are published with the change, and carry versions without gaps. A watcher's instance that
///   has missed one reads the members again and reports the difference. It compares versions each heartbeat, so that it
///   also works, later, without [`RawChannels`].
///
/// # Keys
///
/// All are in `defaultDatabase`; a cluster has database 0 alone. `{P}` is [`RedisOptions::instance_name`] followed by
/// `{hubline}:`, braces included; without an instance name `channelPrefix` stands there instead. The braces are a hash
/// tag, which puts all keys in one slot of a cluster. A name or prefix with a hash tag of its own, `{clinic}:` for
/// example, puts them in the slot of that. One that begins its first tag with `{}` cannot be used on a cluster.
///
/// `{H}` is a hub's name, with `%XX` for `%`, `:`, `{` and `}`.
///
/// | key | type | lives | content |
/// | --- | --- | --- | --- |
/// | `{P}instances` | sorted set | - | instances by the end of their lease, in milliseconds since 1970 by Redis' clock |
/// | `{P}instance:{instance}` | hash | while it lives | its connections, by `{H}`, a zero byte and the id: `[since,user]`; the number of its last write under the empty name |
/// | `{P}departed:{instance}` | sorted set | until handled | `{H}`, id and user of connections that have gone, for the observers |
/// | `{P}connections:{H}` | sorted set | while there are any | id, instance, time and user of each connection, separated by zero bytes |
/// | `{P}users:{H}` | sorted set | while there are any | the users |
/// | `{P}user:{H}:{user}` | sorted set | while it has any | connections by time |
/// | `{P}group:{H}:{group}` | sorted set | while it has any | members, user behind a zero byte; also the channel, behind the channel prefix, of the group's changes |
/// | `{P}joined:{H}:{id}` | sorted set | while it has any | groups of a connection |
/// | `{P}groups:{H}` | hash | while there are any | the version of each group that has members |
/// | `{P}version` | string | - | the last version of any group |
/// | `{P}epoch` | string | - | since when this Redis has its data |
///
/// They have no time to live: the next instance that starts removes what a fleet that was killed has left.
///
/// Cloning shares it. It needs a tokio runtime that outlives it.
///
/// [`RedisOptions::instance_name`]: crate::RedisOptions::instance_name
#[derive(Clone)]
pub struct RedisDirectory {
    shared: Arc<Shared>,
    watches: mpsc::Sender<Request>,
    tasks: Arc<Tasks>,
}

type Tasks = [AbortOnDropHandle<()>; 3];

/// What can be set for a [`RedisDirectory`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RedisDirectoryOptions {
    /// How often this instance renews its lease, which lasts 5 times as long. The same for the whole fleet. Default: 3 s.
    pub heartbeat: Duration,
}

impl Default for RedisDirectoryOptions {
    fn default() -> Self {
        Self { heartbeat: Duration::from_secs(3) }
    }
}

/// Different reasons that are logged of one outage.
const MOST_LOGGED: usize = 5;

/// What the tasks and the hubs share.
struct Shared {
    client: RedisClient,
    keys: Keys,
    options: RedisDirectoryOptions,
    /// Its name without the number of its life.
    base_name: Arc<str>,
    hubs: Mutex<Vec<Arc<HubEntry>>>,
    pending: Pending,
    notifier: Notifier,
    departures: Departures,
    status: watch::Sender<Status>,
    /// The reasons for which Redis cannot be used that were logged since it could.
    logged: Mutex<Vec<String>>,
    closing: CancellationToken,
    closed: CancellationToken,
}

/// One hub.
struct HubEntry {
    index: u32,
    name: Box<str>,
    /// Its name in keys.
    part: Box<str>,
    local: Arc<LocalHub>,
}

impl RedisDirectory {
    /// Starts a directory. Returns at once, whether Redis is there or not, and goes on in the background.
    ///
    /// `channels`, of the backplane on the same Redis and with the same `channelPrefix`, bring changes of watched
    /// groups at once; without them they come with the heartbeat.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(client: RedisClient, channels: Option<RawChannels>, options: RedisDirectoryOptions) -> Self {
        let (watches, requests) = mpsc::channel(64);
        let shared = Arc::new(Shared {
            keys: Keys::behind(client.options().key_prefix()),
            client,
            options,
            base_name: new_server_name().into(),
            hubs: Mutex::default(),
            pending: Pending::new(),
            notifier: Notifier::default(),
            departures: Departures::default(),
            status: watch::Sender::new(Status::Disconnected("connecting".to_owned())),
            logged: Mutex::default(),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
        });
        let writer = spawn(Writer::new(Arc::clone(&shared)));
        let presence = spawn(Presence::new(Arc::clone(&shared), channels, requests));
        let notifying = spawn(Notifying::new(Arc::clone(&shared), watches.clone()));
        Self { shared, watches, tasks: Arc::new([writer, presence, notifying]) }
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
        let hub = self.shared.hub(hub_name);
        let attached = Attached::new(hub, Arc::clone(&self.shared), self.watches.clone());
        Arc::new(attached.keeping(Arc::clone(&self.tasks)))
    }

    fn observe(&self, hub_name: &str, observer: Arc<dyn ConnectionObserver>) {
        let Shared { notifier, .. } = &*self.shared;
        let hub = self.shared.hub(hub_name);
        notifier.observe(&hub.part, observer);
        let mut last = None;
        while let Some(id) = notifier.add_connected(&hub.part, &hub.local, last.as_ref(), 1000) {
            last = Some(id);
        }
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
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
        let hub = Arc::new(HubEntry {
            index: u32::try_from(hubs.len()).unwrap_or(u32::MAX),
            name: name.into(),
            part: keys::hub_part(name).into(),
            local: Arc::new(LocalHub::new(Arc::clone(&self.base_name))),
        });
        hubs.push(Arc::clone(&hub));
        hub
    }

    fn hub_of_part(&self, part: &str) -> Option<Arc<HubEntry>> {
        self.hubs().iter().find(|hub| &*hub.part == part).cloned()
    }

    /// Whether Redis can be asked, and has all that was reported here.
    async fn is_settled(&self) -> bool {
        if self.is_away() {
            return false;
        }
        let mut status = self.status.subscribe();
        let settled = async {
            tokio::select! {
                () = self.pending.settled() => true,
                _ = status.wait_for(|status| *status != Status::Connected) => false,
            }
        };
        timeout(self.client.options().async_timeout, settled).await.unwrap_or(false)
    }

    /// Whether Redis cannot be asked for now.
    fn is_away(&self) -> bool {
        *self.status.borrow() != Status::Connected
    }

    /// Redis does not answer, or not as it should.
    fn lost(&self, error: &CommandError) {
        let mut reason = error.to_string();
        if ["CROSSSLOT", "non local key", "same slot"].iter().any(|words| reason.contains(words)) {
            reason.push_str(
                ": Redis:InstanceName, or without one channelPrefix, must not have {} before any {tag}",
            );
        }
        self.change(Status::Disconnected(reason.clone()));
        if is_news(&mut self.logged.lock(), &reason) {
            tracing::warn!(%reason, "the session directory cannot use Redis and answers for this instance alone");
        }
    }

    /// Whether that is news, which others are told; each heartbeat finds Redis.
    fn change(&self, new: Status) -> bool {
        self.status.send_if_modified(|status| {
            let is_news = *status != new;
            *status = new;
            is_news
        })
    }

    fn found(&self) {
        if self.change(Status::Connected) {
            self.logged.lock().clear();
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

/// Whether a reason is to be logged, which is remembered. A Redis that is silent gives different ones in turn.
fn is_news(logged: &mut Vec<String>, reason: &str) -> bool {
    let is_news = logged.len() < MOST_LOGGED && !logged.iter().any(|known| known == reason);
    if is_news {
        logged.push(reason.to_owned());
    }
    is_news
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

    #[test]
    fn reasons_that_alternate_are_logged_once_each_and_a_few_at_most() {
        let mut logged = Vec::new();
        let news: Vec<bool> = ["a", "b", "a", "b", "c"].map(|reason| is_news(&mut logged, reason)).into();
        assert_eq!(news, [true, true, false, false, true]);
        let further = (0..100).filter(|number| is_news(&mut logged, &number.to_string())).count();
        assert_eq!(further, MOST_LOGGED - 3);
    }
}
