//! What an observer is told of connections.

use std::sync::Arc;

use hubline_hub::{Hub, HubContext, HubOptions};
use hubline_pipe::{
    ConnectionHandler, ConnectionInfo, LifecycleEvent, LifecycleKind, LifecycleObserver, resumption,
};
use parking_lot::Mutex;

use crate::client::{ACCEPTED, Client, accepted, call, info, result, start_with};

#[derive(Debug, Default)]
struct Journal(Mutex<Vec<String>>);

impl LifecycleObserver for Journal {
    fn observe(&self, event: &LifecycleEvent<'_>) {
        let said = match event.kind {
            LifecycleKind::Connected { hub, user, protocol, .. } => {
                format!("connected to {hub} as {user:?}, {}", protocol.name())
            }
            LifecycleKind::HandshakeFailed { hub, reason, .. } => format!("{reason} at {hub}"),
            LifecycleKind::TransportLost => "lost".to_owned(),
            LifecycleKind::Resumed { .. } => "resumed".to_owned(),
            LifecycleKind::Slow => "slow".to_owned(),
            LifecycleKind::CallFailed { method, .. } => format!("{method} failed"),
            LifecycleKind::Closed { reason, calls, failed_calls, .. } => {
                format!("{reason}, {calls} calls, {failed_calls} failed")
            }
            _ => "something else".to_owned(),
        };
        self.0.lock().push(format!("{}: {said}", event.connection));
    }
}

fn hub(options: HubOptions) -> (HubContext, Arc<Journal>) {
    let journal = Arc::<Journal>::default();
    let hub = Hub::new("Test").method("Add", async |a: i32, b: i32| a + b);
    (start_with(hub, options.lifecycle_observer(Some(Arc::clone(&journal) as Arc<_>))), journal)
}

impl Journal {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

#[tokio::test(start_paused = true)]
async fn a_life_is_told_once_and_calls_are_counted() {
    let (hub, journal) = hub(HubOptions::default());
    let (mut accepted, mut client) = accepted(info("a"), 64);
    let (resumer, resumable) = resumption();
    accepted.resumable = Some(resumable);
    let running = tokio::spawn(hub.run(accepted));
    client.send("{\"protocol\":\"json\",\"version\":2}␞").await;
    assert_eq!(client.next().await, ACCEPTED);
    client.send(&call(1, "Add", "1,2")).await;
    assert_eq!(client.next().await, result(1, "3"));
    assert_eq!(journal.take(), ["a: connected to Test as None, json"]);

    drop(client);
    let (again, mut client) =
        crate::client::accepted(ConnectionInfo { query: "again".into(), ..info("a") }, 64);
    let permit = resumer.request().await.unwrap();
    assert_eq!(journal.take(), ["a: lost"]);
    permit.finish(again);
    client.next().await;
    assert_eq!(journal.take(), ["a: resumed"]);

    // What a client does cannot make it many.
    for number in 2..42 {
        client.send(&call(number, "Nope", "")).await;
        client.next().await;
    }
    client.send("{\"type\":7}␞").await;
    client.until_closed().await;
    running.await.unwrap();
    let told = journal.take();
    assert_eq!((told.len(), &*told[0], &*told[13]), (15, "a: Nope failed", "a: Nope failed"));
    assert_eq!(told[14], "a: client_closed, 41 calls, 40 failed");
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_is_told_before_it_is_closed_and_a_refused_one_too() {
    let (hub, journal) = hub(HubOptions::default().outbound_limit_bytes(1_000));
    // It reads one frame and no more.
    let client = Client::with_room_for(&hub, "slow", 1);
    client.send("{\"protocol\":\"json\",\"version\":1}␞").await;
    while hub.connection_count() == 0 {
        tokio::task::yield_now().await;
    }
    while hub.connection_count() == 1 {
        hub.clients().all().send("Take", ("x".repeat(200),)).await.unwrap();
        tokio::task::yield_now().await;
    }
    let told = journal.take();
    assert_eq!(told[..2], ["slow: connected to Test as None, json", "slow: slow"]);
    assert_eq!(told.last().unwrap(), "slow: slow_client, 0 calls, 0 failed");

    let mut client = Client::open(&hub, "refused");
    client.send("{\"protocol\":\"nope\",\"version\":1}␞").await;
    client.until_closed().await;
    while journal.0.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(journal.take(), ["refused: handshake_refused at Test"]);
}
