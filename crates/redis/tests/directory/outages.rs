//! Redis that goes, comes back empty, or has forgotten some of it; instances that die.

use std::time::Duration;

use hubline_directory::Scope;
use hubline_directory::conformance::{Believed, until};
use hubline_testkit::RedisServer;
use tokio::time::timeout;

use crate::instance::{Instance, Reader};

fn fill(instance: &Instance, name: &str, count: usize) {
    for n in 0..count {
        let id = format!("{name}{n:03}");
        instance.connect(&id, Some(&format!("user {n}")));
        instance.join(&id, "g");
    }
}

#[tokio::test]
async fn what_a_dead_instance_held_is_removed_once() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
    let dying = Instance::start(&at).await;
    fill(&one, "one", 10);
    fill(&dying, "dying", 700);
    dying.connect("phone", Some("user 3"));
    until((711, 700, 710), async || one.counts("g").await).await;
    let mut watched = Believed::watch(&*one.hub, "g").await;
    let mut watched_elsewhere = Believed::watch(&*other.hub, "g").await;
    watched_elsewhere.step().await;
    assert_eq!(watched_elsewhere.members.len(), 710);
    drop(dying);

    until((10, 10, 10), async || one.counts("g").await).await;
    let names: Vec<String> = (0..10).map(|n| format!("one{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    watched.until(&names).await;
    watched_elsewhere.until(&names).await;
    let reader = Reader::new(&at);
    let instances: Vec<String> = reader.run(&["ZRANGE", "TeleDoctor:{hubline}:instances", "0", "-1"]).await;
    assert_eq!(instances.len(), 2);
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_is_told_everything_again() {
    let mut redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
    fill(&one, "a", 300);
    fill(&other, "b", 300);
    until((600, 300, 600), async || one.counts("g").await).await;
    let mut watched = Believed::watch(&*one.hub, "g").await;
    watched.step().await;
    redis.stop().await.unwrap();

    // Meanwhile this instance answers for itself, at once, and goes on.
    until(Scope::ThisInstance, async || one.hub.connection_count().await.scope).await;
    assert_eq!(one.counts("g").await, (300, 300, 300));
    one.disconnect("a000");
    one.connect("a-new", None);
    one.join("a-new", "g");
    other.disconnect("b000");
    let passing = |n: usize| format!("passing{n}");
    for n in 0..10_000 {
        one.connect(&passing(n), Some(&passing(n)));
        one.join(&passing(n), "g");
        one.disconnect(&passing(n));
    }
    redis.start_again().await.unwrap();

    until((600 - 1, 299, 600 - 1), async || one.counts("g").await).await;
    until((600 - 1, 299, 600 - 1), async || other.counts("g").await).await;
    assert_eq!(one.hub.connection_count().await.scope, Scope::Fleet);
    // Watchers learn of what has changed, and nobody who stayed is said to have left.
    let gone_for_the_watcher = async {
        while watched.members.len() != 599 || watched.members.iter().any(|m| m.connection.as_str() == "b000")
        {
            watched.step().await;
            assert!(watched.members.len() >= 599, "nobody leaves because Redis has lost it");
        }
    };
    timeout(Duration::from_secs(20), gone_for_the_watcher).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_has_lost_some_writes_is_healed() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
    fill(&one, "a", 20);
    fill(&other, "b", 20);
    until((40, 20, 40), async || one.counts("g").await).await;
    // As an older copy would have it: every key as it was before the writes that follow.
    let reader = Reader::new(&at);
    let mut copy = Vec::new();
    for key in reader.keys().await {
        let dump: Vec<u8> = reader.run(&["DUMP", &key]).await;
        copy.push((key, dump));
    }
    one.disconnect("a001");
    one.connect("a-new", Some("new user"));
    one.join("a-new", "g");
    until((40, 21, 40), async || one.counts("g").await).await;
    reader.restore(&copy).await;

    until((40, 21, 40), async || one.counts("g").await).await;
    until((40, 21, 40), async || other.counts("g").await).await;
    assert_eq!(one.hub.find("a001".into()).await.value, None);
    let mut watched = Believed::watch(&*other.hub, "g").await;
    watched.step().await;
    assert!(watched.members.iter().any(|member| member.connection.as_str() == "a-new"));
    let instances: Vec<String> = reader.run(&["ZRANGE", "TeleDoctor:{hubline}:instances", "0", "-1"]).await;
    assert_eq!(instances.len(), 2, "{instances:?}");
}

#[tokio::test]
async fn an_instance_that_was_taken_for_dead_comes_back() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
    fill(&one, "a", 250);
    until((250, 250, 250), async || other.counts("g").await).await;
    let mut watched = Believed::watch(&*one.hub, "g").await;
    watched.step().await;
    // Its lease ends, as if it had been stopped for long, until the other one sees it before it goes on.
    let reader = Reader::new(&at);
    let key = "TeleDoctor:{hubline}:instances";
    let name = other.hub.find("a000".into()).await.value.unwrap().instance;
    until(true, async || {
        let () = reader.run(&["ZADD", key, "XX", "1", &name]).await;
        let names: Vec<String> = reader.run(&["ZRANGE", key, "0", "-1"]).await;
        names.iter().any(|name| name.ends_with(".2"))
    })
    .await;
    one.connect("last", None);
    until((251, 250, 250), async || other.counts("g").await).await;
    until((251, 250, 250), async || one.counts("g").await).await;
    assert_eq!(watched.members.len(), 250);
}

#[tokio::test]
async fn a_frozen_redis_holds_nobody_up() {
    let redis = RedisServer::start().await.unwrap();
    let at = format!("{},asyncTimeout=300,connectTimeout=300", redis.connection_string());
    let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
    fill(&one, "a", 10);
    until(10, async || other.hub.connection_count().await.value).await;
    redis.pause().unwrap();
    for n in 0..10 {
        one.disconnect(&format!("a{n:03}"));
    }
    fill(&one, "b", 20);
    let answer = timeout(Duration::from_secs(10), one.hub.connection_count()).await.unwrap();
    assert_eq!((answer.value, answer.scope), (20, Scope::ThisInstance));
    let mut watched = timeout(Duration::from_secs(10), Believed::watch(&*one.hub, "g")).await.unwrap();
    watched.step().await;
    assert_eq!(watched.members.len(), 20);
    redis.resume().unwrap();
    until((20, 20, 20), async || other.counts("g").await).await;
    until((20, 20, 20), async || one.counts("g").await).await;
}

#[tokio::test]
async fn a_redis_that_is_full_is_told_later() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
    let reader = Reader::new(&at);
    let () = reader.run(&["CONFIG", "SET", "maxmemory", "1"]).await;
    fill(&one, "a", 10);
    until(Scope::ThisInstance, async || one.hub.connection_count().await.scope).await;
    assert_eq!(one.counts("g").await, (10, 10, 10));
    let () = reader.run(&["CONFIG", "SET", "maxmemory", "0"]).await;
    until((10, 10, 10), async || other.counts("g").await).await;
}

#[tokio::test]
async fn redis_may_come_later() {
    let mut redis = RedisServer::absent().unwrap();
    let here = Instance::start_with(&redis.connection_string(), crate::instance::options()).await;
    fill(&here, "a", 5);
    let answer = here.hub.connection_count().await;
    assert_eq!((answer.value, answer.scope), (5, Scope::ThisInstance));
    redis.start_again().await.unwrap();
    let there = Instance::start(&redis.connection_string()).await;
    until((5, 5, 5), async || there.counts("g").await).await;
}
