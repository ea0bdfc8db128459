use hubline_testkit::{RedisServer, other_redis_servers};

use crate::instance::Instance;

#[tokio::test]
async fn other_servers_are_as_good() {
    for (name, program) in other_redis_servers() {
        println!("{name}");
        let server = RedisServer::start_program(&program).await.unwrap();
        let at = server.connection_string();
        let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
        hubline_directory::conformance::two_instances(&one.directory, &other.directory).await;
    }
}
