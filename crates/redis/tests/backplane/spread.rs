use hubline_backplane::conformance::Targets;
use hubline_backplane::{Backplane, Reach, Status, Target};
use hubline_redis::{RedisClient, redis};
use hubline_testkit::RedisServer;

use crate::instance::{Instance, conform, group};

const GROUPS: usize = 60;

async fn servers() -> Vec<RedisServer> {
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(RedisServer::start().await.unwrap());
    }
    servers
}

fn over<'a>(servers: impl IntoIterator<Item = &'a RedisServer>) -> String {
    let servers: Vec<_> = servers.into_iter().map(RedisServer::connection_string).collect();
    format!("{},spreadChannels=true", servers.join(","))
}

async fn channels(server: &RedisServer) -> usize {
    let channels = server.command(&["PUBSUB", "CHANNELS"]).await.unwrap();
    channels.lines().filter(|channel| channel.contains(":group:")).count()
}

#[tokio::test]
async fn it_conforms_over_several_servers_listed_in_any_order() {
    let servers = servers().await;
    let one = Instance::connected(&over(&servers)).await.backplane;
    let other = Instance::connected(&over(servers.iter().rev())).await.backplane;
    conform(&one, &other, Targets::OnSeveralNodes).await;
}

#[tokio::test]
async fn losing_a_server_affects_its_own_channels_only() {
    let mut servers = servers().await;
    let here = Instance::connected(&over(&servers)).await;
    let mut there = Instance::connected(&over(&servers)).await;
    let mut names: Vec<_> = (0..GROUPS).map(|n| format!("g{n}")).collect();
    for name in &names {
        there.hub.subscribe(group(name)).await;
    }
    let mut on = Vec::new();
    for server in &servers {
        on.push(channels(server).await);
    }
    assert!(on.iter().all(|channels| *channels > 0), "{on:?}");
    assert_eq!(on.iter().sum::<usize>(), GROUPS);

    servers[1].stop().await.unwrap();
    here.lost().await;
    there.lost().await;
    let mut reached = 0;
    for name in &names {
        let published = here.publish(vec![Target::Subject(group(name))], name).await;
        match published.reach {
            Reach::Fleet => reached += published.receivers,
            _ => assert_eq!(published.receivers, 0, "nobody is in the group here"),
        }
    }
    assert_eq!(reached, (GROUPS - on[1]) as u64);

    servers[1].start_again().await.unwrap();
    for instance in [&here, &there] {
        instance.status(|status| *status == Status::Connected).await;
    }
    let everybody = names.iter().map(|name| Target::Subject(group(name))).collect();
    let published = here.publish(everybody, "all are back").await;
    assert_eq!((published.receivers, published.reach), (GROUPS as u64, Reach::Fleet));

    // What the lost server could not take was kept for it.
    let (mut arrived, mut back) = (Vec::new(), 0);
    while back < GROUPS {
        match there.next().await.1 {
            text if text == "all are back" => back += 1,
            text => arrived.push(text),
        }
    }
    arrived.sort();
    names.sort();
    assert_eq!(arrived, names);
    assert_eq!(here.backplane.statistics().replayed, on[1] as u64);
}

#[tokio::test]
async fn keys_are_on_one_server_whatever_the_order() {
    let servers = servers().await;
    let mut set = redis::cmd("SET");
    set.arg("key").arg("value");
    let () = RedisClient::new(over(&servers).parse().unwrap()).unwrap().query(set).await.unwrap();
    let mut get = redis::cmd("GET");
    get.arg("key");
    let reversed = RedisClient::new(over(servers.iter().rev()).parse().unwrap()).unwrap();
    assert_eq!(reversed.query::<String>(get).await.unwrap(), "value");
}
