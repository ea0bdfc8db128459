//! Several who want different things of one call at once.

use std::time::Duration;

use hubline_testkit::RedisServer;
use serde_json::{Value, json};

use super::{CallServer, assert_told, ended, options, rejected, ring, talk};

#[tokio::test]
async fn of_two_devices_on_two_servers_one_accepts() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (here, there) =
        (CallServer::of_fleet(&at, options()).await, CallServer::of_fleet(&at, options()).await);
    let ada = here.connect("ada").await;
    let (phone, tablet) = (here.connect("bob").await, there.connect("bob").await);
    for _ in 0..20 {
        let id = ring(&ada, &[&phone, &tablet], "bob", "ada").await;
        tokio::join!(phone.send("AcceptCall", (&*id, "phone")), tablet.send("AcceptCall", (&*id, "tablet")));
        let (_, winner): (String, String) = ada.expect("CallAccepted").await;
        let (winner, loser) = if winner == "phone" { (&phone, &tablet) } else { (&tablet, &phone) };
        let elsewhere: (String,) = loser.expect("CallAnsweredElsewhere").await;
        assert_eq!(elsewhere.0, id);
        loser.invoke_error("ToggleAudio", (&*id, true)).await;
        winner.invoke::<()>("EndCall", (&*id,)).await;
        ended(&ada, &id).await;
        ended(winner, &id).await;
    }
    for client in [&ada, &phone, &tablet] {
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn who_is_in_a_call_is_busy_and_who_calls_back_at_once_gets_the_earlier_call() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (here, there) =
        (CallServer::of_fleet(&at, options()).await, CallServer::of_fleet(&at, options()).await);
    let (ada, bob, cy) = (here.connect("ada").await, there.connect("bob").await, here.connect("cy").await);
    let id = talk(&ada, &bob).await;
    for callee in ["ada", "bob"] {
        let refused: String = cy.invoke("InitiateCall", (callee, "offer")).await;
        rejected(&cy, &refused, "busy").await;
    }
    ada.invoke::<()>("EndCall", (&*id,)).await;
    ended(&ada, &id).await;
    ended(&bob, &id).await;

    // One rings already when the other one calls: the later call has the larger id, unless the clocks of the two servers differ.
    let first = ring(&ada, &[&bob], "bob", "ada").await;
    let second: String = bob.invoke("InitiateCall", ("ada", "offer")).await;
    let (id, caller, callee, lost) =
        if first < second { (&first, &ada, &bob, &second) } else { (&second, &bob, &ada, &first) };
    rejected(callee, lost, "busy").await;
    if second < first {
        bob.expect::<(String,)>("CallAnsweredElsewhere").await;
        ada.expect::<(String, String, String)>("IncomingCall").await;
    }
    callee.invoke::<()>("AcceptCall", (id, "answer")).await;
    caller.expect::<(String, String)>("CallAccepted").await;
    caller.invoke::<()>("EndCall", (id,)).await;
    ended(&ada, id).await;
    ended(&bob, id).await;
    for client in [&ada, &bob, &cy] {
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn of_two_calls_that_cross_the_smaller_id_goes_on() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (here, there) =
        (CallServer::of_fleet(&at, options()).await, CallServer::of_fleet(&at, options()).await);
    let (ada, bob) = (here.connect("ada").await, there.connect("bob").await);
    let mut all_lost = Vec::new();
    for _ in 0..20 {
        let (of_ada, of_bob): (String, String) = tokio::join!(
            ada.invoke("InitiateCall", ("bob", "offer")),
            bob.invoke("InitiateCall", ("ada", "offer"))
        );
        let (id, caller, callee, lost) =
            if of_ada < of_bob { (&of_ada, &ada, &bob, &of_bob) } else { (&of_bob, &bob, &ada, &of_ada) };
        rejected(callee, lost, "busy").await;
        all_lost.push(lost.clone());
        // A call that lost may have rung, of this turn or one before; then its devices were told to stop.
        while callee.expect::<(String, String, String)>("IncomingCall").await.1 != *id {}
        callee.invoke::<()>("AcceptCall", (id, "answer")).await;
        caller.expect::<(String, String)>("CallAccepted").await;
        for client in [caller, callee] {
            let active: Vec<Value> = client.invoke("GetActiveCalls", ()).await;
            assert_eq!((active.len(), &active[0]["callId"]), (1, &json!(id)));
        }
        caller.invoke::<()>("EndCall", (id,)).await;
        for client in [caller, callee] {
            loop {
                let (over, _): (String, String) = client.expect("CallEnded").await;
                if over == *id {
                    break;
                }
                assert!(all_lost.contains(&over), "{over} is none that has lost");
            }
        }
    }
}

#[tokio::test]
async fn a_device_that_connects_while_it_rings_rings_and_stops_with_the_others() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (here, there) =
        (CallServer::of_fleet(&at, options()).await, CallServer::of_fleet(&at, options()).await);
    let ada = here.connect("ada").await;
    let id = ring(&ada, &[], "bob", "ada").await;
    let (phone, tablet) = (here.connect("bob").await, there.connect("bob").await);
    for device in [&phone, &tablet] {
        let rings: (String, String, String) = device.expect("IncomingCall").await;
        assert_eq!(rings, ("ada".to_owned(), id.clone(), "offer".to_owned()));
    }
    tablet.invoke::<()>("AcceptCall", (&*id, "answer")).await;
    phone.expect::<(String,)>("CallAnsweredElsewhere").await;
    there.connect("bob").await.expect_nothing().await;
}

#[tokio::test]
async fn a_side_moves_to_another_server_and_gets_what_it_missed() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (here, there) =
        (CallServer::of_fleet(&at, options()).await, CallServer::of_fleet(&at, options()).await);
    let (ada, bob) = (here.connect("ada").await, there.connect("bob").await);
    let id = talk(&ada, &bob).await;
    bob.close().await;
    ada.invoke::<()>("SendICECandidate", (&*id, "bob", "meanwhile")).await;
    ada.invoke::<()>("ToggleVideo", (&*id, true)).await;
    let bob = here.connect("bob").await;
    let call: Value = bob.invoke("RejoinCall", (&*id,)).await;
    assert_eq!((&call["status"], &call["answer"]), (&json!("Active"), &json!("answer")));
    assert_eq!(call["isCallerVideoMuted"], json!(true));
    assert_eq!(bob.expect::<(String, String)>("ICECandidate").await.1, "meanwhile");
    bob.invoke::<()>("ToggleAudio", (&*id, true)).await;
    ada.expect::<(String, bool)>("AudioToggled").await;

    // A device need not be lost to give the call to another one.
    let tablet = there.connect("ada").await;
    tablet.invoke::<Value>("RejoinCall", (&*id,)).await;
    ada.expect::<(String,)>("CallAnsweredElsewhere").await;
    ada.invoke_error("ToggleVideo", (&*id, false)).await;
    bob.invoke::<()>("EndCall", (&*id,)).await;
    ended(&tablet, &id).await;
    ended(&bob, &id).await;
    ada.expect_nothing().await;
    assert_told(&ada.invoke_error("RejoinCall", (&*id,)).await, "the call is over");
}

#[tokio::test]
async fn a_caller_who_is_away_when_it_is_accepted_hears_of_it_on_return() {
    let alone = CallServer::alone(options()).await;
    let (ada, bob) = (alone.connect("ada").await, alone.connect("bob").await);
    let id = ring(&ada, &[&bob], "bob", "ada").await;
    ada.close().await;
    bob.invoke::<()>("AcceptCall", (&*id, "answer")).await;
    let ada = alone.connect("ada").await;
    let call: Value = ada.invoke("RejoinCall", (&*id,)).await;
    assert_eq!(call["answer"], json!("answer"));
    let accepted: (String, String) = ada.expect("CallAccepted").await;
    assert_eq!(accepted, (id.clone(), "answer".to_owned()));
}

#[tokio::test]
async fn who_calls_again_after_a_lost_connection_has_left_the_call_before() {
    let alone = CallServer::alone(options()).await;
    let (ada, bob) = (alone.connect("ada").await, alone.connect("bob").await);
    let first = talk(&ada, &bob).await;
    ada.close().await;
    let ada = alone.connect("ada").await;
    let second = ring(&ada, &[], "bob", "ada").await;
    ended(&bob, &first).await;
    assert_eq!(bob.expect::<(String, String, String)>("IncomingCall").await.1, second);
}

#[tokio::test]
async fn a_side_that_does_not_come_back_ends_the_call() {
    let mut options = options();
    options.rejoin_timeout = Duration::from_millis(300);
    let alone = CallServer::alone(options).await;
    let (ada, bob) = (alone.connect("ada").await, alone.connect("bob").await);
    let id = talk(&ada, &bob).await;
    ada.close().await;
    ended(&bob, &id).await;
    let ada = alone.connect("ada").await;
    assert_told(&ada.invoke_error("RejoinCall", (&*id,)).await, "the call is over");
    assert_eq!(alone.statistics().lost, 1);
    ring(&ada, &[&bob], "bob", "ada").await;
}
