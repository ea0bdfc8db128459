//! One instance of a fleet as a test sees it.

use std::sync::Arc;
use std::time::Duration;

use hubline_backplane::{Backplane, Status};
use hubline_directory::conformance::until;
use hubline_directory::{HubSessions, Scope, SessionDirectory};
use hubline_protocol::{ConnectionId, UserId};
use hubline_redis::{
    CommandError, RedisBackplane, RedisClient, RedisDirectory, RedisDirectoryOptions, RedisOptions, redis,
};

/// Fast enough that a test does not wait, slow enough for a busy machine.
const HEARTBEAT: Duration = Duration::from_millis(200);

pub(crate) struct Instance {
    pub(crate) directory: RedisDirectory,
    pub(crate) hub: Arc<dyn HubSessions>,
    backplane: Option<RedisBackplane>,
}

pub(crate) fn options() -> RedisDirectoryOptions {
    let mut options = RedisDirectoryOptions::default();
    options.heartbeat = HEARTBEAT;
    options
}

fn redis_options(connection_string: &str) -> RedisOptions {
    let mut options: RedisOptions = connection_string.parse().unwrap();
    options.instance_name = Some("TeleDoctor:".to_owned());
    options
}

impl Instance {
    /// One that has reached Redis.
    pub(crate) async fn start(connection_string: &str) -> Self {
        let instance = Self::start_with(connection_string, options()).await;
        instance.reached().await;
        instance
    }

    pub(crate) async fn start_with(connection_string: &str, options: RedisDirectoryOptions) -> Self {
        Self::start_as(redis_options(connection_string), options).await
    }

    /// With an instance name of its own, or none.
    pub(crate) async fn start_as(redis: RedisOptions, options: RedisDirectoryOptions) -> Self {
        let backplane = RedisBackplane::connect(redis).await.unwrap();
        let directory = backplane.directory_with(options);
        Self { hub: directory.attach("Chat"), directory, backplane: Some(backplane) }
    }

    /// Without channels: changes come with the heartbeat.
    pub(crate) async fn without_channels(connection_string: &str) -> Self {
        let client = RedisClient::new(redis_options(connection_string)).unwrap();
        let directory = RedisDirectory::start(client, None, options());
        let instance = Self { hub: directory.attach("Chat"), directory, backplane: None };
        instance.reached().await;
        instance
    }

    pub(crate) async fn reached(&self) {
        until(Scope::Fleet, async || self.hub.connection_count().await.scope).await;
        if let Some(backplane) = &self.backplane {
            backplane.status().wait_for(|status| *status == Status::Connected).await.unwrap();
        }
    }

    pub(crate) fn connect(&self, id: &str, user: Option<&str>) {
        self.hub.connected(id.into(), user.map(UserId::from));
    }

    pub(crate) fn disconnect(&self, id: &str) {
        self.hub.disconnected(&id.into());
    }

    pub(crate) fn join(&self, id: &str, group: &str) {
        self.hub.joined(&id.into(), &group.into());
    }

    pub(crate) async fn counts(&self, group: &str) -> (u64, u64, u64) {
        let connections = self.hub.connection_count().await.value;
        let users = self.hub.user_count().await.value;
        (connections, users, self.hub.member_count(group.into()).await.value)
    }

    pub(crate) async fn newest(&self, user: &str) -> Vec<ConnectionId> {
        self.hub.connections_of(user.into()).await.value
    }
}

/// Reads what other programs would.
pub(crate) struct Reader(RedisClient);

impl Reader {
    pub(crate) fn new(connection_string: &str) -> Self {
        Self(RedisClient::new(connection_string.parse().unwrap()).unwrap())
    }

    pub(crate) async fn run<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_run(words).await.unwrap()
    }

    pub(crate) async fn try_run<T: redis::FromRedisValue>(&self, words: &[&str]) -> Result<T, CommandError> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        self.0.query(command).await
    }

    /// Puts everything back as it was when it was dumped.
    pub(crate) async fn restore(&self, copy: &[(String, Vec<u8>)]) {
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("FLUSHDB").ignore();
        for (key, dump) in copy {
            pipeline.cmd("RESTORE").arg(key).arg(0).arg(dump).ignore();
        }
        let () = self.0.query_pipeline(pipeline).await.unwrap();
    }

    /// All keys, in order.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.run(&["KEYS", "*"]).await;
        keys.sort();
        keys
    }
}
