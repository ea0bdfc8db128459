//! Messages from user to user.

use hubline::HubProtocol;
use hubline::testing::TestClient;
use hubline::value::DateTime;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Instance, count, execute, missed, store};

#[tokio::test]
async fn a_message_reaches_all_devices_and_is_kept() {
    let store = store().await;
    let [here, there] = Instance::two(&store);
    let (ada, tablet) = (here.user("ada").await, there.with_events("ada").await);
    let (bob, phone) = (there.user("bob").await, here.with_events("bob").await);
    let cy = here.with_events("cy").await;
    let sent: Value = ada.invoke("SendMessage", ("bob", "hello")).await;
    assert_eq!(sent["id"], 1);
    for device in [&bob, &phone] {
        assert_eq!(device.expect::<(String, String)>("ReceiveMessage").await, ("ada".into(), "hello".into()));
    }
    for device in [&ada, &tablet] {
        let (to, text, at): (String, String, Value) = device.expect("MessageSent").await;
        assert_eq!((to.as_str(), text.as_str(), &at), ("bob", "hello", &sent["sentAt"]));
    }
    let message = json!({ "id": 1, "from": "ada", "to": "bob", "room": null, "text": "hello", "sentAt": sent["sentAt"] });
    for device in [&tablet, &phone] {
        assert_eq!(device.expect::<(Value,)>("MessageReceived").await.0, message);
    }
    for device in [&ada, &bob, &cy] {
        device.expect_nothing().await;
    }
    assert_eq!(bob.invoke::<Value>("GetHistory", (json!({ "with": "ada" }),)).await, json!([message]));

    // Asked for later, and away meanwhile.
    bob.invoke::<()>("EnableEvents", ()).await;
    let answer: Value = phone.invoke("Send", (json!({ "to": "ada", "text": "and to you" }),)).await;
    assert_eq!(answer["id"], 2);
    let (received,): (Value,) = bob.expect("MessageReceived").await;
    assert_eq!((&received["text"], &received["to"]), (&json!("and to you"), &json!("ada")));
    assert_eq!(missed(&here.user("bob").await, &Value::Null).await.0, ["hello", "and to you"]);
    assert_eq!((here.chat.statistics().stored, there.chat.statistics().stored), (2, 0));
}

#[tokio::test]
async fn what_is_sent_again_changes_nothing_and_is_answered_alike() {
    let store = store().await;
    let here = Instance::alone(&store);
    let (ada, bob) = (here.user("ada").await, here.user("bob").await);
    let request = json!({ "to": "bob", "text": "once", "clientMessageId": "m-1" });
    let first: Value = ada.invoke("Send", (request.clone(),)).await;
    assert_eq!(ada.invoke::<Value>("Send", (request,)).await, first);
    bob.expect::<(String, String)>("ReceiveMessage").await;
    bob.expect_nothing().await;
    let statistics = here.chat.statistics();
    assert_eq!((statistics.stored, statistics.repeated), (1, 1));
}

#[tokio::test]
async fn what_has_been_read_is_told() {
    let store = store().await;
    let here = Instance::alone(&store);
    let (ada, bob) = (here.user("ada").await, here.user("bob").await);
    for text in ["one", "two", "three"] {
        ada.invoke::<Value>("SendMessage", ("bob", text)).await;
    }
    let conversation = async |client: &TestClient| {
        let list: Value = client.invoke("GetConversations", ()).await;
        list[0].clone()
    };
    let before = conversation(&bob).await;
    assert_eq!(
        (&before["with"], &before["lastMessage"]["text"], &before["unreadCount"]),
        (&json!("ada"), &json!("three"), &json!(3))
    );
    assert_eq!(bob.invoke::<i64>("MarkDelivered", (json!({ "with": "ada" }),)).await, 3);
    assert_eq!(bob.invoke::<i64>("MarkRead", (json!({ "with": "ada", "id": 2 }),)).await, 2);
    let (reader, at): (String, DateTime) = ada.expect("MessagesRead").await;
    assert_eq!(reader, "bob");
    assert!((OffsetDateTime::from(at) - OffsetDateTime::now_utc()).abs().whole_seconds() < 60);
    let seen = conversation(&ada).await;
    assert_eq!((&seen["partnerDeliveredId"], &seen["partnerReadId"]), (&json!(3), &json!(2)));
    assert_eq!(conversation(&bob).await["unreadCount"], 1);
    bob.invoke::<()>("MarkAsRead", ("ada",)).await;
    ada.expect::<(String, Value)>("MessagesRead").await;
    assert_eq!(conversation(&bob).await["unreadCount"], 0);
    let older: Value = bob.invoke("GetConversationsBefore", (json!({ "before": before["cursor"] }),)).await;
    assert_eq!(older, json!([]));
    bob.invoke::<()>("UserTyping", ("ada",)).await;
    assert_eq!(ada.expect::<(String,)>("UserTyping").await.0, "bob");
}

#[tokio::test]
async fn pages_and_cursors_lead_through_everything() {
    let store = store().await;
    let here = Instance::alone(&store);
    let (ada, bob) = (here.user("ada").await, here.user("bob").await);
    let (nothing, now) = missed(&bob, &json!("now")).await;
    assert!(nothing.is_empty());
    for n in 1..=5 {
        ada.invoke::<Value>("SendMessage", ("bob", n.to_string())).await;
    }
    let mut before = Value::Null;
    let mut seen = Vec::new();
    loop {
        let request = json!({ "with": "bob", "before": before, "limit": 2 });
        let page: Vec<Value> = ada.invoke("GetHistory", (request,)).await;
        let Some(last) = page.last() else { break };
        before = last["id"].clone();
        seen.extend(page.iter().map(|message| message["id"].as_i64().unwrap()));
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    let page: Value = bob.invoke("GetSince", (json!({ "after": now, "limit": 3 }),)).await;
    assert_eq!((page["messages"].as_array().unwrap().len(), &page["hasMore"]), (3, &json!(true)));
    assert_eq!(missed(&bob, &page["next"]).await.0, ["4", "5"]);
}

#[tokio::test]
async fn message_pack_has_the_names_of_dot_net_and_timestamps() {
    let store = store().await;
    let here = Instance::alone(&store);
    let connect =
        |name| TestClient::connect(&here.hub).user(name).query("events=1").protocol(HubProtocol::MessagePack);
    let (ada, bob) = (connect("ada").await, connect("bob").await);
    #[derive(serde::Deserialize)]
    struct Sent {
        id: i64,
        sent_at: DateTime,
    }
    let sent: Sent = ada.invoke("Send", (json!({ "To": "bob", "Text": "packed" }),)).await;
    assert_eq!((sent.id, matches!(sent.sent_at, DateTime::Utc(_))), (1, true));
    #[derive(serde::Deserialize)]
    struct Message {
        from: String,
        room: Option<String>,
        sent_at: DateTime,
    }
    let (message,): (Message,) = bob.expect("MessageReceived").await;
    assert_eq!((message.from.as_str(), message.room, message.sent_at), ("ada", None, sent.sent_at));
    let (_, _, at): (String, String, DateTime) = ada.expect("MessageSent").await;
    assert_eq!(at, sent.sent_at);
    let wrong = ada.invoke_error("Send", (json!({ "to": "bob", "Text": "lower case" }),)).await;
    assert!(wrong.contains("either `to` or `room` is given (in MessagePack as .NET names them"), "{wrong}");
}

#[tokio::test]
async fn every_read_is_audited_or_refused_and_sending_never_is() {
    let store = store().await;
    let here = Instance::alone(&store);
    let (ada, bob) = (here.user("ada").await, here.user("bob").await);
    ada.invoke::<Value>("SendMessage", ("bob", "hidden text")).await;
    bob.invoke::<Value>("GetHistory", (json!({ "with": "ada" }),)).await;
    missed(&bob, &Value::Null).await;
    bob.invoke::<Value>("GetConversations", ()).await;
    let read = "SELECT CAST(COUNT(*) AS BIGINT) FROM clinic_audit WHERE action = 'history.read' AND actor = 'user:bob'";
    assert_eq!(count(&store, read).await, 3);
    let of_ada = "SELECT CAST(COUNT(*) AS BIGINT) FROM clinic_audit WHERE subject = 'user:ada' AND details = 'messages 1 to 1'";
    assert_eq!(count(&store, of_ada).await, 2);
    let told = "SELECT CAST(COUNT(*) AS BIGINT) FROM clinic_audit WHERE details LIKE '%hidden%'";
    assert_eq!(count(&store, told).await, 0);

    execute(&store, "ALTER TABLE clinic_audit RENAME TO gone").await;
    for (method, request) in [("GetHistory", json!({ "with": "ada" })), ("GetSince", json!({}))] {
        bob.invoke_error(method, (request,)).await;
    }
    bob.invoke_error("GetConversations", ()).await;
    ada.invoke::<Value>("SendMessage", ("bob", "goes on")).await;
    bob.expect::<(String, String)>("ReceiveMessage").await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_words() {
    let store = store().await;
    let here = Instance::alone(&store);
    let ada = here.user("ada").await;
    for (method, request, words) in [
        ("Send", json!({ "text": "x" }), "either `to` or `room` is given"),
        ("Send", json!({ "to": "bob", "room": "r", "text": "x" }), "either `to` or `room` is given"),
        ("Send", json!({ "to": "", "text": "x" }), "to must not be empty"),
        ("Send", json!({ "to": "bob", "text": "" }), "a message must have a text"),
        ("Send", json!({ "to": "bob", "text": "a\0b" }), "a message must not contain U+0000"),
        ("Send", json!({ "to": "bob", "text": "x".repeat(4001) }), "a message has 4000 characters at most"),
        ("Send", json!({ "to": "b\0b", "text": "x" }), "to must not contain U+0000"),
        (
            "Send",
            json!({ "to": "bob", "text": "x", "clientMessageId": "m".repeat(129) }),
            "clientMessageId has 128",
        ),
        ("GetHistory", json!({ "with": "bob", "limit": 201 }), "limit is from 1 to 200"),
        ("GetHistory", json!({ "with": "bob", "before": 0 }), "before is the id of a message"),
        ("GetSince", json!({ "after": "made up" }), "after is what `next` of a page was for the same user"),
        ("GetConversationsBefore", json!({ "before": "x" }), "before is the `cursor` of a conversation"),
        ("MarkRead", json!({ "with": "bob", "id": -1 }), "id is the id of a message"),
    ] {
        let told = ada.invoke_error(method, (request,)).await;
        assert!(told.contains(words), "{method}: {told}");
    }
    let page: Value = ada.invoke("GetSince", (json!({}),)).await;
    let foreign = here.user("bob").await.invoke_error("GetSince", (json!({ "after": page["next"] }),)).await;
    assert!(foreign.contains("for the same user"), "{foreign}");
    let longest: Value = ada.invoke("SendMessage", ("bob", "ä".repeat(4000))).await;
    assert_eq!(longest["id"], 1);
}
