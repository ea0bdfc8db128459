//! What other programs read, and what is left when everybody has gone.

use hubline_directory::conformance::until;
use hubline_directory::{Scope, SessionDirectory};
use hubline_testkit::RedisServer;

use crate::instance::{Instance, Reader, options};

const TICKS_PER_SECOND: i64 = 10_000_000;
const UNIX_EPOCH_TICKS: i64 = 621_355_968_000_000_000;

fn now_ticks() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UNIX_EPOCH_TICKS + i64::try_from(now.as_nanos() / 100).unwrap()
}

#[tokio::test]
async fn one_device_leaving_never_removes_another() {
    let redis = RedisServer::start().await.unwrap();
    let (one, other) = (
        Instance::start(&redis.connection_string()).await,
        Instance::start(&redis.connection_string()).await,
    );
    let reader = Reader::new(&redis.connection_string());
    let view = async || (reader.cached("connection:ada").await, reader.cached("connections:ada").await);
    let expected = |newest: &str, all: &str| (Some(newest.to_owned()), Some(all.to_owned()));

    for (instance, id) in [(&one, "phone"), (&other, "tablet"), (&one, "laptop")] {
        instance.connect(id, Some("ada"));
        until(Some(id.to_owned()), async || reader.cached("connection:ada").await).await;
    }
    assert_eq!(view().await, expected("laptop", r#"["phone","tablet","laptop"]"#));
    // The oldest leaves, then the newest, then the last.
    one.disconnect("phone");
    until(expected("laptop", r#"["tablet","laptop"]"#), view).await;
    one.disconnect("laptop");
    until(expected("tablet", r#"["tablet"]"#), view).await;
    assert_eq!(one.newest("ada").await, ["tablet".into()]);
    other.disconnect("tablet");
    until((None, None), view).await;
}

#[tokio::test]
async fn entries_are_those_of_the_distributed_cache() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    let reader = Reader::new(&redis.connection_string());
    // Whatever stands in the way is replaced.
    let () = reader.run(&["SET", "{Tele}Doctor:connection:ada", "of another kind"]).await;
    let before = now_ticks();
    here.connect("c", Some("ada"));
    here.reached().await;
    for (key, data) in [("{Tele}Doctor:connection:ada", "c"), ("{Tele}Doctor:connections:ada", r#"["c"]"#)] {
        let (absolute, sliding, found): (i64, i64, String) =
            reader.run(&["HMGET", key, "absexp", "sldexp", "data"]).await;
        let span = 12 * 3600 * TICKS_PER_SECOND;
        assert!(
            (before + span - TICKS_PER_SECOND..=now_ticks() + span).contains(&absolute),
            "{key} {absolute}"
        );
        assert_eq!((sliding, found.as_str()), (4 * 3600 * TICKS_PER_SECOND, data));
        let ttl: i64 = reader.run(&["TTL", key]).await;
        assert!((14_390..=14_400).contains(&ttl), "{ttl}");
        let fields: i64 = reader.run(&["HLEN", key]).await;
        assert_eq!(fields, 3);
    }
}

#[tokio::test]
async fn entries_are_renewed_while_the_user_is_connected() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    let reader = Reader::new(&redis.connection_string());
    here.connect("c", Some("ada"));
    here.reached().await;
    let keys = ["{Tele}Doctor:connection:ada", "{Tele}Doctor:connections:ada"];
    for key in keys {
        let () = reader.run(&["EXPIRE", key, "60"]).await;
    }
    for key in keys {
        until(true, async || reader.run::<i64>(&["TTL", key]).await > 14_000).await;
    }
}

#[tokio::test]
async fn only_mapped_hubs_count_for_the_mapping() {
    let redis = RedisServer::start().await.unwrap();
    let mut options = options();
    options.mapped_hubs = Some(vec!["Chat".to_owned()]);
    let here = Instance::start_with(&redis.connection_string(), options).await;
    here.reached().await;
    let reader = Reader::new(&redis.connection_string());
    let navigation = here.directory.attach("Navigation");
    here.connect("chat", Some("ada"));
    here.reached().await;
    navigation.connected("navigation".into(), Some("ada".into()));
    assert_eq!(navigation.user_count().await.value, 1);
    assert_eq!(reader.cached("connections:ada").await.as_deref(), Some(r#"["chat"]"#));
    here.disconnect("chat");
    here.reached().await;
    assert_eq!(reader.cached("connection:ada").await, None);
}

#[tokio::test]
async fn a_user_with_many_connections_has_the_newest_in_the_list() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    for n in 0..1500 {
        here.connect(&format!("c{n:04}"), Some("robot"));
    }
    here.reached().await;
    let reader = Reader::new(&redis.connection_string());
    let list: Vec<String> = serde_json::from_str(&reader.cached("connections:robot").await.unwrap()).unwrap();
    assert_eq!(list.len(), 100);
    assert_eq!(list.last().cloned(), reader.cached("connection:robot").await);
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
    assert_eq!(reader.keys().await, ["{Tele}Doctor:hubline:epoch", "{Tele}Doctor:hubline:version"]);
    // Closed is closed, and nothing hangs.
    here.connect("late", None);
    here.directory.close().await;
    let answer = here.hub.connection_count().await;
    assert_eq!((answer.value, answer.scope), (301, Scope::ThisInstance));
}
