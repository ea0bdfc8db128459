//! What a call goes through, on one server without Redis and on two with it.

use hubline::testing::TestClient;
use hubline_testkit::{Cluster, RedisServer};
use serde_json::{Value, json};

use super::{CallServer, assert_told, ended, keys_of_calls, options, rejected, ring, talk};
use crate::fleet::Reader;

/// All of it, with ada on one server and bob on both.
async fn whole_call(here: &CallServer, there: &CallServer) {
    let ada = here.connect("ada").await;
    let (bob, tablet) = (there.connect("bob").await, here.connect("bob").await);
    let id = ring(&ada, &[&bob, &tablet], "bob", "ada").await;

    // What comes before the answer waits for the device that answers.
    for candidate in ["a-0", "a-1"] {
        ada.invoke::<()>("SendICECandidate", (&*id, "bob", candidate)).await;
    }
    bob.invoke::<()>("SendICECandidate", (&*id, "ada", json!({ "candidate": "b-0", "sdpMLineIndex": 0 })))
        .await;
    tablet.invoke::<()>("SendICECandidate", (&*id, "ada", "t-0")).await;
    let active: Vec<Value> = bob.invoke("GetActiveCalls", ()).await;
    assert_eq!((&active[0]["callId"], &active[0]["status"]), (&json!(id), &json!("Ringing")));

    bob.invoke::<()>("AcceptCall", (&*id, json!({ "type": "answer", "sdp": "v=0" }))).await;
    let accepted: (String, Value) = ada.expect("CallAccepted").await;
    assert_eq!(accepted, (id.clone(), json!({ "type": "answer", "sdp": "v=0" })));
    let candidate: (String, Value) = ada.expect("ICECandidate").await;
    assert_eq!(candidate.1, json!({ "candidate": "b-0", "sdpMLineIndex": 0 }));
    for expected in ["a-0", "a-1"] {
        let candidate: (String, String) = bob.expect("ICECandidate").await;
        assert_eq!(candidate, (id.clone(), expected.to_owned()));
    }
    let elsewhere: (String,) = tablet.expect("CallAnsweredElsewhere").await;
    assert_eq!(elsewhere.0, id);

    // Now it belongs to two connections.
    let late = tablet.invoke_error("AcceptCall", (&*id, "answer")).await;
    assert_told(&late, "the call was answered by another connection of yours");
    let other = tablet.invoke_error("ToggleVideo", (&*id, true)).await;
    assert_told(&other, "another connection of yours has this call: RejoinCall moves it to this one");
    ada.invoke::<()>("SendICECandidate", (&*id, "bob", "a-2")).await;
    assert_eq!(bob.expect::<(String, String)>("ICECandidate").await.1, "a-2");
    bob.invoke::<()>("ToggleVideo", (&*id, true)).await;
    assert_eq!(ada.expect::<(String, bool)>("VideoToggled").await, ("bob".to_owned(), true));
    ada.invoke::<()>("ToggleAudio", (&*id, true)).await;
    assert_eq!(bob.expect::<(String, bool)>("AudioToggled").await, ("ada".to_owned(), true));
    let wrong = ada.invoke_error("SendICECandidate", (&*id, "eve", "a-3")).await;
    assert_told(&wrong, "the recipient of a candidate is the other participant of the call");

    bob.invoke::<()>("EndCall", (&*id,)).await;
    ended(&ada, &id).await;
    ended(&bob, &id).await;
    ada.invoke::<()>("EndCall", (&*id,)).await;
    assert_told(&ada.invoke_error("ToggleAudio", (&*id, true)).await, "the call is over");
    assert_eq!(ada.invoke::<Vec<Value>>("GetActiveCalls", ()).await, [json!(null); 0]);
    for client in [&ada, &bob, &tablet] {
        client.expect_nothing().await;
    }
    refused(&ada, &bob, &tablet).await;
    taken_back(&ada, &bob, &tablet).await;
}

/// A call that is rejected stops ringing everywhere.
async fn refused(ada: &TestClient, bob: &TestClient, tablet: &TestClient) {
    let id = ring(ada, &[bob, tablet], "bob", "ada").await;
    assert_told(
        &ada.invoke_error("AcceptCall", (&*id, "answer")).await,
        "only the user who is called can accept or reject a call; EndCall takes it back",
    );
    tablet.invoke::<()>("RejectCall", (&*id, "busy")).await;
    rejected(ada, &id, "busy").await;
    bob.expect::<(String,)>("CallAnsweredElsewhere").await;
    assert_told(&bob.invoke_error("AcceptCall", (&*id, "answer")).await, "the call is over");
    bob.invoke::<()>("EndCall", (&*id,)).await;
}

/// A call that its caller ends before it is accepted.
async fn taken_back(ada: &TestClient, bob: &TestClient, tablet: &TestClient) {
    let id = ring(ada, &[bob, tablet], "bob", "ada").await;
    ada.invoke::<()>("EndCall", (&*id,)).await;
    for client in [ada, bob, tablet] {
        ended(client, &id).await;
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_call_without_redis() {
    let alone = CallServer::alone(options()).await;
    whole_call(&alone, &alone).await;
    let statistics = alone.statistics();
    assert_eq!((statistics.started, statistics.accepted, statistics.completed), (3, 1, 1));
    assert_eq!((statistics.declined, statistics.cancelled, statistics.active), (1, 1, 0));
}

#[tokio::test]
async fn a_call_over_two_servers_and_every_key_of_it_has_an_end() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (here, there) =
        (CallServer::of_fleet(&at, options()).await, CallServer::of_fleet(&at, options()).await);
    whole_call(&here, &there).await;

    // While one goes on, other programs read its entry, and strangers learn nothing.
    let reader = Reader::new(&at);
    let (ada, bob) = (here.connect("ada").await, there.connect("bob").await);
    let id = talk(&ada, &bob).await;
    let entry: Value = serde_json::from_str(&reader.cached(&format!("call:{id}")).await.unwrap()).unwrap();
    assert_eq!(
        (&entry["CallId"], &entry["InitiatorId"], &entry["RecipientId"], &entry["Status"]),
        (&json!(id), &json!("ada"), &json!("bob"), &json!(1))
    );
    assert!(entry["StartedAt"].as_str().unwrap().ends_with('Z'));
    let keys = keys_of_calls(&reader).await;
    assert!(keys.len() >= 6, "calls, the call of each user: {keys:?}");
    strangers_learn_nothing(&there, &id).await;

    ada.invoke::<()>("EndCall", (&*id,)).await;
    ended(&bob, &id).await;
    let left = keys_of_calls(&reader).await;
    assert!(left.iter().all(|key| !key.contains("call-of:")), "{left:?}");
    let fields: Vec<String> = reader.run(&["HKEYS", &format!("TeleDoctor:call:{id}")]).await;
    assert!(!fields.iter().any(|field| field == "offer" || field == "answer"), "{fields:?}");
}

/// The same answer for a call of others and for none.
async fn strangers_learn_nothing(server: &CallServer, id: &str) {
    let eve = server.connect("eve").await;
    let unknown = "01890000-0000-7000-8000-000000000000";
    for id in [id, unknown, "nonsense", ""] {
        for (method, error) in [
            ("AcceptCall", eve.invoke_error("AcceptCall", (id, "answer")).await),
            ("RejectCall", eve.invoke_error("RejectCall", (id, "no")).await),
            ("EndCall", eve.invoke_error("EndCall", (id,)).await),
            ("SendICECandidate", eve.invoke_error("SendICECandidate", (id, "ada", "c")).await),
            ("ToggleVideo", eve.invoke_error("ToggleVideo", (id, true)).await),
            ("ToggleAudio", eve.invoke_error("ToggleAudio", (id, true)).await),
            ("RejoinCall", eve.invoke_error("RejoinCall", (id,)).await),
        ] {
            let expected = format!(
                "An unexpected error occurred invoking '{method}' on the server. HubException: there is no such call"
            );
            assert_eq!(error, expected, "{id}");
        }
    }
    assert_eq!(eve.invoke::<Vec<Value>>("GetActiveCalls", ()).await, [json!(null); 0]);
}

#[tokio::test]
async fn a_call_over_two_servers_and_a_cluster() {
    let cluster = Cluster::start(3).await.unwrap();
    let at = cluster.connection_string();
    let (here, there) =
        (CallServer::of_fleet(&at, options()).await, CallServer::of_fleet(&at, options()).await);
    whole_call(&here, &there).await;
}

#[tokio::test]
async fn a_call_over_two_servers_by_a_user_of_redis_with_the_documented_rights() {
    let redis = RedisServer::start().await.unwrap();
    let reader = Reader::new(&redis.connection_string());
    let document = include_str!("../../../../../docs/redis.md").replace(" \\\n", " ");
    let rights: Vec<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("$ redis-cli -p 6379 ACL SETUSER app "))
        .collect();
    assert_eq!(rights.len(), 4);
    for words in rights {
        let words = words.replace('\'', "").replace("Tele:", "TeleDoctor:").replace("&chat:", "&");
        let words: Vec<&str> =
            ["ACL", "SETUSER", "app"].into_iter().chain(words.split_whitespace()).collect();
        let () = reader.run(&words).await;
    }
    let at = format!("{},user=app,password=s3cret", redis.connection_string());
    let (here, there) =
        (CallServer::of_fleet(&at, options()).await, CallServer::of_fleet(&at, options()).await);
    whole_call(&here, &there).await;
}

#[tokio::test]
async fn what_is_too_large_or_nonsense_is_refused_and_says_why() {
    let alone = CallServer::alone(options()).await;
    let (ada, bob) = (alone.connect("ada").await, alone.connect("bob").await);
    let refused = ada.invoke_error("InitiateCall", ("ada", "offer")).await;
    assert_told(&refused, "the recipient is the caller: nobody can call oneself");
    assert_told(&ada.invoke_error("InitiateCall", ("bob", Value::Null)).await, "the offer is null");
    let id = ring(&ada, &[&bob], "bob", "ada").await;
    let again = ada.invoke_error("InitiateCall", ("cy", "offer")).await;
    assert_told(&again, "you take part in a call already: EndCall ends it, GetActiveCalls names it");
    let large = ada.invoke_error("SendICECandidate", (&*id, "bob", "c".repeat(4_095))).await;
    assert_told(&large, "the candidate has 4097 bytes, and may have 4096 at most");
    for number in 0..64 {
        ada.invoke::<()>("SendICECandidate", (&*id, "bob", number)).await;
    }
    let many = ada.invoke_error("SendICECandidate", (&*id, "bob", 64)).await;
    assert_told(&many, "64 candidates wait for the other side already, more are not kept");
    let long = bob.invoke_error("RejectCall", (&*id, "x".repeat(201))).await;
    assert_told(&long, "the reason may have 200 characters at most");
    bob.invoke::<()>("AcceptCall", (&*id, "answer")).await;
    for number in 0..64 {
        assert_eq!(bob.expect::<(String, u32)>("ICECandidate").await.1, number);
    }
}
