//! Where users are connected, as other programs read it from Redis.

use std::time::Duration;

use crate::fleet::{Instance, Reader};
use hubline::directory::SessionDirectory;
use hubline::directory::conformance::until;
use hubline_testkit::{Cluster, RedisServer};

const TICKS_PER_SECOND: i64 = 10_000_000;
const UNIX_EPOCH_TICKS: i64 = 621_355_968_000_000_000;

fn now_ticks() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UNIX_EPOCH_TICKS + i64::try_from(now.as_nanos() / 100).unwrap()
}

fn entries(newest: &str, all: &str) -> (Option<String>, Option<String>) {
    (Some(newest.to_owned()), Some(all.to_owned()))
}

#[tokio::test]
async fn one_device_leaving_never_removes_another() {
    let redis = RedisServer::start().await.unwrap();
    devices_come_and_go(&redis.connection_string()).await;
    let cluster = Cluster::start(3).await.unwrap();
    devices_come_and_go(&format!("{},defaultDatabase=2", cluster.connection_string())).await;
}

async fn devices_come_and_go(at: &str) {
    let (one, other) = (Instance::start(at).await, Instance::start(at).await);
    let reader = Reader::new(at);
    let view = async || reader.entries("ada").await;
    for (instance, id) in [(&one, "phone"), (&other, "tablet"), (&one, "laptop")] {
        instance.connect(id, "ada");
        until(Some(id.to_owned()), async || reader.cached("connection:ada").await).await;
    }
    until(entries("laptop", r#"["phone","tablet","laptop"]"#), view).await;
    // The oldest leaves, then the newest, then the last.
    one.disconnect("phone");
    until(entries("laptop", r#"["tablet","laptop"]"#), view).await;
    one.disconnect("laptop");
    until(entries("tablet", r#"["tablet"]"#), view).await;
    other.disconnect("tablet");
    until((None, None), view).await;
}

#[tokio::test]
async fn entries_are_those_of_the_distributed_cache() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    let reader = Reader::new(&redis.connection_string());
    // Whatever stands in the way is replaced.
    let () = reader.run(&["SET", "TeleDoctor:connections:ada", "of another kind"]).await;
    let before = now_ticks();
    here.connect("c", "ada");
    until(Some("c".to_owned()), async || reader.cached("connection:ada").await).await;
    until("hash".to_owned(), async || reader.run(&["TYPE", "TeleDoctor:connections:ada"]).await).await;
    for (key, data) in [("TeleDoctor:connection:ada", "c"), ("TeleDoctor:connections:ada", r#"["c"]"#)] {
        let (absolute, sliding, found): (i64, i64, String) =
            reader.run(&["HMGET", key, "absexp", "sldexp", "data"]).await;
        let span = 12 * 3600 * TICKS_PER_SECOND;
        assert!(
            (before + span - TICKS_PER_SECOND..=now_ticks() + span).contains(&absolute),
            "{key} {absolute}"
        );
        assert_eq!((sliding, found.as_str()), (4 * 3600 * TICKS_PER_SECOND, data));
        let ttl: i64 = reader.run(&["TTL", key]).await;
        assert!((14_390..=14_400).contains(&ttl), "{ttl}");
        let fields: i64 = reader.run(&["HLEN", key]).await;
        assert_eq!(fields, 3);
    }
}

#[tokio::test]
async fn entries_are_renewed_while_the_user_is_connected() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start_with(&redis.connection_string(), Duration::from_millis(400)).await;
    let reader = Reader::new(&redis.connection_string());
    here.connect("c", "ada");
    until(entries("c", r#"["c"]"#), async || reader.entries("ada").await).await;
    let keys = ["TeleDoctor:connection:ada", "TeleDoctor:connections:ada"];
    for key in keys {
        let () = reader.run(&["EXPIRE", key, "60"]).await;
        until(true, async || reader.run::<i64>(&["TTL", key]).await > 14_000).await;
    }
}

#[tokio::test]
async fn only_the_hub_that_was_named_counts() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    let reader = Reader::new(&redis.connection_string());
    here.directory.attach("Navigation").connected("navigation".into(), Some("ada".into()));
    here.connect("chat", "ada");
    until(entries("chat", r#"["chat"]"#), async || reader.entries("ada").await).await;
    here.disconnect("chat");
    until((None, None), async || reader.entries("ada").await).await;
}

#[tokio::test]
async fn of_a_user_with_many_connections_the_newest_are_listed() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    let reader = Reader::new(&redis.connection_string());
    for n in 0..1500 {
        here.connect(&format!("c{n:04}"), "robot");
    }
    let newest = here.hub.connections_of("robot".into()).await.value;
    until(Some(newest[0].to_string()), async || reader.cached("connection:robot").await).await;
    let expected: Vec<&str> = newest[..100].iter().rev().map(|id| id.as_str()).collect();
    let expected = serde_json::to_string(&expected).unwrap();
    until(Some(expected), async || reader.cached("connections:robot").await).await;
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_gets_the_entries_again() {
    let mut redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    here.connect("stays", "ada");
    here.connect("goes", "bob");
    let reader = Reader::new(&redis.connection_string());
    until(Some("goes".to_owned()), async || reader.cached("connection:bob").await).await;
    redis.stop().await.unwrap();
    here.disconnect("goes");
    redis.start_again().await.unwrap();
    here.reached().await;
    let reader = Reader::new(&redis.connection_string());
    until(entries("stays", r#"["stays"]"#), async || reader.entries("ada").await).await;
    until((None, None), async || reader.entries("bob").await).await;
}

/// The newest connection of one user was there, the only one of another.
#[tokio::test]
async fn what_a_dead_instance_held_is_gone_or_right() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (one, dying) = (Instance::start(&at).await, Instance::start(&at).await);
    let reader = Reader::new(&at);
    one.connect("tablet", "ada");
    until(Some("tablet".to_owned()), async || reader.cached("connection:ada").await).await;
    dying.connect("phone", "ada");
    for n in 0..300 {
        dying.connect(&format!("c{n}"), &format!("user {n}"));
    }
    until(entries("phone", r#"["tablet","phone"]"#), async || reader.entries("ada").await).await;
    let keys = async || reader.run::<Vec<String>>(&["KEYS", "TeleDoctor:connection*"]).await.len();
    until(602, keys).await;
    drop(dying);
    until(entries("tablet", r#"["tablet"]"#), async || reader.entries("ada").await).await;
    until(2, keys).await;
}

#[tokio::test]
async fn an_instance_that_ends_takes_its_entries_along() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    let reader = Reader::new(&redis.connection_string());
    for n in 0..300 {
        here.connect(&format!("c{n}"), &format!("user {n}"));
    }
    here.directory.close().await;
    assert_eq!(reader.run::<Vec<String>>(&["KEYS", "TeleDoctor:connection*"]).await, [""; 0]);
}
