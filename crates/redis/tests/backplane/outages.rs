use hubline_backplane::{Backplane, GroupAction, GroupChange, GroupError, Reach, Status, Target};
use hubline_redis::{OutboxOptions, RedisOptions};
use hubline_testkit::RedisServer;
use tokio::sync::{mpsc, watch};

use crate::instance::{Delivered, Instance, group, next, publication};

/// What one side publishes until the other has it: proof that links of both are up.
async fn meet(from: &Instance, to: &mut Instance, text: &str) {
    from.status(|status| *status == Status::Connected).await;
    to.status(|status| *status == Status::Connected).await;
    assert_eq!(from.publish(vec![Target::All], text).await.receivers, 2);
    while to.next().await.1 != text {}
}

#[tokio::test]
async fn everything_is_restored_after_redis_was_killed() {
    let mut redis = RedisServer::start().await.unwrap();
    let mut here = Instance::connected(&redis.connection_string()).await;
    let mut there = Instance::connected(&redis.connection_string()).await;
    there.hub.subscribe(group("g")).await;
    there.hub.subscribe(group("left meanwhile")).await;

    for round in 0..3 {
        redis.stop().await.unwrap();
        here.lost().await;
        there.lost().await;
        let published = here.publish(vec![Target::All], "alone").await;
        assert_eq!((published.receivers, published.reach), (1, Reach::Queued));
        while here.next().await.1 != "alone" {}
        assert!(there.is_quiet());
        there.hub.unsubscribe(group("left meanwhile")).await;
        there.hub.subscribe(group("joined meanwhile")).await;

        redis.start_again().await.unwrap();
        meet(&here, &mut there, &format!("back {round}")).await;
        for (name, receivers) in [("g", 1), ("joined meanwhile", 1), ("left meanwhile", 0)] {
            assert_eq!(
                here.publish(vec![Target::Subject(group(name))], name).await.receivers,
                receivers,
                "{name}"
            );
        }
        assert_eq!(there.next().await.1, "g");
        assert_eq!(there.next().await.1, "joined meanwhile");
        there.hub.unsubscribe(group("joined meanwhile")).await;
        there.hub.subscribe(group("left meanwhile")).await;
    }
}

#[tokio::test]
async fn a_publication_reaches_its_own_instance_once_whatever_happens_to_redis() {
    const LANES: usize = 20;
    let mut redis = RedisServer::start().await.unwrap();
    let mut here = Instance::connected(&redis.connection_string()).await;
    for _ in 0..5 {
        let mut lanes = tokio::task::JoinSet::new();
        for lane in 0..LANES {
            let hub = std::sync::Arc::clone(&here.hub);
            lanes.spawn(async move {
                for sent in 1.. {
                    let text = format!("{lane} {sent}");
                    if hub.publish(publication(vec![Target::All], &text)).await.unwrap().reach != Reach::Fleet
                    {
                        return sent;
                    }
                }
                0
            });
        }
        let mut arrived = Vec::new();
        while arrived.len() < 1000 {
            arrived.push(here.next().await.1);
        }
        redis.stop().await.unwrap();
        let mut sent = 0;
        while !lanes.is_empty() {
            tokio::select! {
                Some(ended) = lanes.join_next() => sent += ended.unwrap(),
                (_, text) = here.next() => arrived.push(text),
            }
        }
        while let Ok((.., text)) = here.delivered.try_recv() {
            arrived.push(text);
        }
        let count = arrived.len();
        arrived.sort();
        arrived.dedup();
        assert_eq!(arrived.len(), count, "none twice");
        // Redis may die between its answer and the echo: at most what one turn of its loop had taken.
        assert!((count..=count + LANES).contains(&sent), "{sent} sent, {count} arrived");
        redis.start_again().await.unwrap();
        here.status(|status| *status == Status::Connected).await;
    }
}

/// Counts what arrives, and returns it all once "end" has.
fn collect(
    mut delivered: mpsc::Receiver<Delivered>,
) -> (watch::Receiver<usize>, tokio::task::JoinHandle<Vec<usize>>) {
    let (counted, count) = watch::channel(0);
    let collecting = tokio::spawn(async move {
        let mut arrived = Vec::new();
        while let Ok(n) = next(&mut delivered).await.2.parse() {
            arrived.push(n);
            counted.send_replace(arrived.len());
        }
        arrived
    });
    (count, collecting)
}

#[tokio::test]
async fn what_is_posted_keeps_its_order_whatever_happens_to_redis() {
    // Of what is on its way Redis may answer some and bring it to nobody when it is killed.
    const ON_THEIR_WAY: usize = 2 * 1024;
    let mut redis = RedisServer::start().await.unwrap();
    let mut options: RedisOptions = redis.connection_string().parse().unwrap();
    options.outbox = OutboxOptions { limit_messages: 1_000_000, ..OutboxOptions::default() };
    options.outbox.limit_bytes = usize::MAX;
    let mut here = Instance::with(options).await;
    let mut there = Instance::connected(&redis.connection_string()).await;
    meet(&here, &mut there, "there").await;
    while here.next().await.1 != "there" {}
    let Instance { backplane, hub, delivered } = here;
    let (mut count, at_here) = collect(delivered);
    let (_, at_there) = collect(there.delivered);

    let (stop, stopped) = watch::channel(false);
    let poster = std::sync::Arc::clone(&hub);
    let posting = tokio::spawn(async move {
        for n in 0_u64.. {
            if *stopped.borrow() {
                return n;
            }
            poster.post(publication(vec![Target::All], &n.to_string())).await.unwrap();
        }
        0
    });
    count.wait_for(|count| *count >= 1000).await.unwrap();
    redis.stop().await.unwrap();
    let mut status = backplane.status();
    status.wait_for(|status| matches!(status, Status::Disconnected(_))).await.unwrap();
    hub.flush().await;
    let before = *count.borrow();
    count.wait_for(|count| *count >= before + 1000).await.unwrap();
    redis.start_again().await.unwrap();
    status.wait_for(|status| *status == Status::Connected).await.unwrap();
    stop.send_replace(true);
    let sent = posting.await.unwrap();
    hub.publish(publication(vec![Target::All], "end")).await.unwrap();

    let statistics = backplane.statistics();
    let fates = statistics.published + statistics.unknown + statistics.queued;
    assert_eq!(fates, sent + 2, "{statistics:?}");
    assert_eq!((statistics.queued, statistics.overflowed), (statistics.replayed, 0));
    for collected in [at_here, at_there] {
        let arrived = collected.await.unwrap();
        assert!(arrived.is_sorted_by(|one, next| one < next), "in order, none twice");
        let lost = usize::try_from(sent).unwrap() - arrived.len();
        assert!(lost <= ON_THEIR_WAY, "{lost} of {sent} lost");
    }
}

#[tokio::test]
async fn a_group_change_for_another_instance_fails_at_once_without_redis() {
    let mut redis = RedisServer::start().await.unwrap();
    let here = Instance::connected(&redis.connection_string()).await;
    redis.stop().await.unwrap();
    here.lost().await;
    let change = GroupChange { action: GroupAction::Add, group: "g".into(), connection: "elsewhere".into() };
    let changed = here.hub.change_group(change).await;
    assert!(
        matches!(&changed, Err(GroupError::Unreachable(reason)) if reason.contains("Redis")),
        "{changed:?}"
    );
}

#[tokio::test]
async fn a_frozen_redis_costs_nothing_and_doubles_nothing() {
    let redis = RedisServer::start().await.unwrap();
    let impatient = format!("{},asyncTimeout=200,connectTimeout=200", redis.connection_string());
    let mut here = Instance::connected(&impatient).await;
    let mut there = Instance::connected(&redis.connection_string()).await;

    redis.pause().unwrap();
    let published = futures_util::future::join_all((0..50).map(|n| {
        let here = &here;
        async move { here.publish(vec![Target::All], &n.to_string()).await }
    }))
    .await;
    assert!(published.iter().all(|published| published.reach == Reach::Unknown));
    let mut arrived = Vec::<u32>::new();
    for _ in 0..50 {
        arrived.push(here.next().await.1.parse().unwrap());
    }
    arrived.sort_unstable();
    assert_eq!(arrived, (0..50).collect::<Vec<_>>());
    here.lost().await;
    assert_eq!(here.publish(vec![Target::All], "kept").await.reach, Reach::Queued);
    assert_eq!(here.next().await.1, "kept");

    redis.resume().unwrap();
    // Redis has what it had been sent, and goes on with it: nothing of that may come here again.
    for n in 0..50 {
        assert_eq!(there.next().await.1, n.to_string());
    }
    assert_eq!(there.next().await.1, "kept");
    meet(&here, &mut there, "back").await;
    assert_eq!(here.next().await.1, "back");
    let statistics = here.backplane.statistics();
    assert_eq!((statistics.published, statistics.replayed, statistics.unknown), (51, 1, 0));
}

#[tokio::test]
async fn a_silent_link_is_noticed_without_traffic() {
    let redis = RedisServer::start().await.unwrap();
    let here =
        Instance::connected(&format!("{},asyncTimeout=200,keepAlive=1", redis.connection_string())).await;
    redis.pause().unwrap();
    let Status::Disconnected(reason) = here.lost().await else { unreachable!() };
    assert_eq!(reason, format!("{}: no answer within 200 ms", redis.connection_string()));
    redis.resume().unwrap();
    here.status(|status| *status == Status::Connected).await;
}

#[tokio::test]
async fn a_join_does_not_wait_for_a_frozen_redis_for_ever() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::connected(&format!("{},asyncTimeout=200", redis.connection_string())).await;
    redis.pause().unwrap();
    here.hub.subscribe(group("g")).await;
    here.lost().await;
    redis.resume().unwrap();
}

#[tokio::test]
async fn killed_links_come_back() {
    let redis = RedisServer::start().await.unwrap();
    let mut here = Instance::connected(&redis.connection_string()).await;
    let mut there = Instance::connected(&redis.connection_string()).await;
    let client = redis::Client::open(format!("redis://{}", redis.connection_string())).unwrap();
    let mut admin = client.get_multiplexed_async_connection().await.unwrap();
    for kind in ["normal", "pubsub"] {
        let () = redis::cmd("CLIENT").arg(&["KILL", "TYPE", kind]).query_async(&mut admin).await.unwrap();
        here.lost().await;
        there.lost().await;
        meet(&here, &mut there, kind).await;
        while here.next().await.1 != kind {}
    }
}

#[tokio::test]
async fn a_thousand_joins_and_leaves_leave_nothing_behind() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::connected(&redis.connection_string()).await;
    for n in 0..1000 {
        here.hub.subscribe(group(&format!("g{n}"))).await;
    }
    futures_util::future::join_all((0..1000).map(async |n| {
        let name = format!("g{n}");
        here.hub.unsubscribe(group(&name)).await;
        here.hub.subscribe(group(&name)).await;
        here.hub.unsubscribe(group(&name)).await;
    }))
    .await;
    here.hub.subscribe(group("last")).await;
    let client = redis::Client::open(format!("redis://{}", redis.connection_string())).unwrap();
    let mut admin = client.get_multiplexed_async_connection().await.unwrap();
    let channels: Vec<String> = redis::cmd("PUBSUB").arg("CHANNELS").query_async(&mut admin).await.unwrap();
    assert_eq!(channels.len(), 5, "{channels:?}");
}
