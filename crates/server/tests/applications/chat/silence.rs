//! A PostgreSQL that is there and answers nothing.

use std::time::Duration;

use futures_util::future::join_all;
use hubline_store::{Store, StoreOptions, StoreStatus};
use hubline_testkit::PostgresServer;
use serde_json::{Value, json};

use super::{Instance, missed};

const MESSAGES: usize = 30;

#[tokio::test]
async fn what_needs_a_silent_database_fails_in_words_and_is_stored_once_when_it_speaks() {
    let postgres = PostgresServer::start().await.unwrap();
    let mut options: StoreOptions = postgres.database().await.unwrap().connection_string().parse().unwrap();
    // 5 s otherwise.
    options.deadline = Duration::from_secs(1);
    options.maximum_connections = 4;
    let store = Store::open(options).await.unwrap();
    let here = Instance::alone(&store);
    let bob = here.user("bob").await;
    let names: Vec<String> = (0..MESSAGES).map(|n| format!("user{n}")).collect();
    let senders = join_all(names.iter().map(|name| here.user(name))).await;
    let request = json!({ "to": "bob", "text": "hello", "clientMessageId": "m-1" });
    postgres.pause().unwrap();
    let told = join_all(senders.iter().map(|sender| sender.invoke_error("Send", (request.clone(),)))).await;
    assert!(told.iter().all(|told| told.contains("the message may not be stored")), "{told:?}");
    let told = bob.invoke_error("GetHistory", (json!({ "with": "user1" }),)).await;
    assert!(told.contains("nothing was read"), "{told}");
    senders[0].invoke::<()>("UserTyping", ("bob",)).await;
    assert_eq!(bob.expect::<(String,)>("UserTyping").await.0, "user0");

    let mut status = store.status();
    status.wait_for(|status| *status != StoreStatus::Connected).await.unwrap();
    postgres.resume().unwrap();
    status.wait_for(|status| *status == StoreStatus::Connected).await.unwrap();
    while here.chat.statistics().stored < MESSAGES as u64 {
        join_all(senders.iter().map(|sender| sender.send("Send", (request.clone(),)))).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(missed(&bob, &Value::Null).await.0.len(), MESSAGES);
    assert!(store.figures().connections <= 4, "{:?}", store.figures());
}
