//! What goes on when something fails.

use hubline_store::Timestamp;
use hubline_store::chat::{Conversation, NewMessage, append};
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
    let (received,): (Value,) = bob.expect("MessageReceived").await;
    assert_eq!((&received["id"], &received["text"]), (&json!(1), &json!("left behind")));
    bob.expect::<(String, String)>("ReceiveMessage").await;
    ada.expect::<(String, String, Value)>("MessageSent").await;
    ada.invoke::<Value>("SendMessage", ("bob", "at once")).await;
    assert_eq!(bob.expect::<(String, String)>("ReceiveMessage").await.1, "at once");
    let rows = "SELECT CAST(COUNT(*) AS BIGINT) FROM chat_outbox";
    hubline::directory::conformance::until(0, async || count(&store, rows).await).await;
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
