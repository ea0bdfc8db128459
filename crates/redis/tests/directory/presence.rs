use std::time::Duration;

use hubline_directory::conformance::{Believed, until};
use hubline_redis::RedisOptions;
use hubline_testkit::{Cluster, RedisServer};

use crate::instance::{Instance, Reader, options};

#[tokio::test]
async fn a_large_group_is_read_in_pages_while_it_changes() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
    let id = |n: usize| format!("c{n:05}");
    for n in 0..3500 {
        one.connect(&id(n), Some("ada"));
        one.join(&id(n), "g é: {x}");
    }
    until((3500, 1, 3500), async || other.counts("g é: {x}").await).await;
    let churn = async {
        for n in 0..3500 {
            if n % 7 == 0 {
                one.disconnect(&id(n));
                tokio::task::yield_now().await;
            }
        }
    };
    let (mut watched, ()) = tokio::join!(Believed::watch(&*other.hub, "g é: {x}"), churn);
    let expected: Vec<String> = (0..3500).filter(|n| n % 7 != 0).map(id).collect();
    watched.until(&expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

/// With heartbeats an hour apart nothing else can bring them.
async fn changes_come_by_channel(connection_string: &str) {
    let mut options = options();
    options.heartbeat = Duration::from_secs(3600);
    let mut redis: RedisOptions = connection_string.parse().unwrap();
    // What was left by those before would live as long.
    redis.instance_name = Some(connection_string.to_owned());
    let one = Instance::start_as(redis.clone(), options.clone()).await;
    let other = Instance::start_as(redis, options).await;
    one.reached().await;
    other.reached().await;
    let mut watched = Believed::watch(&*other.hub, "g").await;
    for id in ["a", "b"] {
        one.connect(id, Some("ada"));
        one.join(id, "g");
        watched.until(&["a", "b"][..usize::from(id == "b") + 1]).await;
    }
    one.disconnect("a");
    watched.until(&["b"]).await;
}

#[tokio::test]
async fn changes_come_at_once() {
    let redis = RedisServer::start().await.unwrap();
    changes_come_by_channel(&format!("{},channelPrefix=a prefix:", redis.connection_string())).await;
    let cluster = Cluster::start(3).await.unwrap();
    let at = cluster.connection_string();
    changes_come_by_channel(&at).await;
    changes_come_by_channel(&format!("{at},channelPrefix=p:,shardedChannels=true")).await;
}

#[tokio::test]
async fn a_watcher_whose_channel_was_cut_off_misses_nothing() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
    let reader = Reader::new(&at);
    let mut watched = Believed::watch(&*other.hub, "g").await;
    watched.until(&[]).await;
    for n in 0..5 {
        let () = reader.run(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        let id = format!("c{n}");
        one.connect(&id, None);
        one.join(&id, "g");
    }
    watched.until(&["c0", "c1", "c2", "c3", "c4"]).await;
    assert_eq!(watched.snapshots, 1, "it was not behind, only Redis was away");
}

#[tokio::test]
async fn groups_that_nobody_watches_are_not_subscribed_to() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    let reader = Reader::new(&redis.connection_string());
    let channels = async || {
        let channels: Vec<String> = reader.run(&["PUBSUB", "CHANNELS", "*{hubline}:group*"]).await;
        channels.len()
    };
    let mut watches = Vec::new();
    for n in 0..50 {
        watches.push(here.hub.watch_group(format!("g{n}").into()).await);
        watches.push(here.hub.watch_group(format!("g{n}").into()).await);
    }
    assert_eq!(channels().await, 50);
    watches.truncate(1);
    until(1, channels).await;
    drop(watches);
    until(0, channels).await;
}
