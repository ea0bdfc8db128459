use std::time::Duration;

use hubline_backplane::conformance::Targets;
use hubline_backplane::{Backplane, Reach, Status, Target};
use hubline_redis::{RedisClient, redis};
use hubline_testkit::{RedisServer, Sentinels};

use crate::instance::{Instance, conform, group};

/// Checks that both hear each other, whatever has happened before.
async fn meet(here: &mut Instance, there: &mut Instance, text: &str) {
    for instance in [&*here, &*there] {
        instance.status(|status| *status == Status::Connected).await;
    }
    // One of them may have come back before the other.
    here.publish_until(2, &[Target::Subject(group("g"))], text).await;
    while here.next().await.1 != text {}
    while there.next().await.1 != text {}
}

async fn instance(connection_string: &str) -> Instance {
    let instance = Instance::connected(&format!("{connection_string},configCheckSeconds=1")).await;
    instance.hub.subscribe(group("g")).await;
    instance
}

#[tokio::test]
async fn it_conforms_behind_sentinels() {
    let fleet = Sentinels::start().await.unwrap();
    let one = Instance::connected(&fleet.connection_string()).await.backplane;
    let other = Instance::connected(&fleet.connection_string()).await.backplane;
    conform(&one, &other, Targets::OnOneNode).await;
}

#[tokio::test]
async fn a_master_that_dies_is_followed_by_its_replica_and_comes_back_as_one() {
    let mut fleet = Sentinels::start().await.unwrap();
    let mut here = instance(&fleet.connection_string()).await;
    let mut there = instance(&fleet.connection_string()).await;
    meet(&mut here, &mut there, "before").await;

    fleet.servers[0].stop().await.unwrap();
    here.lost().await;
    assert_eq!(here.publish(vec![Target::Subject(group("nobody"))], "meanwhile").await.receivers, 0);
    fleet.agree_on(1).await.unwrap();
    meet(&mut here, &mut there, "on the replica").await;

    fleet.servers[0].start_again().await.unwrap();
    fleet.servers[0].command_until(&["ROLE"], |role| role.starts_with("slave")).await.unwrap();
    let promoted = fleet.servers[1].command(&["PUBSUB", "NUMSUB", "Chat:all"]).await.unwrap();
    assert_eq!(promoted, "Chat:all\n2", "both have stayed");
    meet(&mut here, &mut there, "with a replica again").await;
}

/// Three that know of each other and have time: who is not told of a failover asks a minute later.
async fn fleet_of_three(connection_string: &str) -> Vec<Instance> {
    let mut instances = Vec::new();
    for _ in 0..3 {
        let instance = Instance::connected(&format!("{connection_string},configCheckSeconds=60")).await;
        instance.hub.subscribe(group("g")).await;
        instances.push(instance);
    }
    for instance in &instances {
        instance.publish_until(3, &[Target::All], "all there?").await;
    }
    instances
}

/// What each sends once it has lost its links is heard by all at the next master.
async fn nothing_is_lost(instances: &mut [Instance]) {
    const EACH: usize = 200;
    for (sender, instance) in instances.iter().enumerate() {
        instance.lost().await;
        for n in 0..EACH {
            let target = if n % 2 == 0 { Target::All } else { Target::Subject(group("g")) };
            let published = instance.publish(vec![target], &format!("{sender} {n}")).await;
            assert_eq!(published.reach, Reach::Queued);
        }
    }
    for instance in &*instances {
        instance.status(|status| *status == Status::Connected).await;
        instance.publish(vec![Target::All], "end").await;
    }
    for instance in instances {
        instance.hears_each_once_in_order(3, EACH).await;
        let statistics = instance.backplane.statistics();
        assert_eq!((statistics.replayed, statistics.unknown, statistics.waiting), (EACH as u64, 0, 0));
    }
}

#[tokio::test]
async fn what_is_sent_during_a_failover_reaches_the_others_once_and_in_order() {
    let mut fleet = Sentinels::start().await.unwrap();
    let mut instances = fleet_of_three(&fleet.connection_string()).await;
    fleet.servers[0].stop().await.unwrap();
    nothing_is_lost(&mut instances).await;
}

#[tokio::test]
async fn what_is_sent_while_a_master_is_frozen_reaches_the_others_once_and_in_order() {
    let fleet = Sentinels::start().await.unwrap();
    // Attempts to reach the frozen one would take longer than the failover.
    let text = format!("{},asyncTimeout=1000,connectTimeout=60000", fleet.connection_string());
    let mut instances = fleet_of_three(&text).await;
    fleet.servers[0].pause().unwrap();
    nothing_is_lost(&mut instances).await;
    fleet.servers[0].resume().unwrap();
    fleet.servers[0].command_until(&["ROLE"], |role| role.starts_with("slave")).await.unwrap();
    for (sender, instance) in instances.iter().enumerate() {
        assert_eq!(instance.publish(vec![Target::All], &format!("{sender} 0")).await.receivers, 3);
        instance.publish(vec![Target::All], "end").await;
    }
    for instance in &mut instances {
        instance.hears_each_once_in_order(3, 1).await;
    }
}

#[tokio::test]
async fn a_master_that_is_frozen_is_left() {
    let fleet = Sentinels::start().await.unwrap();
    let text = format!("{},asyncTimeout=60000", fleet.connection_string());
    let (mut here, mut there) = (instance(&text).await, instance(&text).await);
    fleet.servers[0].pause().unwrap();
    fleet.agree_on(1).await.unwrap();
    // Its links do not end, and nobody waits for the minute that they may be silent.
    fleet.servers[1].command_until(&["PUBSUB", "NUMSUB", "Chat:all"], |n| n == "Chat:all\n2").await.unwrap();
    meet(&mut here, &mut there, "on the replica").await;
    fleet.servers[0].resume().unwrap();
    meet(&mut here, &mut there, "the old one is no master").await;
}

#[tokio::test]
async fn a_failover_that_was_asked_for_is_followed() {
    let fleet = Sentinels::start().await.unwrap();
    let mut here = instance(&fleet.connection_string()).await;
    let mut there = instance(&fleet.connection_string()).await;
    assert_eq!(fleet.sentinels[0].command(&["SENTINEL", "FAILOVER", "mymaster"]).await.unwrap(), "OK");
    fleet.agree_on(1).await.unwrap();
    fleet.servers[1].command_until(&["PUBSUB", "NUMSUB", "Chat:all"], |n| n == "Chat:all\n2").await.unwrap();
    meet(&mut here, &mut there, "on the replica").await;
}

#[tokio::test]
async fn commands_follow_the_master() {
    let mut fleet = Sentinels::start().await.unwrap();
    let text = format!("{},configCheckSeconds=1", fleet.connection_string());
    let client = RedisClient::new(text.parse().unwrap()).unwrap();
    let set = |value: &str| {
        let mut set = redis::cmd("SET");
        set.arg("key").arg(value);
        client.query::<()>(set)
    };
    set("before").await.unwrap();
    fleet.servers[0].stop().await.unwrap();
    fleet.agree_on(1).await.unwrap();
    // At first it may still learn that the old one is gone.
    let writing = async {
        while set("after").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), writing).await.unwrap();
    assert_eq!(fleet.servers[1].command(&["GET", "key"]).await.unwrap(), "after");
}

#[tokio::test]
async fn sentinels_and_servers_may_have_passwords_of_their_own() {
    let fleet = Sentinels::start_with_passwords("of redis", "of sentinels").await.unwrap();
    let text = fleet.connection_string();
    Instance::connected(&format!("{text},password=of redis,sentinelPassword=of sentinels")).await;
    let refused = Instance::start(&format!("{text},password=of redis")).await;
    refused
        .status(|status| matches!(status, Status::Disconnected(reason) if reason.contains("password")))
        .await;
}

#[tokio::test]
async fn what_is_no_sentinel_or_knows_no_master_is_told() {
    let fleet = Sentinels::start().await.unwrap();
    let redis = RedisServer::start().await.unwrap();
    let (sentinel, redis) = (fleet.sentinels[0].connection_string(), redis.connection_string());
    let cases = [
        (format!("{sentinel},serviceName=other"), "knows no master 'other'"),
        (format!("{redis},serviceName=mymaster"), "serviceName is for endpoints that are Sentinels"),
        (sentinel, "it is a Sentinel, expected serviceName"),
    ];
    for (text, expected) in cases {
        let instance = Instance::start(&text).await;
        instance
            .status(|status| matches!(status, Status::Disconnected(reason) if reason.contains(expected)))
            .await;
    }
}

#[tokio::test]
async fn without_sentinels_the_master_among_the_endpoints_is_used() {
    let first = RedisServer::start().await.unwrap();
    let second = RedisServer::start_replica_of(&first, &[]).await.unwrap();
    let text = format!("{},{}", second.connection_string(), first.connection_string());
    let (mut here, mut there) = (instance(&text).await, instance(&text).await);
    assert_eq!(first.command(&["PUBSUB", "NUMSUB", "Chat:all"]).await.unwrap(), "Chat:all\n2");
    meet(&mut here, &mut there, "on the master").await;

    second.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    first.command(&["REPLICAOF", "127.0.0.1", &second.port().to_string()]).await.unwrap();
    second.command_until(&["PUBSUB", "NUMSUB", "Chat:all"], |n| n == "Chat:all\n2").await.unwrap();
    meet(&mut here, &mut there, "on the other").await;
    assert_eq!(here.publish(vec![Target::All], "x").await.reach, Reach::Fleet);
}
