//! A join costs what a join costs, whatever its connection is in already.

use std::ops::Range;

use hubline_directory::conformance::{Believed, until};
use hubline_testkit::RedisServer;

use crate::instance::{Instance, Reader};

fn group(n: usize) -> String {
    format!("room of the patient number {n:05}")
}

fn members(groups: Range<usize>) -> Vec<String> {
    groups.map(group).collect()
}

/// A number that Redis tells of itself.
async fn info(reader: &Reader, section: &str, name: &str) -> f64 {
    let info: String = reader.run(&["INFO", section]).await;
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().parse().unwrap()
}

async fn joined(reader: &Reader, id: &str) -> Vec<String> {
    reader.run(&["ZRANGE", &format!("TeleDoctor:{{hubline}}:joined:Chat:{id}"), "0", "-1"]).await
}

#[tokio::test]
async fn three_thousand_joins_cost_no_more_each_than_the_first() {
    const JOINS: usize = 3000;
    /// A join in a call of its own takes fewer, with all that such a call carries.
    const BYTES_PER_JOIN: f64 = 300.0;
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    let reader = Reader::new(&redis.connection_string());
    here.connect("flooder", None);
    here.reached().await;
    let cpu =
        async || info(&reader, "cpu", "used_cpu_user").await + info(&reader, "cpu", "used_cpu_sys").await;
    let (bytes_before, cpu_before) = (info(&reader, "stats", "total_net_input_bytes").await, cpu().await);
    for n in 0..JOINS {
        here.join("flooder", &group(n));
        // As they come from a client: a few at a time.
        if n % 50 == 0 {
            here.reached().await;
        }
    }
    here.reached().await;
    let bytes = info(&reader, "stats", "total_net_input_bytes").await - bytes_before;
    println!(
        "{JOINS} joins of one connection: {bytes} bytes, {:.3} s of Redis' CPU",
        cpu().await - cpu_before
    );
    assert!(bytes < JOINS as f64 * BYTES_PER_JOIN, "{bytes} bytes");
    assert_eq!(joined(&reader, "flooder").await, members(0..JOINS));
}

#[tokio::test]
async fn leaves_are_told_one_by_one() {
    const GROUPS: usize = 1500;
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    let reader = Reader::new(&redis.connection_string());
    here.connect("a", Some("ada"));
    for n in 0..GROUPS {
        here.join("a", &group(n));
    }
    here.reached().await;
    assert_eq!(joined(&reader, "a").await.len(), GROUPS);
    let before = info(&reader, "stats", "total_net_input_bytes").await;
    here.hub.left(&"a".into(), &group(0).as_str().into());
    here.reached().await;
    let bytes = info(&reader, "stats", "total_net_input_bytes").await - before;
    assert!(bytes < 1000.0 * 30.0, "{bytes} bytes");
    assert_eq!(joined(&reader, "a").await, members(1..GROUPS));
    assert_eq!(here.counts(&group(0)).await, (1, 1, 0));
}

#[tokio::test]
async fn many_groups_are_written_and_removed_a_part_at_a_time() {
    const GROUPS: usize = 3500;
    let mut redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
    let reader = Reader::new(&at);
    for id in ["a", "b"] {
        one.connect(id, Some("ada"));
        for n in 0..GROUPS {
            one.join(id, &group(n));
        }
    }
    let last = group(GROUPS - 1);
    until((2, 1, 2), async || other.counts(&last).await).await;
    // Most of them are left while Redis is away, which comes back empty and is told what there is.
    redis.stop().await.unwrap();
    for n in 100..GROUPS {
        one.hub.left(&"a".into(), &group(n).as_str().into());
    }
    redis.start_again().await.unwrap();
    until((2, 1, 1), async || other.counts(&last).await).await;
    one.reached().await;
    assert_eq!(joined(&reader, "a").await, members(0..100));
    assert_eq!(joined(&reader, "b").await, members(0..GROUPS));

    let mut watched = Believed::watch(&*other.hub, &last).await;
    watched.until(&["b"]).await;
    one.disconnect("b");
    watched.until(&[]).await;
    one.reached().await;
    assert_eq!(joined(&reader, "b").await, members(0..0));
    assert_eq!(one.counts(&group(1)).await, (1, 1, 1));
    let calls = info_of_longest(&reader).await;
    assert!(calls <= 1200, "{calls} memberships changed in one call");
}

/// Most members that left a group, or came to one, in one call of a script: versions of the groups of one call are equal.
async fn info_of_longest(reader: &Reader) -> usize {
    let versions: Vec<String> = reader.run(&["HVALS", "TeleDoctor:{hubline}:groups:Chat"]).await;
    let mut counts = std::collections::HashMap::<String, usize>::new();
    for version in versions {
        *counts.entry(version).or_default() += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

#[tokio::test]
async fn what_redis_has_too_much_goes_also_where_nobody_names_it() {
    let mut redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let here = Instance::start(&at).await;
    let reader = Reader::new(&at);
    here.connect("a", Some("ada"));
    for n in 0..2500 {
        here.join("a", &group(n));
    }
    here.reached().await;
    redis.pause().unwrap();
    // More changes than are remembered one by one: the whole is compared.
    for n in 0..2499 {
        here.hub.left(&"a".into(), &group(n).as_str().into());
    }
    redis.resume().unwrap();
    until(members(2499..2500), async || {
        here.reached().await;
        joined(&reader, "a").await
    })
    .await;
    assert_eq!(here.counts(&group(7)).await, (1, 1, 0));
    assert_eq!(here.counts(&group(2499)).await, (1, 1, 1));
    redis.stop().await.unwrap();
}

#[tokio::test]
async fn a_dead_instance_with_many_groups_is_removed_a_part_at_a_time() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (one, dying) = (Instance::start(&at).await, Instance::start(&at).await);
    for id in ["a", "b", "c"] {
        dying.connect(id, Some(id));
        for n in 0..1400 {
            dying.join(id, &group(n));
        }
    }
    until((3, 3, 3), async || one.counts(&group(1399)).await).await;
    drop(dying);
    until((0, 0, 0), async || one.counts(&group(1399)).await).await;
    let reader = Reader::new(&at);
    until(Vec::<String>::new(), async || reader.run(&["KEYS", "*joined*"]).await).await;
    assert_eq!(reader.run::<i64>(&["HLEN", "TeleDoctor:{hubline}:groups:Chat"]).await, 0);
}
