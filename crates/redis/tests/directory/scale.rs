use std::collections::BTreeSet;

use hubline_directory::Page;
use hubline_directory::conformance::until;
use hubline_testkit::RedisServer;

use crate::instance::{Instance, Reader};

#[tokio::test]
async fn ten_thousand_connections_are_paged_through_while_others_come_and_go() {
    const COUNT: usize = 10_000;
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let (one, other) = (Instance::start(&at).await, Instance::start(&at).await);
    for n in 0..COUNT {
        let instance = if n % 2 == 0 { &one } else { &other };
        instance.connect(&format!("c{n:05}"), Some(&format!("u{:04}", n / 2)));
    }
    until((COUNT as u64, COUNT as u64 / 2, 0), async || one.counts("").await).await;
    let mut seen = BTreeSet::new();
    let mut page = Some(Page::first(500));
    let mut pages = 0;
    while let Some(asked) = page.take() {
        let listing = one.hub.connections(asked).await.value;
        assert!(listing.items.len() <= 500);
        pages += 1;
        other.connect(&format!("c{:05}x", pages * 400), None);
        for item in listing.items {
            assert!(seen.insert(item.connection), "nobody is on two pages");
        }
        page = listing.next.map(|cursor| Page::after(cursor, 500));
    }
    let stayed = (0..COUNT).filter(|n| seen.contains(format!("c{n:05}").as_str()));
    assert_eq!(stayed.count(), COUNT);
}

#[tokio::test]
async fn after_a_hundred_thousand_joins_and_leaves_nothing_is_left() {
    const CONNECTIONS: usize = 1000;
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    let reader = Reader::new(&redis.connection_string());
    let id = |n: usize| format!("c{n}");
    // What the first use of everything leaves in memory for good: scripts, buffers, the version.
    here.connect("first", Some("ada"));
    here.join("first", "g");
    here.reached().await;
    here.disconnect("first");
    here.reached().await;
    let memory = async || {
        let () = reader.run(&["MEMORY", "PURGE"]).await;
        let keys: Vec<String> = reader.keys().await;
        let mut bytes = 0;
        for key in &keys {
            bytes += reader.run::<u64>(&["MEMORY", "USAGE", key]).await;
        }
        (keys, bytes)
    };
    let before = memory().await;

    for n in 0..CONNECTIONS {
        here.connect(&id(n), Some(&format!("u{}", n % 100)));
    }
    for round in 0..100 {
        for n in 0..CONNECTIONS {
            here.join(&id(n), &format!("g{}", (n + round) % 50));
        }
        here.reached().await;
        for n in 0..CONNECTIONS {
            here.hub.left(&id(n).as_str().into(), &format!("g{}", (n + round) % 50).into());
        }
    }
    for n in 0..CONNECTIONS {
        here.disconnect(&id(n));
    }
    assert_eq!(here.counts("g0").await, (0, 0, 0));
    let after = memory().await;
    assert_eq!(after.0, before.0);
    // A hash that was large once keeps the form of a large one.
    assert!(after.1 <= before.1 + 1024, "{before:?} {after:?}");
}
