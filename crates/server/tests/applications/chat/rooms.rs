//! Rooms, and who is in them.

use hubline::testing::TestClient;
use serde_json::{Value, json};

use super::{Instance, count, missed, store};

async fn joined(client: &TestClient) -> String {
    client.expect::<(String, Value)>("UserJoined").await.0
}

async fn left(client: &TestClient) -> String {
    client.expect::<(String, Value)>("UserLeft").await.0
}

#[tokio::test]
async fn the_first_device_comes_and_the_last_one_goes() {
    let store = store().await;
    let here = Instance::alone(&store);
    let (ada, bob, tablet) = (here.user("ada").await, here.user("bob").await, here.user("bob").await);
    let cy = here.user("cy").await;
    cy.invoke::<()>("JoinRoom", ("another",)).await;
    assert_eq!(joined(&cy).await, "cy");
    ada.invoke::<()>("JoinRoom", ("ward",)).await;
    assert_eq!(joined(&ada).await, "ada");
    bob.invoke::<()>("JoinRoom", ("ward",)).await;
    for member in [&ada, &bob] {
        assert_eq!(joined(member).await, "bob");
    }
    tablet.invoke::<()>("JoinRoom", ("ward",)).await;
    tablet.invoke::<()>("JoinRoom", ("ward",)).await;
    bob.invoke::<()>("LeaveRoom", ("ward",)).await;
    // Bob is a member as long as his other device is in.
    assert_eq!(bob.invoke::<Value>("Send", (json!({ "room": "ward", "text": "one" }),)).await["id"], 1);
    for member in [&ada, &tablet] {
        let (from, text, _): (String, String, Value) = member.expect("ReceiveRoomMessage").await;
        assert_eq!((from.as_str(), text.as_str()), ("bob", "one"));
        member.expect_nothing().await;
    }
    tablet.close().await;
    assert_eq!(left(&ada).await, "bob");
    // Who was lost is a member still, and finds what was written meanwhile.
    ada.invoke::<Value>("SendToRoom", ("ward", "two")).await;
    assert_eq!(missed(&bob, &Value::Null).await.0, ["one", "two"]);
    for stranger in [&bob, &cy] {
        stranger.expect_nothing().await;
    }
}

#[tokio::test]
async fn who_has_not_joined_neither_sends_nor_reads() {
    let store = store().await;
    let here = Instance::alone(&store);
    let (ada, eve) = (here.with_events("ada").await, here.user("eve").await);
    ada.invoke::<()>("JoinRoom", ("ward",)).await;
    ada.invoke::<Value>("Send", (json!({ "room": "ward", "text": "for members" }),)).await;
    assert_eq!(joined(&ada).await, "ada");
    ada.expect::<(String, String, Value)>("ReceiveRoomMessage").await;
    let (message,): (Value,) = ada.expect("MessageReceived").await;
    assert_eq!((&message["room"], &message["to"], &message["id"]), (&json!("ward"), &Value::Null, &json!(1)));
    let refusals = async |room: &str| {
        let mut told = vec![eve.invoke_error("SendToRoom", (room, "let me in")).await];
        for (method, request) in [
            ("Send", json!({ "room": room, "text": "let me in" })),
            ("GetHistory", json!({ "room": room })),
            ("MarkRead", json!({ "room": room })),
        ] {
            told.push(eve.invoke_error(method, (request,)).await);
        }
        told
    };
    let told = refusals("ward").await;
    assert!(told.iter().all(|text| text.contains("you have not joined this room")), "{told:?}");
    assert_eq!(refusals("no such room").await, told, "nothing tells which rooms there are");
    assert_eq!(here.chat.statistics().refused, 8);
    assert!(eve.invoke_error("JoinRoom", ("hubline:events:user:ada",)).await.contains("does not begin with"));

    ada.invoke::<()>("LeaveRoom", ("ward",)).await;
    assert!(ada.invoke_error("GetHistory", (json!({ "room": "ward" }),)).await.contains("not joined"));
    eve.invoke::<()>("JoinRoom", ("ward",)).await;
    let history: Value = eve.invoke("GetHistory", (json!({ "room": "ward" }),)).await;
    assert_eq!(history[0]["text"], "for members");
    ada.expect_nothing().await;
}

#[tokio::test]
async fn nothing_is_left_of_anonymous_members() {
    let store = store().await;
    let here = Instance::alone(&store);
    let (one, other) = (TestClient::connect(&here.hub).await, TestClient::connect(&here.hub).await);
    for client in [&one, &other] {
        client.invoke::<()>("JoinRoom", ("lobby",)).await;
    }
    let name = other.connection_id().to_string();
    assert_eq!(joined(&one).await, one.connection_id().as_str());
    assert_eq!(joined(&one).await, name);
    other.close().await;
    assert_eq!(left(&one).await, name);
    let rows = "SELECT CAST(COUNT(*) AS BIGINT) FROM chat_members";
    assert_eq!(count(&store, rows).await, 1);
    one.close().await;
    let rows = "SELECT CAST(COUNT(*) AS BIGINT) FROM chat_conversations";
    assert_eq!(count(&store, rows).await, 0);
}
