//! Rooms, and who is in them.

use hubline::directory::InProcess;
use hubline::directory::conformance::until;
use hubline::testing::TestClient;
use hubline::{HubLimits, HubOptions, Server};
use hubline_server::chat::ChatConfig;
use hubline_server::consultations::ConsultationRule;
use serde_json::{Value, json};

use super::{Instance, config, count, execute, missed, store};

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

const MEMBERS: &str = "SELECT CAST(COUNT(*) AS BIGINT) FROM chat_members";

#[tokio::test]
async fn a_refused_group_leaves_no_membership() {
    let store = store().await;
    let mut limits = HubLimits::default();
    limits.groups_per_connection = 1;
    let server = Server::builder().directory(InProcess::default());
    let server = server.hub_options(HubOptions::default().limits(limits)).build();
    let here = Instance::start(server, &store, config(), ConsultationRule::NotRequired);
    let (ada, tablet) = (here.user("ada").await, here.user("ada").await);
    ada.invoke::<()>("JoinRoom", ("ward",)).await;
    assert_eq!(joined(&ada).await, "ada");
    tablet.invoke::<()>("JoinRoom", ("lobby",)).await;
    let told = ada.invoke_error("JoinRoom", ("cellar",)).await;
    assert!(told.contains("Limits:GroupsPerConnection"), "{told}");
    assert!(ada.invoke_error("SendToRoom", ("cellar", "let me in")).await.contains("not joined"));
    assert_eq!(count(&store, MEMBERS).await, 2);
    // What another device of the user has joined stays.
    ada.invoke_error("JoinRoom", ("lobby",)).await;
    tablet.invoke::<Value>("SendToRoom", ("lobby", "still here")).await;
    assert_eq!(missed(&ada, &Value::Null).await.0, ["still here"]);
    ada.invoke::<()>("LeaveRoom", ("ward",)).await;
    ada.invoke::<()>("JoinRoom", ("cellar",)).await;
    assert_eq!(joined(&ada).await, "ada");
    let nobody = TestClient::connect(&here.hub).await;
    nobody.invoke::<()>("JoinRoom", ("one",)).await;
    nobody.invoke_error("JoinRoom", ("another",)).await;
    nobody.close().await;
    assert_eq!(count(&store, MEMBERS).await, 2);
}

#[tokio::test]
async fn anonymous_members_of_an_instance_that_was_taken_for_dead_come_back() {
    let store = store().await;
    let patience = std::time::Duration::from_millis(400);
    let config = ChatConfig { guests_lost_after: patience, ..config() };
    let here = Instance::alone_with(&store, config, ConsultationRule::NotRequired);
    let guest = TestClient::connect(&here.hub).await;
    guest.invoke::<()>("JoinRoom", ("lobby",)).await;
    // As another instance would.
    for sql in ["DELETE FROM chat_members", "DELETE FROM chat_guests", "DELETE FROM chat_guest_instances"] {
        execute(&store, sql).await;
    }
    until(1, async || count(&store, MEMBERS).await).await;
    guest.close().await;
    assert_eq!(count(&store, MEMBERS).await, 0);
}

#[tokio::test]
async fn what_one_user_may_ask_for_is_bounded() {
    let store = store().await;
    let config = ChatConfig { requests_per_minute_per_user: 10, ..config() };
    let here = Instance::alone_with(&store, config, ConsultationRule::NotRequired);
    let mark = json!({ "with": "bob" });
    for (number, (method, arguments)) in [
        ("JoinRoom", vec![json!("ward")]),
        ("LeaveRoom", vec![json!("ward")]),
        ("EnableEvents", vec![]),
        ("UserTyping", vec![json!("bob")]),
        ("MarkAsRead", vec![json!("bob")]),
        ("MarkRead", vec![mark.clone()]),
        ("MarkDelivered", vec![mark]),
        ("GetHistory", vec![json!({ "with": "bob" })]),
        ("GetConversations", vec![]),
        ("GetConversationsBefore", vec![json!({})]),
        ("GetSince", vec![Value::Null]),
    ]
    .into_iter()
    .enumerate()
    {
        let user = here.user(&format!("user-{number}")).await;
        for _ in 0..10 {
            user.invoke::<Value>(method, arguments.clone()).await;
        }
        let told = user.invoke_error(method, arguments).await;
        assert!(
            told.contains("At most 10 requests a minute (Chat:RequestsPerMinutePerUser)"),
            "{method}: {told}"
        );
        user.invoke::<Value>("SendMessage", ("bob", "not counted")).await;
    }
    assert_eq!(here.chat.statistics().refused, 11);
    // Reading much counts as several.
    let (ada, text) = (here.user("ada").await, "x".repeat(4_000));
    for _ in 0..30 {
        ada.invoke::<Value>("SendMessage", ("cyd", &*text)).await;
    }
    ada.invoke::<Value>("GetHistory", (json!({ "with": "cyd", "limit": 30 }),)).await;
    ada.invoke::<Value>("GetHistory", (json!({ "with": "cyd", "limit": 1 }),)).await;
    ada.invoke::<Value>("GetHistory", (json!({ "with": "cyd", "limit": 1 }),)).await;
    assert!(ada.invoke_error("GetHistory", (json!({ "with": "cyd" }),)).await.contains("Try again in"));
}
