//! Calls, over several servers and a real Redis.

mod floods;
mod history;
mod lifecycle;
mod many;
mod model;
mod outages;
mod races;
mod silence;

use std::time::Duration;

use hubline::directory::conformance::until;
use hubline::directory::{InProcess, Scope};
use hubline::testing::{Connect, TestClient};
use hubline::{HubHandle, Server};
use hubline_redis::{RedisBackplane, RedisDirectoryOptions, RedisOptions};
use hubline_server::calls::{CallStatistics, Calls, CallsOptions, CallsParts};
use hubline_server::consultations::ConsultationRule;
use hubline_store::Store;
use tokio::runtime::{Builder, Runtime};

use crate::fleet::{HEARTBEAT, INSTANCE_NAME, Reader};

/// A server with the hub of calls, on a thread of its own, so that it can be killed.
pub(crate) struct CallServer {
    runtime: Option<Runtime>,
    hub: HubHandle,
    server: Server,
    calls: Calls,
}

/// Options with which no test waits for long.
fn options() -> CallsOptions {
    CallsOptions {
        sweep_interval: Duration::from_millis(100),
        calls_per_minute_per_user: 0,
        signals_per_minute_per_user: 0,
        ..CallsOptions::default()
    }
}

impl CallServer {
    /// One without Redis.
    async fn alone(options: CallsOptions) -> Self {
        Self::start(None, options, None).await
    }

    /// One of a fleet, which has reached Redis.
    async fn of_fleet(connection_string: &str, options: CallsOptions) -> Self {
        Self::start(Some(connection_string), options, None).await
    }

    async fn start(connection_string: Option<&str>, options: CallsOptions, store: Option<Store>) -> Self {
        Self::start_with(connection_string, options, store, ConsultationRule::NotRequired).await
    }

    async fn start_with(
        connection_string: Option<&str>,
        options: CallsOptions,
        store: Option<Store>,
        consultations: ConsultationRule,
    ) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let redis: Option<RedisOptions> = connection_string.map(|text| text.parse().unwrap());
        let started = runtime.spawn(async move {
            let mut client = None;
            let builder = Server::builder();
            let server = match redis {
                Some(mut redis) => {
                    redis.instance_name = Some(INSTANCE_NAME.to_owned());
                    let backplane = RedisBackplane::connect(redis).await.unwrap();
                    let mut options = RedisDirectoryOptions::default();
                    options.heartbeat = HEARTBEAT;
                    let directory = backplane.directory_with(options);
                    client = Some(backplane.client().clone());
                    builder.directory(directory).backplane(backplane).build()
                }
                None => builder.directory(InProcess::default()).build(),
            };
            let redis = client.map(|client| (client, server.directory_status()));
            let calls = Calls::start(CallsParts { options, redis, store, consultations });
            let hub = server.add_hub(calls.hub());
            calls.serve(hub.context(), server.directory().map(AsRef::as_ref));
            (hub, server, calls)
        });
        let (hub, server, calls) = started.await.unwrap();
        let started = Self { runtime: Some(runtime), hub, server, calls };
        started.reached().await;
        started
    }

    /// A device of a user.
    async fn connect(&self, user: &str) -> TestClient {
        self.connect_with(user, |connect| connect).await
    }

    async fn connect_with(&self, user: &str, how: fn(Connect) -> Connect) -> TestClient {
        let (hub, user) = (self.hub.clone(), user.to_owned());
        let runtime = self.runtime.as_ref().unwrap();
        runtime.spawn(async move { how(TestClient::connect(&hub).user(&*user)).await }).await.unwrap()
    }

    /// Ends it as a crash would: nothing of it runs any more, and nobody is told.
    fn kill(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    fn statistics(&self) -> CallStatistics {
        self.calls.statistics()
    }

    /// Waits until the directory covers the fleet.
    async fn reached(&self) {
        let directory = self.hub.context().directory().unwrap();
        until(Scope::Fleet, async || directory.connection_count().await.scope).await;
    }

    /// Waits until Redis has failed.
    async fn cut_off(&self) {
        let directory = self.hub.context().directory().unwrap();
        until(Scope::ThisInstance, async || directory.connection_count().await.scope).await;
    }
}

impl Drop for CallServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let _ = &self.server;
    }
}

/// A database in memory.
async fn store() -> Store {
    Store::open(":memory:".parse().unwrap()).await.unwrap()
}

/// Begins a call; the devices that are to ring do. Returns its id.
async fn ring(ada: &TestClient, devices: &[&TestClient], callee: &str, caller: &str) -> String {
    let id: String = ada.invoke("InitiateCall", (callee, "offer")).await;
    for device in devices {
        let rings: (String, String, String) = device.expect("IncomingCall").await;
        assert_eq!(rings, (caller.to_owned(), id.clone(), "offer".to_owned()));
    }
    id
}

/// A call that was accepted. Returns its id.
async fn talk(ada: &TestClient, bob: &TestClient) -> String {
    let id = ring(ada, &[bob], "bob", "ada").await;
    bob.invoke::<()>("AcceptCall", (&*id, "answer")).await;
    let accepted: (String, String) = ada.expect("CallAccepted").await;
    assert_eq!(accepted, (id.clone(), "answer".to_owned()));
    id
}

/// Expects to be told that a call has ended.
async fn ended(client: &TestClient, id: &str) {
    let (ended, _): (String, String) = client.expect("CallEnded").await;
    assert_eq!(ended, id);
}

/// Expects to be told that a call was rejected, and why.
async fn rejected(client: &TestClient, id: &str, reason: &str) {
    let rejected: (String, String) = client.expect("CallRejected").await;
    assert_eq!(rejected, (id.to_owned(), reason.to_owned()));
}

/// Whether an error is this one for its client.
#[track_caller]
fn assert_told(error: &str, expected: &str) {
    assert!(error.ends_with(expected), "{error}");
}

/// All keys of calls, each of which has a time to live.
async fn keys_of_calls(reader: &Reader) -> Vec<String> {
    let keys: Vec<String> = reader.run(&["KEYS", &format!("{INSTANCE_NAME}call*")]).await;
    for key in &keys {
        let left: i64 = reader.run(&["PTTL", key]).await;
        assert!(left > 0 || left == -2, "{key} lives for ever");
        assert!(left <= 4 * 3_600_000, "{key} lives for {left} ms");
    }
    keys
}
