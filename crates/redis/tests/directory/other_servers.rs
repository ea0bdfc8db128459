use hubline_testkit::RedisServer;

use crate::instance::Instance;

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
    let server = RedisServer::start_other(variable).await.unwrap();
    let at = server.connection_string();
    let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
    hubline_directory::conformance::two_instances(&one.directory, &other.directory).await;
}
