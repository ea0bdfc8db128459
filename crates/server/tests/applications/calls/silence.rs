//! A Redis that is silent, which is worse than one that is gone: every question waits.

use std::time::Duration;

use hubline::directory::conformance::until;
use hubline::testing::TestClient;
use hubline_testkit::RedisServer;
use serde_json::{Value, json};

use super::{CallServer, assert_told, ended, keys_of_calls, options, rejected, ring, store, talk};
use crate::fleet::Reader;

/// A client who waits no longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(5);
const ELSEWHERE: &str = "calls on other servers cannot be reached now, try again in a moment";

async fn impatient(server: &CallServer, user: &str) -> TestClient {
    server.connect_with(user, |connect| connect.timeout(PATIENCE)).await
}

async fn active(client: &TestClient) -> Option<Value> {
    let calls: Vec<Value> = client.invoke("GetActiveCalls", ()).await;
    calls.first().map(|call| call["callId"].clone())
}

#[tokio::test]
async fn while_redis_is_silent_every_method_answers_and_calls_go_on() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let store = Some(store().await);
    let mut options = options();
    options.ring_timeout = Duration::from_secs(6);
    let here = CallServer::start(Some(&at), options.clone(), store.clone()).await;
    let there = CallServer::start(Some(&at), options, store).await;
    let (ada, bob) = (impatient(&here, "ada").await, impatient(&there, "bob").await);
    let (cy, dan) = (here.connect("cy").await, here.connect("dan").await);
    let (eve, fay, gil) =
        (impatient(&there, "eve").await, impatient(&here, "fay").await, impatient(&here, "gil").await);
    let talking = talk(&ada, &bob).await;
    let ringing = ring(&cy, &[&dan], "dan", "cy").await;
    // The server of the caller hears of the answer on its own.
    until(1, async || here.statistics().active).await;
    redis.pause().unwrap();

    let unknown = "01890000-0000-7000-8000-000000000000";
    tokio::join!(
        ada.invoke::<()>("SendICECandidate", (&*talking, "bob", "candidate")),
        bob.invoke::<()>("ToggleAudio", (&*talking, true)),
        async { assert_eq!(active(&ada).await, Some(json!(talking))) },
        async {
            for (method, error) in [
                ("EndCall", eve.invoke_error("EndCall", (unknown,)).await),
                ("AcceptCall", eve.invoke_error("AcceptCall", (unknown, "answer")).await),
                ("RejectCall", eve.invoke_error("RejectCall", (unknown, "no")).await),
                ("ToggleVideo", eve.invoke_error("ToggleVideo", (unknown, true)).await),
                ("RejoinCall", eve.invoke_error("RejoinCall", (unknown,)).await),
                ("SendICECandidate", eve.invoke_error("SendICECandidate", (unknown, "x", "c")).await),
            ] {
                assert!(error.ends_with(ELSEWHERE), "{method}: {error}");
            }
            let error = eve.invoke_error("GetActiveCalls", ()).await;
            assert!(error.ends_with(ELSEWHERE), "{error}");
            assert_eq!(eve.invoke::<Vec<Value>>("GetIceServers", ()).await, [json!(null); 0]);
            eve.invoke::<Vec<Value>>("GetCallHistory", (json!({}),)).await;
        },
        // Within one server a call begins, is accepted and ends.
        async {
            let id = ring(&fay, &[&gil], "gil", "fay").await;
            gil.invoke::<()>("AcceptCall", (&*id, "answer")).await;
            fay.expect::<(String, String)>("CallAccepted").await;
            gil.invoke::<Value>("RejoinCall", (&*id,)).await;
            fay.invoke::<()>("EndCall", (&*id,)).await;
            ended(&fay, &id).await;
            ended(&gil, &id).await;
        },
        // Nobody answers, which both sides learn in time.
        async {
            rejected(&cy, &ringing, "no-answer").await;
            let missed: (String, String) = dan.expect("CallMissed").await;
            assert_eq!(missed, (ringing.clone(), "cy".to_owned()));
        },
    );
    let far = fay.invoke_error("InitiateCall", ("eve", "offer")).await;
    assert_told(
        &far,
        "the servers cannot reach each other now, and this user is not connected to the same one: try again in a moment",
    );
    assert_eq!(active(&ada).await, Some(json!(talking)));

    redis.resume().unwrap();
    bob.expect::<(String, String)>("ICECandidate").await;
    ada.expect::<(String, bool)>("AudioToggled").await;
    for client in [&ada, &bob] {
        until(Some(json!(talking)), async || active(client).await).await;
    }
    // Who was told that it is muted, on one server, has told the other.
    until(json!(true), async || {
        let calls: Vec<Value> = ada.invoke("GetActiveCalls", ()).await;
        calls.first().map_or(json!(null), |call| call["isRecipientAudioMuted"].clone())
    })
    .await;
    bob.invoke::<()>("EndCall", (&*talking,)).await;
    ended(&ada, &talking).await;
    ended(&bob, &talking).await;
    let reader = Reader::new(&at);
    until(false, async || keys_of_calls(&reader).await.iter().any(|key| key.contains("call-of:"))).await;
    let again = ring(&fay, &[&eve], "eve", "fay").await;
    eve.invoke::<()>("RejectCall", (&*again, "no")).await;
    rejected(&fay, &again, "no").await;
    for client in [&ada, &bob, &cy, &dan, &eve, &fay, &gil] {
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_device_that_connects_while_redis_is_silent_rings_when_it_answers() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (here, there) =
        (CallServer::of_fleet(&at, options()).await, CallServer::of_fleet(&at, options()).await);
    let (ada, bob) = (here.connect("ada").await, here.connect("bob").await);
    let id = ring(&ada, &[&bob], "bob", "ada").await;
    redis.pause().unwrap();
    let tablet = there.connect("bob").await;
    redis.resume().unwrap();
    let incoming: (String, String, Value) = tablet.expect("IncomingCall").await;
    assert_eq!((incoming.0, incoming.1), ("ada".to_owned(), id));
    tablet.expect_nothing().await;
}
