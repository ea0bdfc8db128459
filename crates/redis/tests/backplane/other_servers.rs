use hubline_backplane::conformance::Targets;
use hubline_backplane::{Status, Target};
use hubline_redis::{RedisClient, redis};
use hubline_testkit::RedisServer;

use crate::instance::{Instance, conform, group};

#[tokio::test]
#[ignore = "needs HUBLINE_REDIS_6_2, the path of a redis-server 6.2; cargo xtask test has one"]
async fn redis_6_2_is_as_good() {
    is_as_good("HUBLINE_REDIS_6_2").await;
}

#[tokio::test]
#[ignore = "needs HUBLINE_VALKEY, the path of a valkey-server; cargo xtask test has one"]
async fn valkey_is_as_good() {
    is_as_good("HUBLINE_VALKEY").await;
}

async fn is_as_good(variable: &str) {
    let mut server = RedisServer::start_other(variable).await.unwrap();
    println!("{}", server.command(&["INFO", "server"]).await.unwrap().lines().nth(1).unwrap());
    let at = server.connection_string();

    let one = Instance::connected(&at).await.backplane;
    let other = Instance::connected(&at).await.backplane;
    conform(&one, &other, Targets::OnOneNode).await;

    let mut here = Instance::connected(&at).await;
    here.hub.subscribe(group("g")).await;
    server.stop().await.unwrap();
    here.lost().await;
    server.start_again().await.unwrap();
    here.status(|status| *status == Status::Connected).await;
    assert_eq!(here.publish(vec![Target::Subject(group("g"))], "back").await.receivers, 1);
    while here.next().await.1 != "back" {}

    let client = RedisClient::new(at.parse().unwrap()).unwrap();
    let mut increment = redis::cmd("INCR");
    increment.arg("counter");
    assert_eq!(client.query::<i64>(increment).await.unwrap(), 1);
}
