use hubline_directory::conformance::until;
use hubline_directory::{Call, CallError, CallStatus, Scope, SessionDirectory};
use hubline_testkit::RedisServer;

use crate::instance::{Instance, Reader};

fn call(id: &str) -> Call {
    Call::ringing(id, "ada".into(), "bob".into())
}

#[tokio::test]
async fn a_call_is_an_entry_of_the_distributed_cache() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    let reader = Reader::new(&redis.connection_string());
    let ringing = call("c1");
    here.directory.calls().create(ringing.clone()).await.unwrap();
    assert_eq!(reader.cached("call:c1").await, Some(ringing.to_json()));
    let key = "{Tele}Doctor:call:c1";
    let sliding: i64 = reader.run(&["HGET", key, "sldexp"]).await;
    let absolute: i64 = reader.run(&["HGET", key, "absexp"]).await;
    let () = reader.run(&["PEXPIRE", key, "7200000"]).await;
    let active = here.directory.calls().advance("c1".into(), "bob".into(), CallStatus::Active).await.unwrap();
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
    let (calls, elsewhere) = (here.directory.calls(), there.directory.calls());
    calls.create(call("before")).await.unwrap();
    elsewhere.create(call("of the other")).await.unwrap();
    redis.stop().await.unwrap();

    calls.create(call("meanwhile")).await.unwrap();
    assert_eq!(calls.create(call("meanwhile")).await, Err(CallError::Exists("meanwhile".into())));
    for id in ["before", "meanwhile"] {
        calls.advance(id.into(), "bob".into(), CallStatus::Active).await.unwrap();
        let again = calls.advance(id.into(), "bob".into(), CallStatus::Rejected).await;
        assert!(matches!(again, Err(CallError::NotPossible { .. })), "{again:?}");
    }
    let unknown = calls.get("of the other".into()).await;
    assert!(matches!(unknown, Err(CallError::Unavailable(_))), "{unknown:?}");

    // It comes back empty: everybody tells it what they know.
    redis.start_again().await.unwrap();
    here.reached().await;
    there.reached().await;
    let status = async |id: &str| match elsewhere.get(id.into()).await {
        Ok(Some(call)) => Some(call.status),
        _ => None,
    };
    until(Some(CallStatus::Active), async || status("before").await).await;
    until(Some(CallStatus::Active), async || status("meanwhile").await).await;
    until(Ok(Some(CallStatus::Ringing)), async || {
        calls.get("of the other".into()).await.map(|call| call.map(|call| call.status))
    })
    .await;
    elsewhere.advance("meanwhile".into(), "ada".into(), CallStatus::Ended).await.unwrap();
    assert_eq!(calls.get("meanwhile".into()).await.unwrap().unwrap().status, CallStatus::Ended);
}

#[tokio::test]
async fn whoever_is_further_along_is_right() {
    let redis = RedisServer::start().await.unwrap();
    let at = format!("{},asyncTimeout=300,connectTimeout=300", redis.connection_string());
    let (here, there) = (Instance::start(&at).await, Instance::start(&at).await);
    here.directory.calls().create(call("c")).await.unwrap();
    redis.pause().unwrap();
    let ended = here.directory.calls().advance("c".into(), "ada".into(), CallStatus::Ended).await.unwrap();
    redis.resume().unwrap();
    // The other one may be first, and has to give way.
    let _ = there.directory.calls().advance("c".into(), "bob".into(), CallStatus::Active).await;
    until(Scope::Fleet, async || there.hub.connection_count().await.scope).await;
    until(Ok(Some(ended)), async || there.directory.calls().get("c".into()).await).await;
}
