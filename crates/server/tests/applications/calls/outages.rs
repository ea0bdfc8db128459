//! Servers that die, and a Redis that goes away.

use std::time::Duration;

use hubline_testkit::RedisServer;
use serde_json::{Value, json};

use super::{CallServer, assert_told, ended, keys_of_calls, options, rejected, ring, talk};
use crate::fleet::{INSTANCE_NAME, Reader};

#[tokio::test]
async fn ringing_ends_once_though_the_server_of_the_caller_was_killed() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let mut options = options();
    options.ring_timeout = Duration::from_millis(1_500);
    let mut first = CallServer::of_fleet(&at, options.clone()).await;
    let others = [CallServer::of_fleet(&at, options.clone()).await, CallServer::of_fleet(&at, options).await];
    let (ada, bob) = (first.connect("ada").await, others[0].connect("bob").await);
    let tablet = others[1].connect("bob").await;
    let id = ring(&ada, &[&bob, &tablet], "bob", "ada").await;
    first.kill();
    let ada = others[1].connect("ada").await;
    ada.invoke::<Value>("RejoinCall", (&*id,)).await;
    rejected(&ada, &id, "no-answer").await;
    for device in [&bob, &tablet] {
        let missed: (String, String) = device.expect("CallMissed").await;
        assert_eq!(missed, (id.clone(), "ada".to_owned()));
    }
    for client in [&ada, &bob, &tablet] {
        client.expect_nothing().await;
    }
    assert_eq!(others.iter().map(|server| server.statistics().missed).sum::<u64>(), 1);
}

#[tokio::test]
async fn the_other_side_learns_that_a_server_was_killed() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let mut options = options();
    options.rejoin_timeout = Duration::from_millis(500);
    let mut first = CallServer::of_fleet(&at, options.clone()).await;
    let second = CallServer::of_fleet(&at, options).await;
    let (ada, bob) = (first.connect("ada").await, second.connect("bob").await);
    let id = talk(&ada, &bob).await;
    first.kill();
    ended(&bob, &id).await;
    bob.expect_nothing().await;
    assert_eq!(second.statistics().lost, 1);
}

/// What the session directory does not have yet, nobody misses when its server dies.
#[tokio::test]
async fn whoever_can_call_is_known_to_the_fleet() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let server = CallServer::of_fleet(&at, options()).await;
    let reader = Reader::new(&at);
    let key = format!("{INSTANCE_NAME}{{hubline}}:connections:VideoCallHub");
    let mut clients = Vec::new();
    for count in 1..=5 {
        let client = server.connect("ada").await;
        client.invoke::<Vec<Value>>("GetActiveCalls", ()).await;
        assert_eq!(reader.run::<i64>(&["ZCARD", &key]).await, count);
        clients.push(client);
    }
}

/// Nobody is left who could have noticed it: whoever comes next does.
#[tokio::test]
async fn nobody_stays_busy_though_all_servers_were_killed() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let mut options = options();
    options.rejoin_timeout = Duration::from_millis(500);
    let mut only = CallServer::of_fleet(&at, options.clone()).await;
    let (ada, bob) = (only.connect("ada").await, only.connect("bob").await);
    talk(&ada, &bob).await;
    only.kill();
    let next = CallServer::of_fleet(&at, options).await;
    let (ada, bob) = (next.connect("ada").await, next.connect("bob").await);
    for client in [&ada, &bob] {
        let calls = async || client.invoke::<Vec<Value>>("GetActiveCalls", ()).await.len();
        hubline::directory::conformance::until(0, calls).await;
    }
    ring(&ada, &[&bob], "bob", "ada").await;
}

/// What a server leaves that is killed between changing a call and telling its clients.
#[tokio::test]
async fn what_nobody_was_told_any_server_tells() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let server = CallServer::of_fleet(&at, options()).await;
    let (ada, bob) = (server.connect("ada").await, server.connect("bob").await);
    let id = talk(&ada, &bob).await;
    let reader = Reader::new(&at);
    let key = format!("{INSTANCE_NAME}call:{id}");
    let [mut data, mut state] = [reader.field(&key, "data").await, reader.field(&key, "state").await];
    (data["Status"], data["EndedAt"]) = (json!(3), json!("2026-01-01T00:00:00Z"));
    (state["revision"], state["is_announced"]) = (json!(99), json!(false));
    let (data, state) = (data.to_string(), state.to_string());
    let _: i64 = reader.run(&["HSET", &key, "data", &data, "state", &state]).await;
    let _: i64 = reader.run(&["ZADD", &format!("{INSTANCE_NAME}calls:deadlines"), "0", &id]).await;
    ended(&ada, &id).await;
    ended(&bob, &id).await;
    for client in [&ada, &bob] {
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn calls_go_on_without_redis_and_are_known_to_all_afterwards() {
    let mut redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (here, there) =
        (CallServer::of_fleet(&at, options()).await, CallServer::of_fleet(&at, options()).await);
    let (ada, bob) = (here.connect("ada").await, here.connect("bob").await);
    let (cy, dan) = (here.connect("cy").await, here.connect("dan").await);
    let eve = there.connect("eve").await;
    let before = talk(&ada, &bob).await;
    redis.stop().await.unwrap();
    here.cut_off().await;

    ada.invoke::<()>("SendICECandidate", (&*before, "bob", "candidate")).await;
    bob.expect::<(String, String)>("ICECandidate").await;
    let meanwhile = ring(&cy, &[&dan], "dan", "cy").await;
    dan.invoke::<()>("AcceptCall", (&*meanwhile, "answer")).await;
    cy.expect::<(String, String)>("CallAccepted").await;
    bob.invoke::<()>("EndCall", (&*before,)).await;
    ended(&ada, &before).await;
    ended(&bob, &before).await;
    let far = ada.invoke_error("InitiateCall", ("eve", "offer")).await;
    assert_told(
        &far,
        "the servers cannot reach each other now, and this user is not connected to the same one: try again in a moment",
    );
    let unknown = eve.invoke_error("EndCall", (&*before,)).await;
    assert_told(&unknown, "calls on other servers cannot be reached now, try again in a moment");

    // It comes back empty, and is told.
    redis.start_again().await.unwrap();
    here.reached().await;
    there.reached().await;
    let tablet = there.connect("dan").await;
    let rejoined = async || {
        let calls = tablet.try_invoke::<Vec<Value>>("GetActiveCalls", ()).await.unwrap_or_default();
        calls.first().map(|call| call["callId"].clone())
    };
    hubline::directory::conformance::until(Some(json!(meanwhile)), rejoined).await;
    tablet.invoke::<Value>("RejoinCall", (&*meanwhile,)).await;
    dan.expect::<(String,)>("CallAnsweredElsewhere").await;
    tablet.invoke::<()>("EndCall", (&*meanwhile,)).await;
    ended(&cy, &meanwhile).await;
    ended(&tablet, &meanwhile).await;
    keys_of_calls(&Reader::new(&at)).await;
    let id = ring(&ada, &[&eve], "eve", "ada").await;
    eve.invoke::<()>("RejectCall", (&*id, "no")).await;
    rejected(&ada, &id, "no").await;
}
