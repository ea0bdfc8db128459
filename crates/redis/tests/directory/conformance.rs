use std::time::Duration;

use hubline_backplane::Status;
use hubline_directory::SessionDirectory;
use hubline_directory::conformance::until;
use hubline_redis::RedisOptions;
use hubline_testkit::{Cluster, RedisServer};

use crate::instance::{Instance, Reader, options};

#[tokio::test]
async fn one_instance_conforms() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    hubline_directory::conformance::one_instance(&here.directory).await;
}

#[tokio::test]
async fn two_instances_conform() {
    let redis = RedisServer::start().await.unwrap();
    let at = format!("{},channelPrefix=p:,defaultDatabase=3", redis.connection_string());
    let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
    for _ in 0..3 {
        hubline_directory::conformance::two_instances(&one.directory, &other.directory).await;
    }
    assert!(Reader::new(&redis.connection_string()).keys().await.is_empty(), "the database counts");
}

#[tokio::test]
async fn instances_conform_without_channels_too() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (one, other) = (Instance::without_channels(&at).await, Instance::without_channels(&at).await);
    hubline_directory::conformance::two_instances(&one.directory, &other.directory).await;
}

#[tokio::test]
async fn instances_conform_in_a_cluster() {
    let cluster = Cluster::start(3).await.unwrap();
    let at = cluster.connection_string();
    let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
    hubline_directory::conformance::one_instance(&one.directory).await;
    hubline_directory::conformance::two_instances(&one.directory, &other.directory).await;
}

/// Database 2 and no name or prefix, or one that has braces of its own.
#[tokio::test]
async fn every_setting_works_in_a_cluster() {
    let cluster = Cluster::start(3).await.unwrap();
    for (settings, instance_name) in [
        ("defaultDatabase=2", None),
        ("channelPrefix=conduit_signalr:,defaultDatabase=2", None),
        ("channelPrefix=a{b}:", None),
        ("channelPrefix=p:", Some("{clinic}:")),
        ("channelPrefix=p:", Some("half{open")),
    ] {
        println!("{settings} {instance_name:?}");
        let mut redis: RedisOptions = format!("{},{settings}", cluster.connection_string()).parse().unwrap();
        redis.instance_name = instance_name.map(str::to_owned);
        let one = Instance::start_as(redis.clone(), options()).await;
        let other = Instance::start_as(redis, options()).await;
        hubline_directory::conformance::two_instances(&one.directory, &other.directory).await;
        one.directory.close().await;
        other.directory.close().await;
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_used_in_a_cluster_says_so() {
    let cluster = Cluster::start(3).await.unwrap();
    let mut redis: RedisOptions = cluster.connection_string().parse().unwrap();
    redis.instance_name = Some("{}:".to_owned());
    let instance = Instance::start_as(redis, options()).await;
    let mut status = instance.directory.status();
    let reason =
        status.wait_for(|status| matches!(status, Status::Disconnected(r) if r.contains("InstanceName")));
    tokio::time::timeout(Duration::from_secs(30), reason).await.expect("the cure is named").unwrap();
}

/// Fleets that share a Redis but neither name nor prefix.
#[tokio::test]
async fn fleets_of_other_names_or_prefixes_do_not_mix() {
    let redis = RedisServer::start().await.unwrap();
    let mut instances = Vec::new();
    for (prefix, instance_name) in [("a:", None), ("b:", None), ("a:", Some("x:")), ("b:", Some("y:"))] {
        let at = format!("{},channelPrefix={prefix}", redis.connection_string());
        let mut redis: RedisOptions = at.parse().unwrap();
        redis.instance_name = instance_name.map(str::to_owned);
        instances.push(Instance::start_as(redis, options()).await);
    }
    for (n, instance) in instances.iter().enumerate() {
        instance.reached().await;
        (0..=n).for_each(|connection| instance.connect(&format!("c{connection}"), None));
    }
    for (n, instance) in (1..).zip(&instances) {
        until((n, 0, 0), async || instance.counts("").await).await;
    }
}

#[tokio::test]
async fn instances_conform_over_several_servers() {
    let (first, second) = (RedisServer::start().await.unwrap(), RedisServer::start().await.unwrap());
    let at = |one: &RedisServer, other: &RedisServer| {
        format!("{},{},spreadChannels=true", one.connection_string(), other.connection_string())
    };
    let (one, other) =
        (Instance::start(&at(&first, &second)).await, Instance::start(&at(&second, &first)).await);
    hubline_directory::conformance::two_instances(&one.directory, &other.directory).await;
}

/// As docs/redis.md has it.
#[tokio::test]
async fn a_user_with_just_these_rights_will_do() {
    let rights = "on >s3cret resetchannels &* ~TeleDoctor:* -@all +subscribe +unsubscribe +publish +ping +hello \
                  +eval +evalsha +time +exists +get +set +incr +hget +hset +hdel +hscan \
                  +zadd +zrem +zcard +zscore +zrangebylex +zrangebyscore +zrevrange";
    let user: Vec<&str> = ["--user", "app"].into_iter().chain(rights.split_whitespace()).collect();
    let redis = RedisServer::start_with(&user).await.unwrap();
    let at = format!("{},user=app,password=s3cret", redis.connection_string());
    let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
    hubline_directory::conformance::one_instance(&one.directory).await;
    hubline_directory::conformance::two_instances(&one.directory, &other.directory).await;
    let dying = Instance::start(&at).await;
    dying.connect("c", Some("ada"));
    until(1, async || one.hub.connection_count().await.value).await;
    drop(dying);
    until(0, async || one.hub.connection_count().await.value).await;
}

#[tokio::test]
async fn a_channel_prefix_of_another_slot_delays_changes_only() {
    let cluster = Cluster::start(3).await.unwrap();
    let at = format!("{},channelPrefix={{x}}:,shardedChannels=true", cluster.connection_string());
    let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
    hubline_directory::conformance::two_instances(&one.directory, &other.directory).await;
}
