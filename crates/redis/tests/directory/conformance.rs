use hubline_directory::conformance::until;
use hubline_testkit::{Cluster, RedisServer};

use crate::instance::{Instance, Reader};

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
    hubline_directory::conformance::two_instances(&one.directory, &other.directory).await;
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
    let rights = "on >s3cret resetchannels &* ~{Tele}Doctor:* -@all +subscribe +unsubscribe +publish +ping +hello \
                  +eval +evalsha +time +exists +del +expire +pexpire +get +set +incr +hget +hset +hdel +hscan \
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
