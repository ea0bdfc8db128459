//! What the observers of a hub are told, by whichever instance is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_directory::conformance::{Observed, until};
use hubline_directory::{
    ConnectionChange, ConnectionObserver, HubDirectory, ObserverError, SessionDirectory,
};
use hubline_testkit::{Cluster, RedisServer};

use crate::instance::{Instance, Reader};

async fn no_departures_are_left(reader: &Reader) {
    until(Vec::<String>::new(), async || reader.run(&["KEYS", "*departed*"]).await).await;
}

/// Handles nothing, until it may.
#[derive(Debug, Default)]
struct Failing(AtomicBool);

impl ConnectionObserver for Failing {
    fn changed<'a>(
        &'a self,
        _: &'a dyn HubDirectory,
        _: &'a [ConnectionChange],
    ) -> BoxFuture<'a, Result<(), ObserverError>> {
        async move {
            match self.0.load(Ordering::Relaxed) {
                true => Ok(()),
                false => Err("the database of the application is away".into()),
            }
        }
        .boxed()
    }
}

#[tokio::test]
async fn what_a_dead_instance_held_is_reported_by_another_one() {
    let redis = RedisServer::start().await.unwrap();
    dead_instance(&redis.connection_string(), 1200).await;
    let cluster = Cluster::start(3).await.unwrap();
    dead_instance(&cluster.connection_string(), 150).await;
}

async fn dead_instance(at: &str, connections: usize) {
    let (one, dying) = (Instance::start(at).await, Instance::start(at).await);
    let mut observed = Observed::of(&one.directory, "Chat");
    let _other_hub = Observed::of(&one.directory, "Another");
    dying.directory.observe("Chat", Arc::new(Failing::default()));
    let ids: Vec<String> = (0..connections).map(|n| format!("c{n}")).collect();
    for id in &ids {
        dying.connect(id, Some("ada"));
    }
    dying.directory.attach("Unobserved").connected("unobserved".into(), None);
    until(connections as u64, async || one.hub.connection_count().await.value).await;
    drop(dying);
    let expected: Vec<String> = ids.iter().map(|id| format!("!{id}")).collect();
    observed.until(&expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(one.counts("").await, (0, 0, 0));
}

#[tokio::test]
async fn a_departure_that_was_not_handled_is_reported_by_another_instance() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (one, dying) = (Instance::start(&at).await, Instance::start(&at).await);
    let mut observed = Observed::of(&one.directory, "Chat");
    dying.directory.observe("Chat", Arc::new(Failing::default()));
    dying.connect("gone before", Some("ada"));
    until(1, async || one.hub.connection_count().await.value).await;
    dying.disconnect("gone before");
    until(0, async || one.hub.connection_count().await.value).await;
    drop(dying);
    observed.until(&["!gone before"]).await;
    no_departures_are_left(&Reader::new(&at)).await;
}

#[tokio::test]
async fn an_observer_that_fails_is_told_again_and_holds_nobody_else_up() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let here = Instance::start(&at).await;
    let failing = Arc::new(Failing::default());
    here.directory.observe("Chat", Arc::clone(&failing) as _);
    for n in 0..3000 {
        here.connect(&format!("c{n}"), Some("ada"));
    }
    here.reached().await;
    for n in 0..3000 {
        here.disconnect(&format!("c{n}"));
    }
    assert_eq!(here.counts("").await, (0, 0, 0));
    let reader = Reader::new(&at);
    let keys: Vec<String> = reader.run(&["KEYS", "*departed*"]).await;
    assert_eq!(reader.run::<u64>(&["ZCARD", &keys[0]]).await, 3000);
    failing.0.store(true, Ordering::Relaxed);
    no_departures_are_left(&reader).await;
}

#[tokio::test]
async fn a_closed_directory_reports_what_ends_with_it() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let here = Instance::start(&at).await;
    let mut observed = Observed::of(&here.directory, "Chat");
    for n in 0..300 {
        here.connect(&format!("c{n}"), None);
    }
    here.directory.close().await;
    let expected: Vec<String> = (0..300).map(|n| format!("-c{n}")).collect();
    observed.until(&expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let expected = ["TeleDoctor:{hubline}:epoch", "TeleDoctor:{hubline}:version"];
    assert!(Reader::new(&at).keys().await.iter().all(|key| expected.contains(&&**key)));
}

#[tokio::test]
async fn connections_are_reported_again_when_redis_has_lost_them_and_after_each_period() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let here = Instance::start(&at).await;
    let mut observed = Observed::of(&here.directory, "Chat");
    here.connect("c", None);
    observed.until(&["+c"]).await;
    let () = Reader::new(&at).run(&["FLUSHALL"]).await;
    observed.until(&["+c"]).await;
    let mut resynced = Observed::of_with(&here.directory, "Chat", Some(Duration::from_millis(400)));
    for _ in 0..3 {
        assert_eq!(resynced.next().await, "+c");
    }
}
