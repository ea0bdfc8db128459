//! A host whose log panics, which is what brought these tasks down once.

use std::sync::{Arc, Mutex};

use hubline_backplane::{Reach, Status, Target};
use hubline_redis::RedisOptions;
use hubline_testkit::RedisServer;

use crate::instance::{Instance, publication};
use crate::log::Log;

#[tokio::test]
async fn a_log_that_panics_cuts_nobody_off_for_good() {
    let left = Arc::new(Mutex::new(vec![
        "connected to Redis",
        "payload from Redis dropped",
        "connection to Redis lost",
        "connection to Redis restored",
    ]));
    let panics_at = Arc::clone(&left);
    // Panics once at each of these messages.
    let _logging = Log::to(move |line| {
        let mut left = panics_at.lock().unwrap();
        if let Some(at) = left.iter().position(|text| line.starts_with(text)) {
            let text = left.swap_remove(at);
            drop(left);
            panic!("the log panics at '{text}'");
        }
    });
    let before = hubline_supervision::restarts();
    let mut redis = RedisServer::start().await.unwrap();
    let mut options: RedisOptions = redis.connection_string().parse().unwrap();
    options.channel_prefix = Some("panics:".to_owned());
    let mut here = Instance::with(options).await;

    here.status(|status| *status == Status::Connected).await;
    let published = here.publish(vec![Target::All], "connected").await;
    assert_eq!((here.next().await.1, published.reach), ("connected".to_owned(), Reach::Fleet));

    redis.command(&["PUBLISH", "panics:Chat:all", "garbage"]).await.unwrap();
    here.publish(vec![Target::All], "after garbage").await;
    assert_eq!(here.next().await.1, "after garbage");

    redis.pause().unwrap();
    let on_its_way = tokio::spawn({
        let hub = Arc::clone(&here.hub);
        async move { hub.publish(publication(vec![Target::All], "on its way")).await.unwrap().reach }
    });
    tokio::task::yield_now().await;
    redis.stop().await.unwrap();
    assert_eq!(here.next().await.1, "on its way");
    assert!(matches!(on_its_way.await.unwrap(), Reach::Unknown | Reach::Queued));
    here.lost().await;
    let published = here.publish(vec![Target::All], "alone").await;
    assert_eq!((here.next().await.1, published.reach), ("alone".to_owned(), Reach::Queued));

    redis.start_again().await.unwrap();
    here.status(|status| *status == Status::Connected).await;
    let published = here.publish(vec![Target::All], "restored").await;
    assert_eq!((here.next().await.1, published.reach), ("restored".to_owned(), Reach::Fleet));
    assert!(left.lock().unwrap().is_empty(), "each was met");
    assert_eq!(hubline_supervision::restarts(), before + 4);
}
