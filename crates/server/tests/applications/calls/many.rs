//! Many calls at once over three servers, each step on another one, with participants that drop out.

use std::time::Duration;

use futures_util::future::join_all;
use hubline::directory::conformance::until;
use hubline_testkit::RedisServer;
use serde_json::Value;
use tokio::time::Instant;

use super::{CallServer, ended, keys_of_calls, options, rejected};
use crate::fleet::Reader;

/// Of twenty calls, five lose one of their two participants: an eighth of all participants drop.
const KINDS: usize = 20;

/// One call, from its beginning to where both sides know that it is over. Returns its id.
async fn one_call(number: usize, servers: &[CallServer; 3]) -> String {
    let server = |step: usize| &servers[(number + step) % 3];
    let (ada, bob) = (format!("ada-{number}"), format!("bob-{number}"));
    let caller = server(0).connect(&ada).await;
    let callee = server(1).connect(&bob).await;
    let id: String = caller.invoke("InitiateCall", (&bob, "offer")).await;
    let rings: (String, String, String) = callee.expect("IncomingCall").await;
    assert_eq!(rings, (ada.clone(), id.clone(), "offer".to_owned()));
    caller.invoke::<()>("SendICECandidate", (&id, &bob, "candidate")).await;
    match number % KINDS {
        0 => {
            callee.invoke::<()>("RejectCall", (&id, "no")).await;
            rejected(&caller, &id, "no").await;
        }
        1 => {
            caller.close().await;
            ended(&callee, &id).await;
        }
        2 => {
            callee.close().await;
            rejected(&caller, &id, "no-answer").await;
        }
        3 => {
            caller.close().await;
            callee.invoke::<()>("AcceptCall", (&id, "answer")).await;
            let caller = server(2).connect(&ada).await;
            caller.invoke::<Value>("RejoinCall", (&id,)).await;
            caller.expect::<(String, String)>("CallAccepted").await;
            callee.invoke::<()>("EndCall", (&id,)).await;
            ended(&caller, &id).await;
            ended(&callee, &id).await;
        }
        kind => {
            callee.invoke::<()>("AcceptCall", (&id, "answer")).await;
            caller.expect::<(String, String)>("CallAccepted").await;
            callee.expect::<(String, String)>("ICECandidate").await;
            match kind {
                4 => {
                    callee.close().await;
                    ended(&caller, &id).await;
                }
                5 => {
                    callee.close().await;
                    let callee = server(2).connect(&bob).await;
                    callee.invoke::<Value>("RejoinCall", (&id,)).await;
                    caller.invoke::<()>("ToggleVideo", (&id, true)).await;
                    callee.expect::<(String, bool)>("VideoToggled").await;
                    caller.invoke::<()>("EndCall", (&id,)).await;
                    ended(&callee, &id).await;
                    ended(&caller, &id).await;
                }
                6 => {
                    tokio::join!(
                        caller.invoke::<()>("EndCall", (&id,)),
                        callee.invoke::<()>("EndCall", (&id,))
                    );
                    ended(&caller, &id).await;
                    ended(&callee, &id).await;
                }
                _ => {
                    callee.invoke::<()>("ToggleAudio", (&id, true)).await;
                    caller.expect::<(String, bool)>("AudioToggled").await;
                    let (one, other) = if kind % 2 == 0 { (&caller, &callee) } else { (&callee, &caller) };
                    one.invoke::<()>("EndCall", (&id,)).await;
                    ended(other, &id).await;
                    ended(one, &id).await;
                    one.expect_nothing().await;
                    other.expect_nothing().await;
                }
            }
        }
    }
    id
}

/// Runs so many calls at once, and looks at what they leave. `patience`: how long a side is waited for; it rings
/// half as long again, so that a caller who does not come back ends the call before nobody has answered.
async fn calls_at_once(count: usize, patience: Duration) {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let mut options = options();
    (options.ring_timeout, options.rejoin_timeout) = (patience + patience / 2, patience);
    let of_fleet = || CallServer::of_fleet(&at, options.clone());
    let servers = [of_fleet().await, of_fleet().await, of_fleet().await];
    let begun = Instant::now();
    let ids = join_all((0..count).map(|number| one_call(number, &servers))).await;
    let took = begun.elapsed();

    let reader = Reader::new(&at);
    for id in &ids {
        let entry = reader.cached(&format!("call:{id}")).await.unwrap();
        let status = serde_json::from_str::<Value>(&entry).unwrap()["Status"].as_u64().unwrap();
        assert!(status >= 2, "both sides know that it is over: {entry}");
    }
    // Both sides are told before Redis has forgotten who is in a call.
    until(true, async || keys_of_calls(&reader).await.iter().all(|key| !key.contains("call-of:"))).await;
    let keys = keys_of_calls(&reader).await;
    let all = servers.each_ref().map(CallServer::statistics);
    let sum = |read: fn(&hubline_server::calls::CallStatistics) -> u64| all.iter().map(read).sum::<u64>();
    let count = u64::try_from(count).unwrap();
    assert_eq!((sum(|all| all.started), sum(|all| all.active), sum(|all| all.ringing)), (count, 0, 0));
    let over = sum(|all| all.completed + all.cancelled + all.declined + all.missed + all.lost + all.busy);
    assert_eq!(over, count, "each call is over once: {all:?}");
    println!(
        "{count} calls at once over 3 servers: {took:?}, {} keys left, each with a time to live",
        keys.len()
    );
}

#[tokio::test]
async fn every_call_ends_in_a_state_both_sides_agree_on() {
    calls_at_once(KINDS, Duration::from_secs(4)).await;
}

/// `cargo test -p hubline-server --test applications many -- --ignored --nocapture`
#[tokio::test]
#[ignore = "the measure: takes long where processors are shared"]
async fn two_hundred_calls_at_once_end_in_a_state_both_sides_agree_on() {
    calls_at_once(10 * KINDS, Duration::from_secs(12)).await;
}
