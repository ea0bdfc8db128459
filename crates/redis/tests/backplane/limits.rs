//! Messages that are too large, for Redis or for this backplane.

use std::sync::{Arc, Mutex};

use hubline_backplane::{Backplane, PublishError, Reach, Status, Target};
use hubline_testkit::RedisServer;

use crate::instance::{Instance, publication};
use crate::log::{Log, Logging};

/// What is logged of messages that are too large.
fn too_large() -> (Logging, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&lines);
    let logging = Log::to(move |line| {
        if line.starts_with("a message is over the limit") || line.starts_with("Redis refuses messages") {
            seen.lock().unwrap().push(line.to_owned());
        }
    });
    (logging, lines)
}

#[tokio::test]
async fn a_message_over_the_limit_says_so_once_with_the_cure() {
    let (_logging, lines) = too_large();
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::connected(&redis.connection_string()).await;
    for _ in 0..2 {
        let too_large = publication(vec![Target::All], &"x".repeat(16 * 1024 * 1024));
        let PublishError::Refused(reason) = here.hub.publish(too_large).await.unwrap_err() else {
            panic!("it is refused")
        };
        assert!(reason.contains("over the limit of 31457280; send the message in parts"), "{reason}");
    }
    assert_eq!(here.backplane.statistics().refused, 2);
    let lines = lines.lock().unwrap();
    let [line] = &**lines else { panic!("one line: {lines:?}") };
    assert!(line.contains("Chat") && line.contains("send the message in parts"), "{line}");
}

/// Redis ends the link with such a message.
#[tokio::test]
async fn a_message_that_redis_finds_too_large_says_so_with_the_cure_and_is_not_sent_again() {
    let (_logging, lines) = too_large();
    let redis = RedisServer::start_with(&["--proto-max-bulk-len", "1mb"]).await.unwrap();
    let mut here = Instance::connected(&redis.connection_string()).await;
    let text = "x".repeat(2_000_000);
    assert_eq!(here.publish(vec![Target::All], &text).await.reach, Reach::ThisInstance);
    assert!(here.next().await.1 == text);
    here.status(|status| *status == Status::Connected).await;
    assert_eq!(here.publish(vec![Target::All], "next").await.reach, Reach::Fleet);
    assert_eq!(here.next().await.1, "next");
    let statistics = here.backplane.statistics();
    assert_eq!((statistics.refused, statistics.replayed, statistics.reconnects), (1, 0, 1), "{statistics:?}");
    let lines = lines.lock().unwrap();
    let [line] = &**lines else { panic!("one line: {lines:?}") };
    assert!(line.contains("raise Redis' proto-max-bulk-len"), "{line}");
}
