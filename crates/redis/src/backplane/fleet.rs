//! The way between the transports of instances: channels for their messages, keys for their notes.
//! The crate's front page names them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_backplane::{Address, Fleet, FleetInbox, InstanceId, Status, Unreachable};
use hubline_protocol::ConnectionId;
use hubline_supervision::{Vital, spawn};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::garbage::Garbage;
use super::raw::{RawChannels, RawInbox, RawMessages, RawSubscription};
use crate::RedisClient;

/// Messages of other instances that wait to be looked at. More are dropped, and come again.
const LIMIT_MESSAGES: usize = 65_536;
/// The same in bytes.
const LIMIT_BYTES: u32 = 64 * 1024 * 1024;
const NAMESPACE: &str = "hubline:";

/// One instance's way to the others.
pub(super) struct RedisFleet {
    instance: InstanceId,
    channels: RawChannels,
    notes: RedisClient,
    status: watch::Receiver<Status>,
    garbage: Arc<Garbage>,
    inbox: RawInbox,
    messages: Mutex<Option<RawMessages>>,
    listening: Mutex<HashMap<ConnectionId, RawSubscription>>,
    tasks: OnceLock<[AbortOnDropHandle<()>; 2]>,
}

impl RedisFleet {
    pub(super) fn new(
        instance: InstanceId,
        channels: RawChannels,
        notes: RedisClient,
        status: watch::Receiver<Status>,
        garbage: Arc<Garbage>,
    ) -> Self {
        let (inbox, messages) = RawInbox::new(LIMIT_MESSAGES, LIMIT_BYTES);
        Self {
            instance,
            channels,
            notes,
            status,
            garbage,
            inbox,
            messages: Mutex::new(Some(messages)),
            listening: Mutex::default(),
            tasks: OnceLock::new(),
        }
    }

    fn key(&self, name: &str) -> String {
        [self.notes.options().key_prefix(), NAMESPACE, name].concat()
    }

    /// What an earlier version called it, which put the channel prefix there even where there is an instance name.
    fn earlier_key(&self, name: &str) -> Option<String> {
        let options = self.notes.options();
        let prefix = options.channel_prefix.as_deref().unwrap_or_default();
        (prefix != options.key_prefix()).then(|| [prefix, NAMESPACE, name].concat())
    }

    async fn read(&self, key: String) -> Result<Option<Vec<u8>>, Unreachable> {
        let mut get = redis::cmd("GET");
        get.arg(key);
        self.notes.query(get).await.map_err(|error| Unreachable(error.to_string()))
    }

    /// What an instance of an earlier version has noted.
    async fn read_earlier(&self, name: &str) -> Result<Option<Vec<u8>>, Unreachable> {
        match self.earlier_key(name) {
            Some(key) => self.read(key).await,
            None => Ok(None),
        }
    }
}

/// Hands messages to this instance's transports.
struct Receiving {
    messages: RawMessages,
    inbox: Arc<dyn FleetInbox>,
    garbage: Arc<Garbage>,
}

impl Vital for Receiving {
    const NAME: &'static str = "messages of other instances";

    async fn run(&mut self) {
        while let Some(message) = self.messages.next().await {
            if let Err(error) = self.inbox.received(&message.payload) {
                self.garbage.found(&message.channel, &error);
            }
        }
    }
}

/// Keeps this instance's own channel.
struct Listening {
    own: String,
    channels: RawChannels,
    inbox: RawInbox,
}

impl Vital for Listening {
    const NAME: &'static str = "channel of this instance";

    async fn run(&mut self) {
        let _own = self.channels.subscribe(&self.own, &self.inbox).await;
        std::future::pending::<()>().await;
    }
}

impl Fleet for RedisFleet {
    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn join(&self, inbox: Arc<dyn FleetInbox>) {
        let messages = self.messages.lock().take();
        let Some(messages) = messages else { return };
        let receiving = spawn(Receiving { messages, inbox, garbage: Arc::clone(&self.garbage) });
        let own = channel(&Address::Instance(self.instance));
        let listening = spawn(Listening { own, channels: self.channels.clone(), inbox: self.inbox.clone() });
        _ = self.tasks.set([receiving, listening]);
    }

    fn send<'a>(&'a self, to: &'a Address, message: Vec<u8>) -> BoxFuture<'a, Result<u64, Unreachable>> {
        async move {
            let sent = self.channels.publish(&channel(to), message).await;
            sent.map_err(|error| Unreachable(error.to_string()))
        }
        .boxed()
    }

    fn listen<'a>(&'a self, connection: &'a ConnectionId) -> BoxFuture<'a, ()> {
        async move {
            let name = channel(&Address::Connection(connection.clone()));
            let subscription = self.channels.subscribe(&name, &self.inbox).await;
            self.listening.lock().insert(connection.clone(), subscription);
        }
        .boxed()
    }

    fn stop_listening(&self, connection: &ConnectionId) {
        let stopped = self.listening.lock().remove(connection);
        drop(stopped);
    }

    fn put_if_absent<'a>(
        &'a self,
        name: &'a str,
        value: Vec<u8>,
        lifetime: Option<Duration>,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, Unreachable>> {
        async move {
            if let Some(present) = self.read_earlier(name).await? {
                return Ok(Some(present));
            }
            let key = self.key(name);
            // Not SET with NX and GET, which Redis 6.2 refuses.
            let mut set = redis::cmd("SET");
            set.arg(&key).arg(value).arg("NX");
            if let Some(lifetime) = lifetime {
                set.arg("PX").arg(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
            }
            let mut pipeline = redis::pipe();
            pipeline.add_command(set).get(&key);
            let (is_set, present): (Option<String>, Option<Vec<u8>>) =
                self.notes.query_pipeline(pipeline).await.map_err(|error| Unreachable(error.to_string()))?;
            Ok(present.filter(|_| is_set.is_none()))
        }
        .boxed()
    }

    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, Unreachable>> {
        async move {
            match self.read(self.key(name)).await? {
                Some(note) => Ok(Some(note)),
                None => self.read_earlier(name).await,
            }
        }
        .boxed()
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }
}

fn channel(address: &Address) -> String {
    match address {
        Address::Instance(id) => format!("{NAMESPACE}instance:{id}"),
        Address::Connection(id) => format!("{NAMESPACE}connection:{id}"),
    }
}

impl fmt::Debug for RedisFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFleet").field("instance", &self.instance).finish_non_exhaustive()
    }
}
