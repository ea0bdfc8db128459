//! The chat on two instances over one Redis, one of which dies.

use std::sync::Arc;
use std::time::Duration;

use hubline::Server;
use hubline::directory::conformance::until;
use hubline::directory::{Scope, SessionDirectory};
use hubline::testing::TestClient;
use hubline_redis::{RedisBackplane, RedisDirectoryOptions, RedisOptions};
use hubline_server::chat::ChatConfig;
use hubline_server::consultations::ConsultationRule;
use hubline_store::Store;
use hubline_testkit::RedisServer;
use serde_json::Value;
use tokio::runtime::Builder;

use super::{Instance, config, count, missed, store};

async fn start(redis: &RedisServer, store: &Store) -> Instance {
    start_with(redis, store, config()).await
}

pub(super) async fn start_with(redis: &RedisServer, store: &Store, config: ChatConfig) -> Instance {
    let options: RedisOptions = redis.connection_string().parse().unwrap();
    let backplane = RedisBackplane::connect(options).await.unwrap();
    let mut options = RedisDirectoryOptions::default();
    options.heartbeat = Duration::from_millis(200);
    let directory = backplane.directory_with(options);
    let server = Server::builder().directory(directory.clone()).backplane(backplane).build();
    let instance = Instance::start(server, store, config, ConsultationRule::NotRequired);
    let hub = directory.attach(instance.hub.context().name());
    until(Scope::Fleet, async || hub.connection_count().await.scope).await;
    instance
}

async fn told(client: &TestClient, event: &str) -> String {
    client.expect::<(String, Value)>(event).await.0
}

#[tokio::test]
async fn members_of_a_dead_instance_leave_and_lose_nothing() {
    let (redis, store) = (Arc::new(RedisServer::start().await.unwrap()), store().await);
    let here = start(&redis, &store).await;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let of_dying = (Arc::clone(&redis), store.clone());
    let dying = tokio::task::spawn_blocking(move || {
        let clients = runtime.block_on(async {
            let there = start(&of_dying.0, &of_dying.1).await;
            let (phone, bob) = (there.user("ada").await, there.user("bob").await);
            (there, phone, bob)
        });
        (runtime, clients)
    });
    let (runtime, (_there, phone, bob)) = dying.await.unwrap();
    let ada = here.user("ada").await;
    ada.invoke::<()>("JoinRoom", ("ward",)).await;
    assert_eq!(told(&ada, "UserJoined").await, "ada");
    for device in [&phone, &bob] {
        device.invoke::<()>("JoinRoom", ("ward",)).await;
    }
    for device in [&ada, &bob] {
        assert_eq!(told(device, "UserJoined").await, "bob");
    }
    bob.invoke::<Value>("SendToRoom", ("ward", "one")).await;
    assert_eq!(ada.expect::<(String, String, Value)>("ReceiveRoomMessage").await.1, "one");

    let rows = "SELECT CAST(COUNT(*) AS BIGINT) FROM chat_outbox";
    until(0, async || count(&store, rows).await).await;
    // Its lease is not renewed any more, and nobody says good-bye.
    runtime.shutdown_background();
    assert_eq!(told(&ada, "UserLeft").await, "bob");
    ada.expect_nothing().await;
    ada.invoke::<Value>("SendToRoom", ("ward", "two")).await;
    let again = here.user("bob").await;
    assert_eq!(missed(&again, &Value::Null).await.0, ["one", "two"]);
    again.invoke::<()>("JoinRoom", ("ward",)).await;
    assert_eq!(told(&ada, "UserJoined").await, "bob");
}
