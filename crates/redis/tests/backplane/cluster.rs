use std::collections::HashMap;

use hubline_backplane::conformance::Targets;
use hubline_backplane::{Backplane, Reach, Status, Target};
use hubline_testkit::Cluster;

use crate::instance::{Instance, conform, group};

const GROUPS: usize = 30;

async fn instance(cluster: &Cluster) -> Instance {
    let text = format!("{},channelPrefix=chat:,configCheckSeconds=1", cluster.connection_string());
    Instance::connected(&text).await
}

fn names() -> Vec<String> {
    (0..GROUPS).map(|n| format!("g{n}")).collect()
}

fn all_of(names: &[String]) -> Vec<Target> {
    names.iter().map(|name| Target::Subject(group(name))).collect()
}

/// Subscribers of a group's channel at one server, without those at others.
async fn subscribers(cluster: &Cluster, server: usize, name: &str) -> usize {
    let channel = format!("chat:Chat:group:{name}");
    let counted = cluster.servers[server].command(&["PUBSUB", "NUMSUB", &channel]).await.unwrap();
    counted.lines().last().unwrap().parse().unwrap()
}

/// Publishes to each group until every one has been heard, and then once more, which each hears once.
async fn meet(here: &Instance, there: &mut Instance, names: &[String], text: &str) {
    here.status(|status| *status == Status::Connected).await;
    there.status(|status| *status == Status::Connected).await;
    here.publish_until(names.len() as u64, &all_of(names), "up?").await;
    let published = here.publish(all_of(names), text).await;
    assert_eq!((published.receivers, published.reach), (names.len() as u64, Reach::Fleet));
    let mut missing: Vec<_> = all_of(names);
    while !missing.is_empty() {
        let (target, heard) = there.next().await;
        if heard == text {
            let at = missing.iter().position(|missing| *missing == target).expect("none twice");
            missing.swap_remove(at);
        }
    }
}

#[tokio::test]
async fn it_conforms_in_a_cluster() {
    let cluster = Cluster::start(3).await.unwrap();
    let (one, other) = (instance(&cluster).await, instance(&cluster).await);
    conform(&one.backplane, &other.backplane, Targets::OnSeveralNodes).await;
}

#[tokio::test]
async fn channels_are_where_stack_exchange_redis_has_them() {
    let cluster = Cluster::start(3).await.unwrap();
    let here = instance(&cluster).await;
    for name in ["g", "{g}", "é😀"] {
        here.hub.subscribe(group(name)).await;
        let without_prefix = format!("Chat:group:{name}");
        let slot = cluster.slot_of(&without_prefix).await.unwrap();
        for server in 0..3 {
            let is_owner = usize::from(slot) * 3 / 16384 == server;
            assert_eq!(
                subscribers(&cluster, server, name).await,
                usize::from(is_owner),
                "{name} at {server}"
            );
        }
    }
    let published = here.publish(vec![Target::Subject(group("{g}"))], "counted").await;
    assert_eq!(published.receivers, 1);
}

#[tokio::test]
async fn a_master_that_dies_is_followed_by_its_replica() {
    let mut cluster = Cluster::start_with_replicas(3).await.unwrap();
    let here = instance(&cluster).await;
    let mut there = instance(&cluster).await;
    let names = names();
    for name in &names {
        there.hub.subscribe(group(name)).await;
    }
    meet(&here, &mut there, &names, "before").await;

    cluster.servers[1].stop().await.unwrap();
    here.lost().await;
    there.lost().await;
    let published = here.publish(all_of(&names), "meanwhile").await;
    assert!(published.receivers > 0, "those of the others are heard");
    cluster.servers[4].command_until(&["ROLE"], |role| role.starts_with("master")).await.unwrap();
    meet(&here, &mut there, &names, "on the replica").await;

    cluster.servers[1].start_again().await.unwrap();
    cluster.servers[1].command_until(&["ROLE"], |role| role.starts_with("slave")).await.unwrap();
    meet(&here, &mut there, &names, "with a replica again").await;
}

/// Three instances that listen to each other in all groups.
pub(crate) async fn fleet_of_three(text: &str) -> Vec<Instance> {
    let mut fleet = Vec::new();
    for _ in 0..3 {
        let instance = Instance::connected(text).await;
        for name in names() {
            instance.hub.subscribe(group(&name)).await;
        }
        fleet.push(instance);
    }
    for instance in &fleet {
        instance.publish_until(3 * GROUPS as u64, &all_of(&names()), "all there?").await;
    }
    fleet
}

/// Each publishes this many to each group, numbered from `first` on.
pub(crate) async fn send_numbers(fleet: &[Instance], numbers: std::ops::Range<usize>) {
    for (sender, instance) in fleet.iter().enumerate() {
        for n in numbers.clone() {
            instance.publish(all_of(&names()), &format!("{sender} {n}")).await;
        }
    }
}

/// Reads until every sender has sent this number to each group: each number once, and in order.
pub(crate) async fn hear_all_numbers(fleet: &mut [Instance], last: usize) {
    let senders = fleet.len();
    // On a machine that is too busy for its cluster.
    let unknown: u64 = fleet.iter().map(|instance| instance.backplane.statistics().unknown).sum();
    assert_eq!(unknown, 0, "nobody lost a link to a master that was alive");
    for instance in fleet {
        let (mut next_of, mut missing) = (HashMap::new(), senders * GROUPS);
        while missing > 0 {
            let (target, text) = instance.next().await;
            let Some((sender, n)) = text.split_once(' ') else { panic!("{text}") };
            let Ok(n) = n.parse::<usize>() else { continue };
            let next = next_of.entry((format!("{target:?}"), sender.to_owned())).or_insert(0);
            assert_eq!(n, *next, "of {sender} to {target:?}");
            *next += 1;
            missing -= usize::from(n == last);
        }
        assert!(instance.is_quiet());
        let statistics = instance.backplane.statistics();
        assert_eq!((statistics.waiting, statistics.refused, statistics.expired), (0, 0, 0), "{statistics:?}");
    }
}

/// What is sent while a master is gone, and after.
pub(crate) async fn nothing_is_lost_in_a_failover(options: &str) {
    let mut cluster = Cluster::start_with_replicas(3).await.unwrap();
    let mut fleet = fleet_of_three(&format!("{}{options}", cluster.connection_string())).await;
    cluster.servers[1].stop().await.unwrap();
    for instance in &fleet {
        instance.lost().await;
    }
    send_numbers(&fleet, 0..5).await;
    for instance in &fleet {
        assert!(instance.backplane.statistics().queued > 0);
        instance.status(|status| *status == Status::Connected).await;
    }
    send_numbers(&fleet, 5..6).await;
    hear_all_numbers(&mut fleet, 5).await;
}

#[tokio::test]
async fn what_is_sent_during_a_failover_reaches_the_others_once_and_in_order() {
    nothing_is_lost_in_a_failover(",channelPrefix=chat:").await;
}

#[tokio::test]
async fn slots_that_move_take_their_channels_along() {
    let mut cluster = Cluster::start(3).await.unwrap();
    let here = instance(&cluster).await;
    let mut there = instance(&cluster).await;
    let names = names();
    for name in &names {
        there.hub.subscribe(group(name)).await;
    }
    let mut slots = Vec::new();
    let mut of_first = Vec::new();
    for name in &names {
        if subscribers(&cluster, 0, name).await == 1 {
            slots.push(cluster.slot_of(&format!("Chat:group:{name}")).await.unwrap());
            of_first.push(name);
        }
    }
    let new = cluster.add_master().await.unwrap();
    // The second time a master is left without slots.
    for (from, to, text) in [(0, new, "moved"), (new, 0, "moved back")] {
        cluster.move_slots(slots.iter().copied(), from, to).await.unwrap();
        for name in &of_first {
            let channel = format!("chat:Chat:group:{name}");
            for (server, expected) in [(to, "1"), (from, "0")] {
                let numsub = ["PUBSUB", "NUMSUB", &channel];
                let server = &cluster.servers[server];
                server.command_until(&numsub, |answer| answer.ends_with(expected)).await.unwrap();
            }
        }
        meet(&here, &mut there, &names, text).await;
    }
}

#[tokio::test]
async fn a_master_that_is_frozen_is_left() {
    let cluster = Cluster::start_with_replicas(3).await.unwrap();
    let at = format!("{},asyncTimeout=500,connectTimeout=500", cluster.connection_string());
    let (here, mut there) = (Instance::connected(&at).await, Instance::connected(&at).await);
    let names = names();
    for name in &names {
        there.hub.subscribe(group(name)).await;
    }
    cluster.servers[0].pause().unwrap();
    cluster.servers[3].command_until(&["ROLE"], |role| role.starts_with("master")).await.unwrap();
    here.publish_until(names.len() as u64, &all_of(&names), "on the replica").await;
    meet(&here, &mut there, &names, "without the frozen one").await;
    cluster.servers[0].resume().unwrap();
    cluster.servers[0].command_until(&["ROLE"], |role| role.starts_with("slave")).await.unwrap();
    meet(&here, &mut there, &names, "with it as a replica").await;
}
