//! An instance that leaves its clients to others.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use futures_util::future::join_all;
use futures_util::stream;
use http_body_util::BodyExt;
use hubline::testing::TestClient;
use hubline::{Hub, HubOptions, Server, State};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::client::TRANSPORTS;

/// Longer than any step of these tests takes, so that whoever needs it all has failed.
const GRACE: Duration = Duration::from_secs(60);
const RECONNECT: &str = r#"{"type":7,"allowReconnect":true}"#;
const SLOW: &str = "{\"type\":1,\"invocationId\":\"slow\",\"target\":\"Slow\",\"arguments\":[]}\u{1e}";

/// Over when the sender is dropped.
async fn slow(State(ended): State<watch::Receiver<()>>) -> &'static str {
    let mut ended = ended.clone();
    while ended.changed().await.is_ok() {}
    "over"
}

#[tokio::test(start_paused = true)]
async fn many_clients_leave_in_turn_and_long_before_time_is_over() {
    let server = Server::new();
    let hub = server.add_hub(Hub::new("Test"));
    let mut clients = Vec::new();
    for _ in 0..500 {
        clients.push(TestClient::connect(&hub).await);
    }
    let begun = Instant::now();
    let leaving = join_all(clients.iter().map(|client| async move {
        assert!(client.closed().await.allow_reconnect);
        begun.elapsed()
    }));
    let (left, times) = tokio::join!(server.hand_over(Duration::from_secs(3)), leaving);
    assert!(left.is_complete(), "{left}");
    let mut batches = BTreeMap::<Duration, usize>::new();
    for time in times {
        *batches.entry(time).or_default() += 1;
    }
    assert!(batches.len() >= 10 && batches.values().all(|size| *size <= 50), "{batches:?}");
    assert!(batches.keys().all(|time| *time <= Duration::from_secs(2)), "{batches:?}");
    let late = TestClient::connect(&hub).await;
    assert!(late.closed().await.allow_reconnect, "who comes later is sent on at once");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_in_time_is_answered_and_others_are_counted() {
    let server = Server::new();
    let (end, ended) = watch::channel(());
    let hub = Hub::with_state("Test", ended)
        .method("Slow", slow)
        .method("Forever", async || std::future::pending::<()>().await)
        .stream("Ticks", stream::pending::<i32>);
    let hub = server.add_hub(hub);
    let answered = TestClient::connect(&hub).await;
    let (waits, streams) = (TestClient::connect(&hub).await, TestClient::connect(&hub).await);
    waits.send("Forever", ()).await;
    let ticks = streams.stream::<i32>("Ticks", ()).await;
    let ending = async {
        sleep(Duration::from_secs(1)).await;
        drop(end);
    };
    let timeout = Duration::from_secs(3);
    let (left, answer, ()) =
        tokio::join!(server.drain(timeout), answered.invoke::<String>("Slow", ()), ending);
    assert_eq!(answer, "over");
    assert_eq!((left.connections, left.calls, left.streams, left.messages), (0, 1, 1, 0));
    assert_eq!(left.to_string(), "0 connections, 1 calls, 1 streams and 0 unsent messages");
    for client in [&answered, &waits, &streams] {
        assert!(client.closed().await.allow_reconnect);
    }
    drop(ticks);
}

#[tokio::test]
async fn what_was_negotiated_is_served_and_polls_and_posts_are_until_the_end() {
    let mut options = HubOptions::default();
    options.maximum_parallel_invocations_per_client = 2;
    let server = Server::builder().hub_options(options).build();
    let (end, ended) = watch::channel(());
    let hub = Hub::with_state("Test", ended).method("Slow", slow).method("Add", async |a: i32, b: i32| a + b);
    let http = crate::hosts::serve(server.add_hub(hub).map("/hub")).await;
    let mut negotiated = Vec::new();
    for transport in TRANSPORTS {
        negotiated.push((transport, http.negotiate("/hub").await));
    }
    let mut idle = http.connect("/hub", TRANSPORTS[0]).await;
    server.refuse_negotiations();
    let refused = http.request(Method::POST, "/hub/negotiate?negotiateVersion=1", &[], "").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(server.statistics().connections.negotiations_refused, 1);
    let body = refused.collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"This server is draining and takes no new clients"), "{body:?}");
    let mut clients = Vec::new();
    for (transport, uri) in negotiated {
        let mut client = http.open(uri, transport).await;
        client.shake_hands().await;
        client.send(SLOW).await;
        assert_eq!(client.call("Add", "[1,2]").await, 3, "{transport:?}");
        clients.push((transport, client));
    }
    let draining = tokio::spawn({
        let server = server.clone();
        async move { server.drain(GRACE).await }
    });
    assert_eq!(idle.receive().await.as_deref(), Some(RECONNECT), "who has nothing running leaves first");
    assert_eq!(idle.receive().await, None);
    for (transport, client) in &mut clients {
        assert_eq!(client.call("Add", "[3,4]").await, 7, "{transport:?}");
    }
    drop(end);
    for (transport, mut client) in clients {
        let answer = client.receive().await.unwrap();
        assert!(answer.contains("\"over\""), "{transport:?}: {answer}");
        assert_eq!(client.receive().await.as_deref(), Some(RECONNECT), "{transport:?}");
        assert_eq!(client.receive().await, None, "{transport:?}");
    }
    let left = draining.await.unwrap();
    assert!(left.is_complete(), "{left}");
}
