//! What goes on when something fails.

use std::path::Path;
use std::time::Duration;

use hubline::directory::conformance::until;
use hubline_store::chat::{Conversation, NewMessage, append};
use hubline_store::{Store, StoreOptions, Timestamp};
use hubline_testkit::PostgresServer;
use serde_json::{Value, json};

use super::{Instance, count, execute, missed, store};

/// An instance has stored it and died.
#[tokio::test]
async fn what_is_stored_and_was_not_published_is_published_once() {
    let store = store().await;
    let [here, there] = Instance::two(&store);
    let (ada, bob) = (here.user("ada").await, there.with_events("bob").await);
    let new = NewMessage {
        conversation: Conversation::between("ada", "bob"),
        from: "ada".to_owned(),
        text: "left behind".to_owned(),
        client_message_id: None,
        at: Timestamp::now(),
    };
    append(&store, new).await.unwrap();
    let chatter = async {
        loop {
            ada.invoke::<Value>("SendMessage", ("cyd", "meanwhile")).await;
        }
    };
    let (received,): (Value,) = tokio::select! {
        received = bob.expect("MessageReceived") => received,
        never = chatter => never,
    };
    assert_eq!((&received["id"], &received["text"]), (&json!(1), &json!("left behind")));
    bob.expect::<(String, String)>("ReceiveMessage").await;
    ada.expect::<(String, String, Value)>("MessageSent").await;
    ada.invoke::<Value>("SendMessage", ("bob", "at once")).await;
    assert_eq!(bob.expect::<(String, String)>("ReceiveMessage").await.1, "at once");
    let rows = "SELECT CAST(COUNT(*) AS BIGINT) FROM chat_outbox";
    until(0, async || count(&store, rows).await).await;
    let published = [&here, &there].map(|instance| instance.chat.statistics().published_from_outbox);
    assert_eq!(published.iter().sum::<u64>(), 1, "{published:?}");
}

#[tokio::test]
async fn what_needs_no_database_goes_on_without_it() {
    let store = store().await;
    let here = Instance::alone(&store);
    let (ada, bob) = (here.user("ada").await, here.user("bob").await);
    for client in [&ada, &bob] {
        client.invoke::<()>("JoinRoom", ("ward",)).await;
    }
    execute(&store, "ALTER TABLE chat_conversations RENAME TO gone").await;
    ada.invoke_error("SendMessage", ("bob", "lost?")).await;
    bob.invoke::<()>("UserTyping", ("ada",)).await;
    assert_eq!(ada.expect::<(String,)>("UserTyping").await.0, "bob");
    bob.close().await;
    assert_eq!(ada.expect::<(String, Value)>("UserLeft").await.0, "bob");
    assert!(here.chat.statistics().database_failures > 0);
    execute(&store, "ALTER TABLE gone RENAME TO chat_conversations").await;
    assert_eq!(ada.invoke::<Value>("SendMessage", ("bob", "again")).await["id"], 1);
    assert_eq!(missed(&ada, &Value::Null).await.0, ["again"]);
}

/// Calls that need it fail in time and in words, the others go on, and so do all when it is back.
#[tokio::test]
async fn a_database_that_goes_and_comes_back() {
    let mut postgres = PostgresServer::start().await.unwrap();
    let database = postgres.database().await.unwrap().connection_string();
    let (options, _) = StoreOptions::parse(&database, Path::new(".")).unwrap();
    let store = Store::open(options).await.unwrap();
    let here = Instance::alone(&store);
    let (ada, bob) = (here.user("ada").await, here.user("bob").await);
    ada.invoke::<Value>("SendMessage", ("bob", "before")).await;
    assert_eq!(bob.expect::<(String, String)>("ReceiveMessage").await.1, "before");
    // Until the database knows that it was published, it would be published again.
    until(0, async || count(&store, "SELECT CAST(COUNT(*) AS BIGINT) FROM chat_outbox").await).await;

    postgres.stop().await.unwrap();
    let request = json!({ "to": "bob", "text": "meanwhile", "clientMessageId": "m-1" });
    let told = ada.invoke_error("Send", (request.clone(),)).await;
    assert!(
        told.contains("the message may not be stored: the database cannot be used now, try again"),
        "{told}"
    );
    let told = bob.invoke_error("GetHistory", (json!({ "with": "ada" }),)).await;
    assert!(told.contains("nothing was read: the database cannot be used now"), "{told}");
    bob.invoke::<()>("UserTyping", ("ada",)).await;
    assert_eq!(ada.expect::<(String,)>("UserTyping").await.0, "bob");

    postgres.start_again().await.unwrap();
    let stored = async || {
        ada.send("Send", (request.clone(),)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        here.chat.statistics().stored
    };
    until(2, stored).await;
    assert_eq!(bob.expect::<(String, String)>("ReceiveMessage").await.1, "meanwhile");
    assert_eq!(missed(&bob, &Value::Null).await.0, ["before", "meanwhile"]);
}
