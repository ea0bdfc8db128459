//! What is stored while Redis is away is published when it is back.

use std::collections::HashSet;
use std::time::Duration;

use hubline::directory::conformance::until;
use hubline::testing::TestClient;
use hubline_server::chat::ChatConfig;
use hubline_testkit::RedisServer;
use serde_json::Value;

use super::fleet::start_with;
use super::{config, count, missed, store};

const OUTBOX: &str = "SELECT CAST(COUNT(*) AS BIGINT) FROM chat_outbox";
const SENT: i64 = 5;
/// Twice as long is more than the 2 s for which a queue waits until the others listen again.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The ids of so many messages.
async fn received(client: &TestClient, messages: i64) -> Vec<i64> {
    let mut ids = Vec::new();
    for _ in 0..messages {
        let (message,): (Value,) = client.expect("MessageReceived").await;
        ids.push(message["id"].as_i64().unwrap());
    }
    ids
}

#[tokio::test]
async fn messages_of_an_outage_come_on_every_instance() {
    let (mut redis, store) = (RedisServer::start().await.unwrap(), store().await);
    let config = ChatConfig { publish_again_after: PATIENCE, ..config() };
    let here = start_with(&redis, &store, config.clone()).await;
    let there = start_with(&redis, &store, config).await;
    let (ada, near) = (here.user("ada").await, here.with_events("bob").await);
    let far = there.with_events("bob").await;
    let say = async |text: &str| {
        for _ in 0..SENT {
            ada.invoke::<Value>("SendMessage", ("bob", text)).await;
        }
    };
    // Its answer tells that there are two instances; one that came within the 2 s before an outage is not waited for.
    here.hub.context().clients().all().send("Hello", ()).await.unwrap();
    far.expect::<()>("Hello").await;
    redis.stop().await.unwrap();
    say("killed").await;
    let first: Vec<i64> = (1..=SENT).collect();
    assert_eq!(received(&near, SENT).await, first, "at once where the sender is");
    redis.start_again().await.unwrap();
    assert_eq!(received(&far, SENT).await, first);
    until(0, async || count(&store, OUTBOX).await).await;

    let published = [&here, &there].map(|instance| instance.chat.statistics().published_from_outbox);
    assert_eq!(published, [0, 0], "what waited is published once");

    redis.pause().unwrap();
    // Some may wait for an answer until it is known that there is none.
    let sending = say("silent");
    let waking = async {
        until(2 * SENT, async || count(&store, "SELECT MAX(id) FROM chat_messages").await).await;
        redis.resume().unwrap();
    };
    tokio::pin!(sending, waking);
    tokio::select! {
        () = &mut sending => waking.await,
        () = &mut waking => sending.await,
    }
    until(0, async || count(&store, OUTBOX).await).await;
    // Silence is noticed late, and what may not have arrived is published again: once more, or later than others.
    for device in [&near, &far] {
        let mut missing: HashSet<i64> = (SENT + 1..=2 * SENT).collect();
        while !missing.is_empty() {
            missing.remove(&received(device, 1).await[0]);
        }
    }
    assert_eq!(missed(&far, &Value::Null).await.0.len(), 10);
}
