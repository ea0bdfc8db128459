//! A way to Redis that is slow, and a Redis that stands still for longer than anybody waits.

use std::collections::BTreeSet;
use std::time::Duration;

use hubline_backplane::{Backplane, Reach, Status, Target};
use hubline_testkit::{RedisServer, SlowLink};

use crate::instance::{Instance, publication};

/// Which connection through the link subscribes; the one before it publishes.
const SUBSCRIBING: u64 = 1;

/// One that is behind the link, and one that is not.
async fn fleet(redis: &RedisServer, options: &str) -> (SlowLink, Instance, Instance) {
    let link = SlowLink::to(redis.port()).await.unwrap();
    let here = Instance::connected(&format!("{}{options}", link.connection_string())).await;
    let there = Instance::connected(&redis.connection_string()).await;
    for instance in [&here, &there] {
        instance.publish_until(2, &[Target::All], "all there?").await;
    }
    (link, here, there)
}

async fn post(from: &Instance, numbers: std::ops::Range<usize>, padding: &str) {
    for n in numbers {
        from.hub.post(publication(vec![Target::All], &format!("0 {n} {padding}"))).await.unwrap();
    }
}

/// Each number once and in order.
async fn hears(instance: &mut Instance, numbers: std::ops::Range<usize>) {
    for n in numbers {
        let text = loop {
            let text = instance.next().await.1;
            if text != "all there?" {
                break text;
            }
        };
        assert_eq!(text.split(' ').nth(1), Some(&*n.to_string()));
    }
}

#[tokio::test]
async fn answers_that_take_a_second_are_answers() {
    let redis = RedisServer::start().await.unwrap();
    let (link, mut here, mut there) = fleet(&redis, "").await;
    let mut status = here.backplane.status();
    status.mark_unchanged();
    link.delay(Duration::from_millis(500));
    post(&here, 0..500, "").await;
    post(&there, 500..501, "").await;
    hears(&mut there, 500..501).await;
    hears(&mut there, 0..500).await;
    hears(&mut here, 500..501).await;
    hears(&mut here, 0..500).await;
    here.hub.flush().await;
    assert!(!status.has_changed().unwrap(), "{:?}", *status.borrow());
    let statistics = here.backplane.statistics();
    assert_eq!((statistics.published, statistics.queued, statistics.unknown), (501, 0, 0), "{statistics:?}");
}

#[tokio::test]
async fn a_link_that_falls_behind_loses_and_doubles_nothing_and_holds_up_nobody_here() {
    const MESSAGES: usize = 1000;
    let redis = RedisServer::start().await.unwrap();
    let (link, mut here, mut there) = fleet(&redis, ",asyncTimeout=1000").await;
    // It would take a minute and a half for all of them.
    link.throttle(Some(25_000));
    let padding = "x".repeat(1000);
    post(&here, 0..MESSAGES / 2, &padding).await;
    here.lost().await;
    post(&here, MESSAGES / 2..MESSAGES, &padding).await;
    hears(&mut here, 0..MESSAGES).await;
    let statistics = here.backplane.statistics();
    assert!(statistics.waiting >= 500 && there.delivered.len() < 500, "{statistics:?}");

    link.throttle(None);
    hears(&mut there, 0..MESSAGES).await;
    here.status(|status| *status == Status::Connected).await;
    post(&here, MESSAGES..MESSAGES + 1, "").await;
    for instance in [&mut here, &mut there] {
        hears(instance, MESSAGES..MESSAGES + 1).await;
        assert!(instance.is_quiet());
    }
    let statistics = here.backplane.statistics();
    assert_eq!((statistics.unknown, statistics.overflowed, statistics.refused), (0, 0, 0), "{statistics:?}");
}

#[tokio::test]
async fn what_a_frozen_redis_has_been_sent_and_what_has_waited_arrives_once() {
    let redis = RedisServer::start().await.unwrap();
    let text = format!("{},asyncTimeout=200,connectTimeout=200", redis.connection_string());
    let mut fleet = [Instance::connected(&text).await, Instance::connected(&text).await];
    for instance in &fleet {
        instance.publish_until(2, &[Target::All], "all there?").await;
    }
    redis.pause().unwrap();
    for (sender, instance) in fleet.iter().enumerate() {
        for n in 0..100 {
            let message = publication(vec![Target::All], &format!("{sender} {n}"));
            instance.hub.post(message).await.unwrap();
        }
        // Nobody waits for Redis any more, neither on the links that there were nor for others.
        let is_given_up = |status: &Status| matches!(status, Status::Disconnected(reason) if reason.contains("does not answer within 200 ms"));
        instance.status(is_given_up).await;
        for n in 100..200 {
            let published = instance.publish(vec![Target::All], &format!("{sender} {n}")).await;
            assert_eq!(published.reach, Reach::Queued);
        }
    }
    for (receiver, instance) in fleet.iter_mut().enumerate() {
        for n in 0..200 {
            while instance.next().await.1 != format!("{receiver} {n}") {}
        }
        assert!(instance.is_quiet(), "only its own has arrived, at once");
    }
    redis.resume().unwrap();
    for instance in &fleet {
        instance.status(|status| *status == Status::Connected).await;
        instance.publish(vec![Target::All], "end").await;
    }
    for (receiver, instance) in fleet.iter_mut().enumerate() {
        let (mut next, mut ends) = (0, 0);
        while ends < 2 {
            match instance.next().await.1 {
                end if end == "end" => ends += 1,
                text => {
                    assert_eq!(text, format!("{} {next}", 1 - receiver));
                    next += 1;
                }
            }
        }
        assert_eq!(next, 200);
        let statistics = instance.backplane.statistics();
        assert_eq!((statistics.replayed, statistics.unknown), (100, 0), "{statistics:?}");
    }
}

#[tokio::test]
async fn what_a_link_has_swallowed_is_unknown_and_never_doubled() {
    let redis = RedisServer::start().await.unwrap();
    let (link, mut here, mut there) = fleet(&redis, ",asyncTimeout=200").await;
    link.stall();
    post(&here, 0..100, "").await;
    here.lost().await;
    post(&here, 100..200, "").await;
    hears(&mut here, 0..200).await;
    // Other links are had, and the first hundred given up.
    hears(&mut there, 100..200).await;
    here.status(|status| *status == Status::Connected).await;
    // Behind all that was kept.
    here.publish(vec![Target::All], "0 200").await;
    for instance in [&mut here, &mut there] {
        hears(instance, 200..201).await;
    }
    let statistics = here.backplane.statistics();
    assert_eq!((statistics.unknown, statistics.replayed), (100, 100), "{statistics:?}");

    // It turns out that they had been on their way.
    link.go_on();
    let mut late = BTreeSet::new();
    while late.len() < 100 {
        let text = there.next().await.1;
        assert!(late.insert(text.clone()), "{text} twice");
    }
    post(&here, 201..202, "").await;
    for instance in [&mut here, &mut there] {
        hears(instance, 201..202).await;
        assert!(instance.is_quiet());
    }
}

/// Publishes through a subscribing link that brings nothing back: each is answered, and the others have it.
async fn publish_unechoed(
    link: &SlowLink,
    here: &Instance,
    there: &mut Instance,
    numbers: std::ops::Range<usize>,
) {
    link.stall_one(SUBSCRIBING);
    for n in numbers.clone() {
        let published = here.publish(vec![Target::All], &format!("0 {n}")).await;
        assert_eq!((published.receivers, published.reach), (2, Reach::Fleet));
    }
    hears(there, numbers).await;
}

#[tokio::test]
async fn what_is_answered_and_late_comes_before_what_is_not_answered() {
    let redis = RedisServer::start().await.unwrap();
    let (link, mut here, mut there) = fleet(&redis, ",asyncTimeout=200").await;
    publish_unechoed(&link, &here, &mut there, 0..10).await;
    link.stall();
    post(&here, 10..20, "").await;
    hears(&mut here, 0..20).await;
    here.status(|status| *status == Status::Connected).await;
    post(&here, 20..21, "").await;
    for instance in [&mut here, &mut there] {
        hears(instance, 20..21).await;
    }
    link.go_on();
    hears(&mut there, 10..20).await;
    post(&here, 21..22, "").await;
    for instance in [&mut here, &mut there] {
        hears(instance, 21..22).await;
        assert!(instance.is_quiet());
    }
    assert_eq!(here.backplane.statistics().unknown, 10);
}

#[tokio::test]
async fn what_is_late_when_the_links_go_is_not_lost_here() {
    let redis = RedisServer::start().await.unwrap();
    let (link, mut here, mut there) = fleet(&redis, "").await;
    publish_unechoed(&link, &here, &mut there, 0..10).await;
    // The publishing link.
    redis.command(&["CLIENT", "KILL", "TYPE", "normal"]).await.unwrap();
    hears(&mut here, 0..10).await;
    for instance in [&here, &there] {
        instance.status(|status| *status == Status::Connected).await;
    }
    post(&here, 10..11, "").await;
    for instance in [&mut here, &mut there] {
        hears(instance, 10..11).await;
        assert!(instance.is_quiet());
    }
    assert_eq!(here.backplane.statistics().unknown, 0);
}

#[tokio::test]
async fn what_is_late_comes_before_what_redis_refuses() {
    let redis = RedisServer::start().await.unwrap();
    let (link, mut here, mut there) = fleet(&redis, "").await;
    publish_unechoed(&link, &here, &mut there, 0..10).await;
    redis.command(&["ACL", "SETUSER", "default", "-publish"]).await.unwrap();
    assert_eq!(here.publish(vec![Target::All], "0 10").await.reach, Reach::ThisInstance);
    redis.command(&["ACL", "SETUSER", "default", "+publish"]).await.unwrap();
    hears(&mut here, 0..11).await;
    link.go_on();
    post(&here, 11..12, "").await;
    for instance in [&mut here, &mut there] {
        hears(instance, 11..12).await;
        assert!(instance.is_quiet());
    }
}

#[tokio::test]
async fn what_is_late_when_another_server_is_to_be_used_is_heard() {
    let (redis, promoted) = (RedisServer::start().await.unwrap(), RedisServer::start().await.unwrap());
    let replicate = async |replica: &RedisServer, master: &RedisServer| {
        let port = master.port().to_string();
        replica.command(&["REPLICAOF", "127.0.0.1", &port]).await.unwrap();
    };
    replicate(&promoted, &redis).await;
    let options = format!(",{},configCheckSeconds=1", promoted.connection_string());
    let (link, mut here, mut there) = fleet(&redis, &options).await;
    link.stall_one(SUBSCRIBING);
    post(&there, 0..10, "").await;
    hears(&mut there, 0..10).await;
    promoted.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    replicate(&redis, &promoted).await;
    here.lost().await;
    link.go_on();
    hears(&mut here, 0..10).await;
    here.status(|status| *status == Status::Connected).await;
    assert!(here.is_quiet());
}
