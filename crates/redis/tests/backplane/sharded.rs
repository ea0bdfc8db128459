use hubline_backplane::conformance::Targets;
use hubline_backplane::{Backplane, Reach, Status, Target};
use hubline_testkit::{Cluster, RedisServer};

use crate::cluster::{fleet_of_three, hear_all_numbers, nothing_is_lost_in_a_failover, send_numbers};
use crate::instance::{Instance, conform, group};

async fn instance(cluster: &Cluster) -> Instance {
    let text = cluster.connection_string();
    // Who asks that seldom has to be told.
    Instance::connected(&format!("{text},channelPrefix=chat:,shardedChannels=true,configCheckSeconds=60"))
        .await
}

async fn subscribers(server: &RedisServer, name: &str) -> String {
    let channel = format!("chat:Chat:group:{name}");
    let counted = server.command(&["PUBSUB", "SHARDNUMSUB", &channel]).await.unwrap();
    counted.lines().last().unwrap().to_owned()
}

#[tokio::test]
async fn it_conforms_with_sharded_channels() {
    let cluster = Cluster::start(3).await.unwrap();
    let (one, other) = (instance(&cluster).await, instance(&cluster).await);
    conform(&one.backplane, &other.backplane, Targets::OnSeveralNodes).await;
}

#[tokio::test]
async fn sharded_channels_are_where_their_whole_names_belong() {
    let cluster = Cluster::start(3).await.unwrap();
    let here = instance(&cluster).await;
    for name in ["g", "h", "{g}", "é😀"] {
        here.hub.subscribe(group(name)).await;
        let slot = cluster.slot_of(&format!("chat:Chat:group:{name}")).await.unwrap();
        let owner = &cluster.servers[usize::from(slot) * 3 / 16384];
        assert_eq!(subscribers(owner, name).await, "1", "{name}");
    }
    let everybody = ["g", "h", "{g}"].map(|name| Target::Subject(group(name))).to_vec();
    let published = here.publish(everybody, "counted").await;
    assert_eq!((published.receivers, published.reach), (3, Reach::Fleet));
}

#[tokio::test]
async fn sharded_channels_follow_their_slots() {
    let cluster = Cluster::start(2).await.unwrap();
    let here = instance(&cluster).await;
    let mut there = instance(&cluster).await;
    there.hub.subscribe(group("moving")).await;
    there.hub.subscribe(group("{moving}")).await;
    let slot = cluster.slot_of("chat:Chat:group:moving").await.unwrap();
    let mut from = usize::from(slot >= 8192);
    for round in 0..4 {
        cluster.move_slots([slot], from, 1 - from).await.unwrap();
        from = 1 - from;
        let text = format!("round {round}");
        let targets = ["moving", "{moving}"].map(|name| Target::Subject(group(name)));
        // The publication finds its way at once, and the subscription by itself.
        here.publish_until(2, &targets, &text).await;
        assert_eq!(subscribers(&cluster.servers[from], "moving").await, "1");
        while there.next().await.1 != text {}
    }
}

#[tokio::test]
async fn sharded_channels_survive_a_failover() {
    let mut cluster = Cluster::start_with_replicas(3).await.unwrap();
    let here = instance(&cluster).await;
    let mut there = instance(&cluster).await;
    there.hub.subscribe(group("g")).await;
    let slot = cluster.slot_of("chat:Chat:group:g").await.unwrap();
    let master = usize::from(slot) * 3 / 16384;
    cluster.servers[master].stop().await.unwrap();
    here.lost().await;
    there.lost().await;
    cluster.servers[master + 3].command_until(&["ROLE"], |role| role.starts_with("master")).await.unwrap();
    for instance in [&here, &there] {
        instance.status(|status| *status == Status::Connected).await;
    }
    let target = Target::Subject(group("g"));
    here.publish_until(1, std::slice::from_ref(&target), "back").await;
    while there.next().await != (target.clone(), "back".to_owned()) {}
}

#[tokio::test]
async fn what_is_sent_during_a_failover_reaches_the_others_once_and_in_order() {
    nothing_is_lost_in_a_failover(",shardedChannels=true").await;
}

#[tokio::test]
async fn a_failover_that_was_asked_for_loses_nothing() {
    let cluster = Cluster::start_with_replicas(3).await.unwrap();
    let text = format!("{},shardedChannels=true,configCheckSeconds=1", cluster.connection_string());
    let mut fleet = fleet_of_three(&text).await;
    let promoted = &cluster.servers[4];
    assert_eq!(promoted.command(&["CLUSTER", "FAILOVER"]).await.unwrap(), "OK");
    let mut sent = 0;
    while !promoted.command(&["ROLE"]).await.unwrap().starts_with("master") {
        send_numbers(&fleet, sent..sent + 1).await;
        sent += 1;
    }
    promoted.command_until(&["PUBSUB", "SHARDCHANNELS"], |channels| !channels.is_empty()).await.unwrap();
    for instance in &fleet {
        instance.status(|status| *status == Status::Connected).await;
    }
    send_numbers(&fleet, sent..sent + 3).await;
    hear_all_numbers(&mut fleet, sent + 2).await;
}

#[tokio::test]
async fn what_a_cluster_refuses_while_it_is_down_is_sent_afterwards() {
    let mut cluster = Cluster::start(3).await.unwrap();
    for server in &cluster.servers {
        let set = ["CONFIG", "SET", "cluster-allow-pubsubshard-when-down", "no"];
        assert_eq!(server.command(&set).await.unwrap(), "OK");
    }
    let mut fleet = fleet_of_three(&format!("{},shardedChannels=true", cluster.connection_string())).await;
    cluster.servers[2].stop().await.unwrap();
    for server in &cluster.servers[..2] {
        server
            .command_until(&["CLUSTER", "INFO"], |info| info.starts_with("cluster_state:fail"))
            .await
            .unwrap();
    }
    send_numbers(&fleet, 0..5).await;
    for instance in &fleet {
        let statistics = instance.backplane.statistics();
        assert_eq!((statistics.waiting, statistics.refused), (150, 0), "{statistics:?}");
    }
    cluster.servers[2].start_again().await.unwrap();
    for instance in &fleet {
        instance.status(|status| *status == Status::Connected).await;
    }
    send_numbers(&fleet, 5..6).await;
    hear_all_numbers(&mut fleet, 5).await;
}

/// Its master is gone for good, and another one has been given one of its slots.
#[tokio::test]
async fn what_waits_goes_with_its_slot() {
    let mut cluster = Cluster::start(2).await.unwrap();
    for server in &cluster.servers {
        let set = ["CONFIG", "SET", "cluster-require-full-coverage", "no"];
        assert_eq!(server.command(&set).await.unwrap(), "OK");
    }
    let text = format!(
        "{},channelPrefix=chat:,shardedChannels=true,configCheckSeconds=1",
        cluster.connection_string()
    );
    let here = Instance::connected(&text).await;
    let mut there = Instance::connected(&text).await;
    let mut names = (0..).map(|n| format!("g{n}"));
    let (name, slot) = loop {
        let name = names.next().unwrap();
        let slot = cluster.slot_of(&format!("chat:Chat:group:{name}")).await.unwrap();
        if slot < 8192 {
            break (name, slot.to_string());
        }
    };
    let target = Target::Subject(group(&name));
    there.hub.subscribe(group(&name)).await;
    here.publish_until(1, std::slice::from_ref(&target), "there?").await;
    cluster.servers[0].stop().await.unwrap();
    here.lost().await;
    for n in 0..5 {
        assert_eq!(here.publish(vec![target.clone()], &n.to_string()).await.reach, Reach::Queued);
    }
    for command in ["DELSLOTS", "ADDSLOTS"] {
        assert_eq!(cluster.servers[1].command(&["CLUSTER", command, &slot]).await.unwrap(), "OK");
    }
    while there.next().await.1 != "0" {}
    for n in 1..5 {
        assert_eq!(there.next().await.1, n.to_string());
    }
}

#[tokio::test]
async fn one_server_may_have_sharded_channels_too() {
    let redis = RedisServer::start().await.unwrap();
    let text = format!("{},shardedChannels=true", redis.connection_string());
    let one = Instance::connected(&text).await.backplane;
    let other = Instance::connected(&text).await.backplane;
    hubline_backplane::conformance::two_instances(&one, &other).await;
}
