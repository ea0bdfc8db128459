use hubline_backplane::conformance::Targets;
use hubline_backplane::{Reach, Status, Target};
use hubline_testkit::{Cluster, RedisServer};

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
async fn one_server_may_have_sharded_channels_too() {
    let redis = RedisServer::start().await.unwrap();
    let text = format!("{},shardedChannels=true", redis.connection_string());
    let one = Instance::connected(&text).await.backplane;
    let other = Instance::connected(&text).await.backplane;
    hubline_backplane::conformance::two_instances(&one, &other).await;
}
