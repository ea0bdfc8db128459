use std::time::Duration;

use hubline_redis::{RedisClient, RedisScript, redis};
use hubline_testkit::Cluster;

use crate::run;

fn client(cluster: &Cluster) -> RedisClient {
    RedisClient::new(cluster.connection_string().parse().unwrap()).unwrap()
}

#[tokio::test]
async fn commands_go_where_their_keys_are() {
    let cluster = Cluster::start(3).await.unwrap();
    let client = client(&cluster);
    for n in 0..30 {
        let () = run(&client, &format!("SET key{n} {n}")).await.unwrap();
    }
    for server in &cluster.servers {
        assert_ne!(server.command(&["DBSIZE"]).await.unwrap(), "0");
    }
    let script = RedisScript::new("return redis.call('get', KEYS[1])");
    for n in 0..30 {
        assert_eq!(client.invoke::<u32>(&script, format!("key{n}"), Vec::<String>::new()).await.unwrap(), n);
    }
    let mut pipeline = redis::pipe();
    pipeline.atomic().set("{tag}a", 1).ignore().incr("{tag}b", 2).get("{tag}a");
    assert_eq!(client.query_pipeline::<(i64, i64)>(pipeline).await.unwrap(), (2, 1));
    let () = run(&client, "PING").await.map(|_: String| ()).unwrap();
}

#[tokio::test]
async fn commands_follow_a_slot_that_has_moved() {
    let cluster = Cluster::start(2).await.unwrap();
    let client = client(&cluster);
    let slot = cluster.slot_of("moving").await.unwrap();
    assert_eq!(run::<i64>(&client, "INCR moving").await.unwrap(), 1);
    let () = run(&client, "DEL moving").await.map(|_: i64| ()).unwrap();
    let from = usize::from(slot >= 8192);
    cluster.move_slots([slot], from, 1 - from).await.unwrap();
    assert_eq!(run::<i64>(&client, "INCR moving").await.unwrap(), 1);
    assert_eq!(cluster.servers[1 - from].command(&["GET", "moving"]).await.unwrap(), "1");
}

#[tokio::test]
async fn commands_go_to_the_replica_that_took_over() {
    let mut cluster = Cluster::start_with_replicas(3).await.unwrap();
    let client = client(&cluster);
    let slot = cluster.slot_of("key").await.unwrap();
    let master = usize::from(slot) * 3 / 16384;
    let () = run(&client, "SET key before").await.unwrap();
    cluster.servers[master].stop().await.unwrap();
    cluster.servers[master + 3].command_until(&["ROLE"], |role| role.starts_with("master")).await.unwrap();
    // At first the old master may be named still.
    let writing = async {
        while run::<()>(&client, "SET key after").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), writing).await.unwrap();
    assert_eq!(cluster.servers[master + 3].command(&["GET", "key"]).await.unwrap(), "after");
}
