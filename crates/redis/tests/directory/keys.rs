//! What is left when everybody has gone.

use hubline_directory::conformance::until;
use hubline_directory::{Scope, SessionDirectory};
use hubline_testkit::RedisServer;

use crate::instance::{Instance, Reader};

#[tokio::test]
async fn of_a_user_with_many_connections_the_newest_are_told() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    for n in 0..1500 {
        here.connect(&format!("c{n:04}"), Some("robot"));
    }
    here.reached().await;
    assert_eq!(here.newest("robot").await.len(), 1000);
    assert_eq!(here.counts("").await, (1500, 1, 0));
}

#[tokio::test]
async fn a_closed_directory_leaves_nothing_behind() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    let there = Instance::start(&redis.connection_string()).await;
    for n in 0..300 {
        here.connect(&format!("c{n}"), Some("ada"));
        here.join(&format!("c{n}"), "g");
    }
    until((300, 1, 300), async || there.counts("g").await).await;
    here.directory.close().await;
    assert_eq!(there.counts("g").await, (0, 0, 0));
    there.directory.close().await;
    let reader = Reader::new(&redis.connection_string());
    assert_eq!(reader.keys().await, ["TeleDoctor:{hubline}:epoch", "TeleDoctor:{hubline}:version"]);
    // Closed is closed, and nothing hangs.
    here.connect("late", None);
    here.directory.close().await;
    let answer = here.hub.connection_count().await;
    assert_eq!((answer.value, answer.scope), (301, Scope::ThisInstance));
}
