use hubline_backplane::conformance::Targets;
use hubline_backplane::{Status, Target};
use hubline_redis::{RedisClient, redis};
use hubline_testkit::{RedisServer, other_redis_servers};

use crate::instance::{Instance, conform, group};

#[tokio::test]
async fn other_servers_are_as_good() {
    for (name, program) in other_redis_servers() {
        let mut server =
            RedisServer::start_program(&program).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        println!("{name}: {}", server.command(&["INFO", "server"]).await.unwrap().lines().nth(1).unwrap());
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
        assert_eq!(here.publish(vec![Target::Subject(group("g"))], "back").await.receivers, 1, "{name}");
        while here.next().await.1 != "back" {}

        let client = RedisClient::new(at.parse().unwrap()).unwrap();
        let mut increment = redis::cmd("INCR");
        increment.arg("counter");
        assert_eq!(client.query::<i64>(increment).await.unwrap(), 1, "{name}");
    }
}
