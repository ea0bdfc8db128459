//! One instance of a fleet on the libraries, and what other programs read.

use std::sync::Arc;
use std::time::Duration;

use hubline::UserId;
use hubline::directory::conformance::until;
use hubline::directory::{HubSessions, Scope, SessionDirectory};
use hubline_redis::{RedisClient, RedisDirectory, RedisDirectoryOptions, RedisOptions, redis};
use hubline_server::mapping::ConnectionMapping;

pub(crate) const INSTANCE_NAME: &str = "TeleDoctor:";
/// Fast enough that a test does not wait, slow enough for a busy machine.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(200);

pub(crate) struct Instance {
    pub(crate) directory: RedisDirectory,
    pub(crate) hub: Arc<dyn HubSessions>,
}

impl Instance {
    /// One that has reached Redis and keeps the entries of the chat's users.
    pub(crate) async fn start(connection_string: &str) -> Self {
        Self::start_with(connection_string, Duration::from_secs(3600)).await
    }

    pub(crate) async fn start_with(connection_string: &str, renewal: Duration) -> Self {
        let client = client(connection_string);
        let mut options = RedisDirectoryOptions::default();
        options.heartbeat = HEARTBEAT;
        let directory = RedisDirectory::start(client.clone(), None, options);
        ConnectionMapping::start_with(client, &directory, "Chat", renewal);
        let hub = directory.attach("Chat");
        until(Scope::Fleet, async || hub.connection_count().await.scope).await;
        Self { directory, hub }
    }

    pub(crate) async fn reached(&self) {
        until(Scope::Fleet, async || self.hub.connection_count().await.scope).await;
    }

    pub(crate) fn connect(&self, id: &str, user: &str) {
        self.hub.connected(id.into(), Some(UserId::from(user)));
    }

    pub(crate) fn disconnect(&self, id: &str) {
        self.hub.disconnected(&id.into());
    }
}

fn client(connection_string: &str) -> RedisClient {
    let mut options: RedisOptions = connection_string.parse().unwrap();
    options.instance_name = Some(INSTANCE_NAME.to_owned());
    RedisClient::new(options).unwrap()
}

/// Reads what other programs would.
pub(crate) struct Reader(RedisClient);

impl Reader {
    pub(crate) fn new(connection_string: &str) -> Self {
        Self(client(connection_string))
    }

    pub(crate) async fn run<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        self.0.query(command).await.unwrap()
    }

    /// The text that .NET's distributed cache has under a key.
    pub(crate) async fn cached(&self, key: &str) -> Option<String> {
        self.run(&["HGET", &format!("{INSTANCE_NAME}{key}"), "data"]).await
    }

    /// The JSON of a field of a hash.
    pub(crate) async fn field(&self, key: &str, field: &str) -> serde_json::Value {
        serde_json::from_str(&self.run::<String>(&["HGET", key, field]).await).unwrap()
    }

    /// `connection:` and `connections:` of a user.
    pub(crate) async fn entries(&self, user: &str) -> (Option<String>, Option<String>) {
        let newest = self.cached(&format!("connection:{user}")).await;
        (newest, self.cached(&format!("connections:{user}")).await)
    }
}
