//! What a hub is told of its backplane, and when it waits for it.

use std::time::Duration;

use futures_util::FutureExt;
use hubline::redis::{OutboxOptions, RedisBackplane, RedisOptions};
use hubline::testing::TestClient;
use hubline::{BackplaneFailureMode, Clients, Hub, HubOptions, Reach, SendError, Server, Status};
use hubline_testkit::RedisServer;

#[tokio::test]
async fn a_send_that_does_not_reach_the_others_is_told_as_the_hub_wants_it() {
    let mut redis = RedisServer::absent().unwrap();
    let mut options: RedisOptions = redis.connection_string().parse().unwrap();
    options.outbox = OutboxOptions { limit_messages: 3, ..OutboxOptions::default() };
    let backplane = RedisBackplane::connect(options).await.unwrap();
    let server = Server::builder().backplane(backplane).build();
    let mut strict = HubOptions::default();
    strict.backplane_failure_mode = BackplaneFailureMode::Fail;
    let lenient = server.add_hub(Hub::new("Lenient"));
    let strict = server.add_hub_with(Hub::new("Strict"), strict);
    let (lenient, strict) = (lenient.context().clients(), strict.context().clients());

    lenient.all().send("Receive", (1,)).await.unwrap();
    assert_eq!(lenient.all().send_with_reach("Receive", (1,)).await.unwrap(), Reach::Queued);
    let error = strict.all().send("Receive", (1,)).await.unwrap_err();
    assert!(matches!(error, SendError::NotEverywhere(Reach::Queued)), "{error}");
    let error = strict.all().send("Receive", (1,)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the message has reached the clients of this instance only: the other instances cannot be reached, and \
         will not get it"
    );
    let statistics = server.backplane_statistics();
    assert_eq!((statistics.queued, statistics.overflowed), (3, 1));

    redis.start_again().await.unwrap();
    server.backplane_status().wait_for(|status| *status == Status::Connected).await.unwrap();
    strict.all().send("Receive", (1,)).await.unwrap();
}

/// A server on this Redis, and a client of its hub.
async fn server_with_client(redis: &RedisServer) -> (Server, TestClient) {
    let backplane = RedisBackplane::connect(redis.connection_string().parse().unwrap()).await.unwrap();
    let server = Server::builder().backplane(backplane).build();
    let shout = async |clients: Clients, n: u32| clients.all().send("Shouted", (n,)).await;
    let hub = server.add_hub(Hub::new("Test").method("Shout", shout).method("Nothing", async || {}));
    server.backplane_status().wait_for(|status| *status == Status::Connected).await.unwrap();
    // Ready once Redis has confirmed the connection's channel.
    let client = TestClient::connect(&hub).await;
    (server, client)
}

async fn expect_shouts(client: &TestClient, count: u32) {
    for n in 0..count {
        assert_eq!(client.expect::<(u32,)>("Shouted").await, (n,));
    }
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_does_not_wait_for_redis() {
    let redis = RedisServer::start().await.unwrap();
    let (server, client) = server_with_client(&redis).await;
    let (_other_server, other) = server_with_client(&redis).await;
    redis.pause().unwrap();
    for n in 0..31 {
        client.send("Shout", (n,)).await;
    }
    client.invoke::<()>("Nothing", ()).await;
    // Had the first one waited for Redis, until it counts as silent, the others would be queued.
    assert_eq!(server.backplane_statistics().queued, 0);
    redis.resume().unwrap();
    expect_shouts(&client, 31).await;
    expect_shouts(&other, 31).await;
}

#[tokio::test]
async fn a_client_that_waits_for_nothing_does_not_fill_the_queue_of_all() {
    let redis = RedisServer::start().await.unwrap();
    let (server, client) = server_with_client(&redis).await;
    redis.pause().unwrap();
    for n in 0..100 {
        client.send("Shout", (n,)).await;
    }
    expect_shouts(&client, 100).await;
    // The 32nd has waited until Redis counted as silent; whatever came after it went to the outbox.
    assert_eq!(server.backplane_statistics().queued, 68);
    redis.resume().unwrap();
}

#[tokio::test]
async fn what_was_sent_before_the_shutdown_reaches_the_others() {
    let redis = RedisServer::start().await.unwrap();
    let (server, client) = server_with_client(&redis).await;
    let (_other_server, other) = server_with_client(&redis).await;
    redis.pause().unwrap();
    client.send("Shout", (0,)).await;
    client.invoke::<()>("Nothing", ()).await;
    let mut shutdown = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown(Duration::from_secs(60)).await }
    });
    client.closed().await;
    let has_ended = (&mut shutdown).now_or_never().is_some();
    let is_waited_for = *server.backplane_status().borrow() == Status::Connected;
    assert!(!(has_ended && is_waited_for), "it waits for Redis, as long as that does not count as silent");
    redis.resume().unwrap();
    assert!(shutdown.await.unwrap());
    drop(server);
    expect_shouts(&other, 1).await;
}
