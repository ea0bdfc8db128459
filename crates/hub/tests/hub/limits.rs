//! Limits on what one client may ask for.

use std::time::Duration;

use hubline_backplane::GroupError;
use hubline_hub::{Caller, Groups, Hub, HubContext, HubLimits, HubOptions};
use tokio::time::{Instant, sleep};

use crate::client::{Client, call, failed, item, result, start_with, upload};

const PING: &str = "{\"type\":6}␞";

fn hub() -> Hub {
    Hub::new("Test")
        .method("Add", async |a: i32, b: i32| a + b)
        .method("Join", async |groups: Groups, caller: Caller, group: String| {
            groups.add(caller.connection_id(), group).await
        })
        .method("JoinAside", async |context: HubContext, caller: Caller, group: String| {
            context.groups().add(caller.connection_id(), group).await
        })
        .on_connected(async |groups: Groups, caller: Caller| {
            for group in ["of the hub", "of the hub too"] {
                groups.add(caller.connection_id(), group).await?;
            }
            Ok::<_, GroupError>(())
        })
}

fn with(limit: impl FnOnce(&mut HubLimits)) -> HubOptions {
    let mut options = HubOptions::default();
    limit(&mut options.limits);
    options
}

fn no_limit(_: &mut HubLimits) {}

#[tokio::test(start_paused = true)]
async fn who_sends_too_many_messages_is_not_read_for_a_while() {
    let hub = start_with(hub(), with(|limits| limits.messages_per_second = 100));
    let mut client = Client::connect(&hub, "a").await;
    let begun = Instant::now();
    // Whatever it is, it counts: a ping, an unknown method, an item of no stream, a type that nobody knows.
    let kinds = [PING, r#"{"type":1,"target":"Nope","arguments":[]}␞"#, &item("x", "1"), r#"{"type":99}␞"#];
    client.send(&kinds.concat().repeat(25)).await;
    client.send(&[&kinds.concat().repeat(25), &*call(1, "Add", "1,2")].concat()).await;
    // A second's worth comes at once, and the batch that is over it is the last for a while.
    assert_eq!(client.next().await, result(1, "3"));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    client.send(&call(2, "Add", "3,4")).await;
    assert_eq!(client.next().await, result(2, "7"));
    assert_eq!(begun.elapsed().as_millis(), 1010);
    assert_eq!(hub.statistics().limited["messages_per_second"], 2, "{:?}", hub.statistics());
}

#[tokio::test(start_paused = true)]
async fn bytes_count_while_they_come_and_nobody_is_closed_for_them() {
    let mut options = with(|limits| limits.bytes_per_second = 1000);
    options.client_timeout_interval = Duration::from_secs(5);
    let hub = start_with(hub(), options);
    let mut client = Client::connect(&hub, "a").await;
    client.send(PING).await;
    let begun = Instant::now();
    // No whole message, and much longer to wait than the client's timeout.
    client.send(&"x".repeat(20_000)).await;
    client.send("␞").await;
    while client.next().await == PING {}
    assert_eq!(begun.elapsed().as_secs(), 19);
    assert_eq!(hub.statistics().limited["bytes_per_second"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_keeps_to_its_rate_is_never_held() {
    let hub = start_with(hub(), with(|limits| limits.messages_per_second = 10));
    let mut client = Client::connect(&hub, "a").await;
    for id in 0..50 {
        let begun = Instant::now();
        client.send(&call(id, "Add", "1,2")).await;
        while client.next().await != result(id, "3") {}
        assert_eq!(begun.elapsed(), Duration::ZERO);
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(hub.statistics().limited["messages_per_second"], 0);
}

#[tokio::test(start_paused = true)]
async fn items_behind_a_call_that_waits_count_too() {
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    let opened = std::sync::Arc::clone(&gate);
    let hub = hub().method("Wait", move || {
        let gate = std::sync::Arc::clone(&opened);
        async move { gate.notified().await }
    });
    let hub = start_with(hub, with(|limits| limits.bytes_per_second = 10_000));
    let mut client = Client::connect(&hub, "a").await;
    client.send(&[call(1, "Wait", ""), call(2, "Add", "1,2")].concat()).await;
    let begun = Instant::now();
    client.send(&item("none", &format!("\"{}\"", "x".repeat(20_000)))).await;
    sleep(Duration::from_millis(1)).await;
    gate.notify_one();
    assert_eq!((client.next().await, client.next().await), (result(1, "null"), result(2, "3")));
    client.send(&call(3, "Add", "3,4")).await;
    assert_eq!(client.next().await, result(3, "7"));
    assert!(begun.elapsed() > Duration::from_secs(1));
}

#[tokio::test]
async fn a_method_s_name_has_a_limit() {
    let hub = start_with(hub(), with(|limits| limits.method_name_bytes = 8));
    let mut client = Client::connect(&hub, "a").await;
    client
        .send(&[call(1, "Substract", "1,2"), call(2, "Subtract", ""), call(3, "Ärgerlich", "")].concat())
        .await;
    let refused = |name| {
        format!(
            "Failed to invoke '{name}…' due to an error on the server. HubException: The name of a method may have 8 \
             bytes (Limits:MethodNameBytes)."
        )
    };
    assert_eq!(client.next().await, failed("1", &refused("Substrac")));
    assert!(client.next().await.contains("Method does not exist."));
    assert_eq!(client.next().await, failed("3", &refused("Ärgerli")));
    client.send(&upload(4, &"x".repeat(20_000), "", "\"s\"")).await;
    let refused = client.next().await;
    assert!(refused.len() < 300 && refused.contains("Limits:MethodNameBytes"), "{refused}");
    assert_eq!(hub.statistics().limited["method_name_bytes"], 3);
}

#[tokio::test]
async fn what_a_client_joins_has_limits_that_hub_code_has_not() {
    let limits = |limits: &mut HubLimits| {
        limits.groups_per_connection = 4;
        limits.group_name_bytes = 3;
    };
    let hub = start_with(hub(), with(limits));
    let mut client = Client::connect(&hub, "a").await;
    let mut answers = Vec::new();
    let joins = [
        ("Join", "a"),
        ("Join", "b"),
        ("Join", "c"),
        ("Join", "b"),
        ("Join", "ccc…"),
        ("JoinAside", "long name"),
    ];
    for (method, group) in joins {
        client.send(&call(1, method, &format!("\"{group}\""))).await;
        answers.push(client.next().await);
    }
    let error = |id: usize| {
        let text = answers[id].split("HubException: ").nth(1).unwrap_or(&answers[id]);
        text.trim_end_matches("\"}␞").to_owned()
    };
    for joined in [0, 1, 3, 5] {
        assert_eq!(answers[joined], result(1, "null"));
    }
    assert_eq!(error(2), "A client may be in 4 groups by its own calls (Limits:GroupsPerConnection).");
    let too_long = "The name of a group may have 3 bytes in a client's call (Limits:GroupNameBytes).";
    assert_eq!(error(4), too_long);
    let limited = hub.statistics().limited;
    assert_eq!((limited["groups_per_connection"], limited["group_name_bytes"]), (1, 1));
}

#[tokio::test]
async fn without_limits_everything_goes() {
    let hub = start_with(hub(), with(no_limit));
    let mut client = Client::connect(&hub, "a").await;
    for (id, group) in [(1, "x".repeat(20_000)), (2, "y".to_owned()), (3, "z".to_owned())] {
        client.send(&call(id, "Join", &format!("\"{group}\""))).await;
        assert_eq!(client.next().await, result(id, "null"));
    }
    assert!(hub.statistics().limited.values().all(|count| *count == 0));
}
