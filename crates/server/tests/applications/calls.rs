//! Calls in Redis, as other programs and other instances see them.

use crate::fleet::{Instance, Reader};
use hubline::UserId;
use hubline::directory::Scope;
use hubline::directory::conformance::until;
use hubline_server::calls::{Call, CallError, CallStatus, Calls};
use hubline_testkit::{Cluster, RedisServer};

fn call(id: &str) -> Call {
    Call::ringing(id, "ada".into(), "bob".into())
}

async fn begins_changes_and_ends(calls: &Calls, elsewhere: &Calls) {
    let call = call("one");
    let (ada, bob): (UserId, UserId) = ("ada".into(), "bob".into());
    assert_eq!(calls.get(&call.id).await, Ok(None));
    calls.create(call.clone()).await.unwrap();
    assert_eq!(elsewhere.create(call.clone()).await, Err(CallError::Exists(call.id.clone())));
    assert_eq!(elsewhere.get(&call.id).await, Ok(Some(call.clone())));
    let by_stranger = elsewhere.advance(&call.id, &"eve".into(), CallStatus::Ended).await;
    assert!(matches!(by_stranger, Err(CallError::NotAParticipant { .. })), "{by_stranger:?}");
    let accepted = elsewhere.advance(&call.id, &bob, CallStatus::Active).await.unwrap();
    assert_eq!(calls.get(&call.id).await, Ok(Some(accepted)));
    let again = calls.advance(&call.id, &bob, CallStatus::Active).await;
    assert!(matches!(again, Err(CallError::NotPossible { from: CallStatus::Active, .. })), "{again:?}");
    let (one, other) = tokio::join!(
        elsewhere.advance(&call.id, &bob, CallStatus::Ended),
        calls.advance(&call.id, &ada, CallStatus::Ended)
    );
    assert!(one.is_ok() != other.is_ok(), "one of the two comes first: {one:?} {other:?}");
    assert_eq!(calls.get(&call.id).await, elsewhere.get(&call.id).await);
    let unknown = calls.advance(&"unknown".into(), &ada, CallStatus::Ended).await;
    assert_eq!(unknown, Err(CallError::Unknown("unknown".into())));
}

#[tokio::test]
async fn a_call_begins_changes_and_ends_in_memory_in_redis_and_in_a_cluster() {
    let alone = Calls::in_process();
    begins_changes_and_ends(&alone, &alone.clone()).await;
    let redis = RedisServer::start().await.unwrap();
    let cluster = Cluster::start(3).await.unwrap();
    let at_cluster = format!("{},defaultDatabase=2", cluster.connection_string());
    for at in [redis.connection_string(), at_cluster] {
        let (here, there) = (Instance::start(&at).await, Instance::start(&at).await);
        begins_changes_and_ends(&here.calls, &there.calls).await;
    }
}

#[tokio::test]
async fn a_call_is_an_entry_of_the_distributed_cache() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    let reader = Reader::new(&redis.connection_string());
    let ringing = call("c1");
    here.calls.create(ringing.clone()).await.unwrap();
    assert_eq!(reader.cached("call:c1").await, Some(ringing.to_json()));
    let key = "TeleDoctor:call:c1";
    let sliding: i64 = reader.run(&["HGET", key, "sldexp"]).await;
    let absolute: i64 = reader.run(&["HGET", key, "absexp"]).await;
    let () = reader.run(&["PEXPIRE", key, "7200000"]).await;
    let active = here.calls.advance(&"c1".into(), &"bob".into(), CallStatus::Active).await.unwrap();
    assert_eq!(reader.cached("call:c1").await, Some(active.to_json()));
    let ttl: i64 = reader.run(&["TTL", key]).await;
    assert!((7100..=7200).contains(&ttl), "a change does not prolong it: {ttl}");
    assert_eq!(sliding, -1);
    assert!(absolute > 638_000_000_000_000_000, "{absolute}");
}

#[tokio::test]
async fn calls_go_on_without_redis_and_are_told_afterwards() {
    let mut redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (here, there) = (Instance::start(&at).await, Instance::start(&at).await);
    let (calls, elsewhere) = (&here.calls, &there.calls);
    calls.create(call("before")).await.unwrap();
    elsewhere.create(call("of the other")).await.unwrap();
    redis.stop().await.unwrap();

    calls.create(call("meanwhile")).await.unwrap();
    assert_eq!(calls.create(call("meanwhile")).await, Err(CallError::Exists("meanwhile".into())));
    for id in ["before", "meanwhile"] {
        calls.advance(&id.into(), &"bob".into(), CallStatus::Active).await.unwrap();
        let again = calls.advance(&id.into(), &"bob".into(), CallStatus::Rejected).await;
        assert!(matches!(again, Err(CallError::NotPossible { .. })), "{again:?}");
    }
    let unknown = calls.get(&"of the other".into()).await;
    assert!(matches!(unknown, Err(CallError::Unavailable(_))), "{unknown:?}");

    // It comes back empty: everybody tells it what they know.
    redis.start_again().await.unwrap();
    here.reached().await;
    there.reached().await;
    let status = async |id: &str| match elsewhere.get(&id.into()).await {
        Ok(Some(call)) => Some(call.status),
        _ => None,
    };
    until(Some(CallStatus::Active), async || status("before").await).await;
    until(Some(CallStatus::Active), async || status("meanwhile").await).await;
    until(Ok(Some(CallStatus::Ringing)), async || {
        calls.get(&"of the other".into()).await.map(|call| call.map(|call| call.status))
    })
    .await;
    elsewhere.advance(&"meanwhile".into(), &"ada".into(), CallStatus::Ended).await.unwrap();
    assert_eq!(calls.get(&"meanwhile".into()).await.unwrap().unwrap().status, CallStatus::Ended);
}

#[tokio::test]
async fn whoever_is_further_along_is_right() {
    let redis = RedisServer::start().await.unwrap();
    let at = format!("{},asyncTimeout=300,connectTimeout=300", redis.connection_string());
    let (here, there) = (Instance::start(&at).await, Instance::start(&at).await);
    here.calls.create(call("c")).await.unwrap();
    redis.pause().unwrap();
    let ended = here.calls.advance(&"c".into(), &"ada".into(), CallStatus::Ended).await.unwrap();
    redis.resume().unwrap();
    // The other one may be first, and has to give way.
    let _ = there.calls.advance(&"c".into(), &"bob".into(), CallStatus::Active).await;
    until(Scope::Fleet, async || there.hub.connection_count().await.scope).await;
    until(Ok(Some(ended)), async || there.calls.get(&"c".into()).await).await;
}
