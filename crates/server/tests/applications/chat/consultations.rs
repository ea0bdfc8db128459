//! With `Consultations:Required`.

use hubline::testing::TestClient;
use hubline_server::consultations::{ConsultationRule, NamedByTokens};
use hubline_store::clinic::Party;
use hubline_store::clinic::consultations::{Consultation, close, create};
use hubline_store::{Store, StoreError, Timestamp};
use serde_json::{Value, json};

use super::{Instance, config, missed, store};

const REFUSAL: &str = "there is no open consultation for this";

async fn open(store: &Store, id: &'static str, room: &'static str, users: &'static [&'static str]) {
    let users = users.iter().map(|user| (*user).to_owned()).collect();
    let new = Consultation::now(id, room, users, Timestamp(0), None, &Party::server());
    let created: Result<_, StoreError> =
        store.write(move |db| Box::pin(async move { create(db, &new).await })).await;
    created.unwrap();
}

async fn end(store: &Store, id: &'static str) {
    let closed: Result<_, StoreError> =
        store.write(move |db| Box::pin(async move { close(db, id, Timestamp::now()).await })).await;
    closed.unwrap();
}

/// Everything that eve could try.
async fn refusals(eve: &TestClient, user: &str, room: &str) {
    for (method, arguments) in [
        ("SendMessage", vec![json!(user), json!("x")]),
        ("Send", vec![json!({ "room": room, "text": "x" })]),
        ("SendToRoom", vec![json!(room), json!("x")]),
        ("JoinRoom", vec![json!(room)]),
        ("UserTyping", vec![json!(user)]),
        ("MarkAsRead", vec![json!(user)]),
        ("GetHistory", vec![json!({ "with": user })]),
        ("GetHistory", vec![json!({ "room": room })]),
    ] {
        let told = eve.invoke_error(method, arguments).await;
        assert!(told.contains(REFUSAL), "{method}: {told}");
    }
}

#[tokio::test]
async fn only_participants_write_and_read_and_only_while_it_is_open() {
    let store = store().await;
    let here = Instance::alone_with(&store, config(), ConsultationRule::Required);
    let (ada, bob) = (here.user("ada").await, here.user("bob").await);
    let eve = here.user("eve").await;
    open(&store, "c-1", "ward", &["ada", "bob"]).await;
    open(&store, "c-2", "cellar", &["ada", "eve"]).await;
    ada.invoke::<Value>("SendMessage", ("bob", "one")).await;
    ada.invoke::<()>("JoinRoom", ("ward",)).await;
    bob.invoke::<()>("JoinRoom", ("ward",)).await;
    ada.invoke::<Value>("SendToRoom", ("ward", "two")).await;
    bob.invoke::<()>("UserTyping", ("ada",)).await;
    ada.invoke::<Value>("SendMessage", ("eve", "three")).await;
    for (user, room) in [("bob", "ward"), ("nobody", "nowhere")] {
        refusals(&eve, user, room).await;
    }
    assert_eq!(missed(&bob, &Value::Null).await.0, ["one", "two"]);
    assert_eq!(missed(&ada, &Value::Null).await.0, ["one", "two", "three"]);

    let (_, now) = missed(&bob, &json!("now")).await;
    ada.invoke::<Value>("SendMessage", ("bob", "four")).await;
    end(&store, "c-1").await;
    let told = ada.invoke_error("SendMessage", ("bob", "late")).await;
    assert!(told.contains(REFUSAL), "{told}");
    assert!(bob.invoke_error("SendToRoom", ("ward", "late")).await.contains(REFUSAL));
    let (texts, later) = missed(&bob, &now).await;
    assert!(texts.is_empty(), "{texts:?}");
    assert_eq!(bob.invoke::<Value>("GetConversations", ()).await, json!([]));
    assert_eq!(missed(&ada, &Value::Null).await.0, ["three"]);
    // Another one, and what was missed comes.
    open(&store, "c-3", "another room", &["ada", "bob"]).await;
    assert_eq!(missed(&bob, &later).await.0, ["four"]);
}

#[tokio::test]
async fn a_token_may_name_a_consultation() {
    let store = store().await;
    let rule = ConsultationRule::Required;
    let here = Instance::alone_filtered(&store, rule, NamedByTokens::new(store.clone(), rule));
    open(&store, "made by the clinic", "theatre", &["bob"]).await;
    let connect = |user: &str, claim: &str| {
        TestClient::connect(&here.hub).user(user).claim("consultation", claim).claim("consultation", "theirs")
    };
    let ada = connect("ada", r#"{"id":"c-1","room":"ward","participants":["bob"]}"#).await;
    let bob = here.user("bob").await;
    bob.invoke::<Value>("SendMessage", ("ada", "hello")).await;
    ada.invoke::<()>("JoinRoom", ("ward",)).await;
    ada.invoke::<()>("JoinRoom", ("theirs",)).await;
    // One that was made otherwise, one whose room is another's, and one that was over before.
    let eve = connect("eve", "made by the clinic").await;
    let mal = connect("mal", r#"{"id":"c-2","room":"ward"}"#).await;
    let old = connect("old", r#"{"id":"c-3","closes":1000}"#).await;
    for (user, room) in [(&eve, "theatre"), (&mal, "ward"), (&old, "c-3")] {
        assert!(user.invoke_error("JoinRoom", (room,)).await.contains(REFUSAL), "{room}");
    }
    eve.invoke::<()>("JoinRoom", ("theirs",)).await;
}
