//! What is sent while Redis cannot be reached.

use std::time::Duration;

use hubline_backplane::{Backplane, Reach, Status, Target};
use hubline_redis::{OutboxOptions, RedisOptions};
use hubline_testkit::RedisServer;

use crate::instance::{Instance, group};

async fn fleet(redis: &RedisServer, instances: usize) -> Vec<Instance> {
    let mut fleet = Vec::new();
    for _ in 0..instances {
        fleet.push(Instance::connected(&redis.connection_string()).await);
    }
    // Everybody knows how many there are, as after the first second.
    for instance in &fleet {
        while instance.publish(vec![Target::All], "all there?").await.receivers < instances as u64 {}
    }
    fleet
}

async fn admin(redis: &RedisServer) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(format!("redis://{}", redis.connection_string())).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn run(admin: &mut redis::aio::MultiplexedConnection, command: &str) {
    let mut words = command.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = command.arg(word));
    let () = command.query_async(admin).await.unwrap();
}

#[tokio::test]
async fn what_is_sent_meanwhile_reaches_the_others_once_and_in_order() {
    const EACH: usize = 300;
    let mut redis = RedisServer::start().await.unwrap();
    let mut fleet = fleet(&redis, 3).await;
    for instance in &fleet {
        instance.hub.subscribe(group("g")).await;
    }
    redis.stop().await.unwrap();
    for (sender, instance) in fleet.iter().enumerate() {
        instance.lost().await;
        for n in 0..EACH {
            let target = if n % 2 == 0 { Target::All } else { Target::Subject(group("g")) };
            let published = instance.publish(vec![target], &format!("{sender} {n}")).await;
            assert_eq!((published.receivers, published.reach), (1, Reach::Queued));
        }
    }
    redis.start_again().await.unwrap();
    for instance in &fleet {
        instance.status(|status| *status == Status::Connected).await;
        // Behind everything that was kept.
        instance.publish(vec![Target::All], "end").await;
    }
    for instance in &mut fleet {
        instance.hears_each_once_in_order(3, EACH).await;
        let statistics = instance.backplane.statistics();
        assert_eq!((statistics.queued, statistics.replayed, statistics.reconnects), (300, 300, 1));
        assert_eq!((statistics.unknown, statistics.waiting, statistics.waiting_bytes), (0, 0, 0));
    }
}

#[tokio::test]
async fn what_was_sent_before_redis_was_ever_there_is_kept_too() {
    let mut redis = RedisServer::absent().unwrap();
    let mut here = Instance::start(&redis.connection_string()).await;
    let mut there = Instance::start(&redis.connection_string()).await;
    assert_eq!(here.publish(vec![Target::All], "early").await.reach, Reach::Queued);
    assert_eq!(here.next().await.1, "early");
    redis.start_again().await.unwrap();
    assert_eq!(there.next().await.1, "early");
    here.status(|status| *status == Status::Connected).await;
    here.publish(vec![Target::All], "late").await;
    assert_eq!(here.next().await.1, "late");
}

#[tokio::test]
async fn bounds_hold_and_are_told() {
    let mut redis = RedisServer::absent().unwrap();
    let mut options: RedisOptions = redis.connection_string().parse().unwrap();
    options.outbox = OutboxOptions { limit_messages: 2, ..OutboxOptions::default() };
    let mut here = Instance::with(options.clone()).await;
    options.outbox = OutboxOptions { max_age: Duration::from_millis(1), ..OutboxOptions::default() };
    let old = Instance::with(options).await;
    let mut there = Instance::start(&redis.connection_string()).await;
    for (text, reach) in [("1", Reach::Queued), ("2", Reach::Queued), ("3", Reach::ThisInstance)] {
        assert_eq!(here.publish(vec![Target::All], text).await.reach, reach, "{text}");
        assert_eq!(here.next().await.1, text);
    }
    let statistics = here.backplane.statistics();
    assert_eq!((statistics.queued, statistics.waiting, statistics.overflowed), (2, 2, 1));
    assert!(statistics.waiting_bytes > 100);

    assert_eq!(old.publish(vec![Target::All], "old").await.reach, Reach::Queued);
    while old.backplane.statistics().expired == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(old.backplane.statistics().waiting, 0);

    redis.start_again().await.unwrap();
    for text in ["1", "2"] {
        assert_eq!(there.next().await.1, text);
    }
    here.status(|status| *status == Status::Connected).await;
    here.publish(vec![Target::All], "4").await;
    assert_eq!(there.next().await.1, "4");
}

#[tokio::test]
async fn a_pause_of_redis_is_waited_for() {
    let redis = RedisServer::start().await.unwrap();
    let mut fleet = fleet(&redis, 2).await;
    let there = fleet.pop().unwrap();
    let here = fleet.pop().unwrap();
    redis.pause().unwrap();
    let publish = futures_util::future::join_all((0..50).map(|_| here.publish(vec![Target::All], "x")));
    let resume = async {
        tokio::task::yield_now().await;
        redis.resume().unwrap();
    };
    let (published, ()) = tokio::join!(publish, resume);
    assert!(published.iter().all(|published| (published.receivers, published.reach) == (2, Reach::Fleet)));
    assert_eq!(there.backplane.statistics().reconnects, 0);
}

#[tokio::test]
async fn what_redis_refuses_reaches_this_instance_and_is_told() {
    let redis = RedisServer::start().await.unwrap();
    let mut here = Instance::connected(&redis.connection_string()).await;
    let mut admin = admin(&redis).await;
    run(&mut admin, "ACL SETUSER default -publish").await;
    let published = here.publish(vec![Target::All], "refused").await;
    assert_eq!((published.receivers, published.reach), (1, Reach::ThisInstance));
    assert_eq!(here.next().await.1, "refused");
    let Status::Disconnected(reason) = here.lost().await else { unreachable!() };
    assert!(reason.starts_with(&redis.connection_string()) && reason.contains("NOPERM"), "{reason}");
    assert_eq!(here.backplane.statistics().refused, 1);

    run(&mut admin, "ACL SETUSER default +publish").await;
    assert_eq!(here.publish(vec![Target::All], "taken").await.reach, Reach::Fleet);
    here.status(|status| *status == Status::Connected).await;
    assert_eq!(here.next().await.1, "taken");
}

#[tokio::test]
async fn what_redis_refuses_for_the_moment_is_sent_later() {
    let redis = RedisServer::start().await.unwrap();
    let mut fleet = fleet(&redis, 2).await;
    let mut there = fleet.pop().unwrap();
    let mut here = fleet.pop().unwrap();
    let (mut busy, mut admin) = (admin(&redis).await, admin(&redis).await);
    run(&mut admin, "CONFIG SET busy-reply-threshold 1").await;
    let script = tokio::spawn(async move {
        let mut script = redis::cmd("EVAL");
        script.arg("while true do end").arg(0);
        script.query_async::<()>(&mut busy).await
    });
    redis.command_until(&["ECHO", "?"], |answer| answer.starts_with("BUSY")).await.unwrap();
    while here.next().await.1 != "all there?" {}
    for n in 0..100 {
        let published = here.publish(vec![Target::All], &format!("0 {n}")).await;
        assert_eq!((published.receivers, published.reach), (1, Reach::Queued));
    }
    let Status::Disconnected(reason) = here.lost().await else { unreachable!() };
    assert!(reason.contains("BUSY"), "{reason}");
    run(&mut admin, "SCRIPT KILL").await;
    assert!(script.await.unwrap().is_err());
    here.status(|status| *status == Status::Connected).await;
    here.publish(vec![Target::All], "end").await;
    for instance in [&mut here, &mut there] {
        instance.hears_each_once_in_order(1, 100).await;
        assert_eq!(instance.backplane.statistics().refused, 0);
    }
    assert_eq!(here.backplane.statistics().replayed, 100);
}

#[tokio::test]
async fn a_changed_password_is_told_and_waited_out() {
    let redis = RedisServer::start().await.unwrap();
    let mut fleet = fleet(&redis, 2).await;
    let mut there = fleet.pop().unwrap();
    let here = fleet.pop().unwrap();
    let mut admin = admin(&redis).await;
    run(&mut admin, "CONFIG SET requirepass changed").await;
    for kind in ["normal", "pubsub"] {
        run(&mut admin, &format!("CLIENT KILL TYPE {kind} SKIPME yes")).await;
    }
    for instance in [&here, &there] {
        instance.status(|s| matches!(s, Status::Disconnected(reason) if reason.contains("NOAUTH"))).await;
    }
    assert_eq!(here.publish(vec![Target::All], "meanwhile").await.reach, Reach::Queued);
    let () =
        redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("").query_async(&mut admin).await.unwrap();
    here.status(|status| *status == Status::Connected).await;
    while there.next().await.1 != "meanwhile" {}
}

/// As it does when `client-output-buffer-limit pubsub` is passed.
#[tokio::test]
async fn a_subscriber_that_redis_cuts_off_comes_back() {
    let redis = RedisServer::start().await.unwrap();
    let mut fleet = fleet(&redis, 2).await;
    let mut there = fleet.pop().unwrap();
    let here = fleet.pop().unwrap();
    let mut admin = admin(&redis).await;
    let () = redis::cmd("CONFIG")
        .arg(&["SET", "client-output-buffer-limit", "pubsub 1mb 0 0"])
        .query_async(&mut admin)
        .await
        .unwrap();
    // Delivered to neither: each copy is over the limit.
    here.publish(vec![Target::All], &"x".repeat(2_000_000)).await;
    while here.backplane.statistics().reconnects + there.backplane.statistics().reconnects < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(here.publish(vec![Target::All], "next").await.receivers, 2);
    while there.next().await.1 != "next" {}
}

/// `PUBLISH` itself needs no memory that counts, and goes on.
#[tokio::test]
async fn a_redis_without_memory_still_publishes() {
    let redis =
        RedisServer::start_with(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]).await.unwrap();
    let mut admin = admin(&redis).await;
    let full: redis::RedisResult<()> = redis::cmd("SET").arg("k").arg("v").query_async(&mut admin).await;
    assert!(full.unwrap_err().to_string().contains("OOM"));
    let mut here = Instance::connected(&redis.connection_string()).await;
    here.hub.subscribe(group("g")).await;
    assert_eq!(here.publish(vec![Target::Subject(group("g"))], "through").await.reach, Reach::Fleet);
    assert_eq!(here.next().await.1, "through");
}

/// Redis counts for itself what it has: channels, and bytes.
#[tokio::test]
async fn a_hundred_thousand_joins_and_leaves_leave_redis_as_it_was() {
    const GROUPS: usize = 1000;
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::connected(&redis.connection_string()).await;
    let mut admin = admin(&redis).await;
    let round = async || {
        futures_util::future::join_all((0..GROUPS).map(|n| here.hub.subscribe(group(&format!("g{n}")))))
            .await;
        futures_util::future::join_all((0..GROUPS).map(|n| here.hub.unsubscribe(group(&format!("g{n}")))))
            .await;
        // Behind the last of them on the same link.
        here.hub.subscribe(group("last")).await;
        here.hub.unsubscribe(group("last")).await;
    };
    round().await;
    let before = (channels(&mut admin).await, memory(&mut admin).await);
    for _ in 1..100_000 / GROUPS {
        round().await;
    }
    let after = (channels(&mut admin).await, memory(&mut admin).await);
    println!("channels and bytes of Redis: {before:?} before, {after:?} after");
    assert!(before.0 <= 5 && after.0 <= 5, "{before:?}, {after:?}");
    assert!(after.1 < before.1 + 256 * 1024, "{before:?}, {after:?}");
}

async fn channels(admin: &mut redis::aio::MultiplexedConnection) -> usize {
    let channels: Vec<String> = redis::cmd("PUBSUB").arg("CHANNELS").query_async(admin).await.unwrap();
    channels.len()
}

async fn memory(admin: &mut redis::aio::MultiplexedConnection) -> u64 {
    let info: String = redis::cmd("INFO").arg("memory").query_async(admin).await.unwrap();
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    used.unwrap().trim().parse().unwrap()
}
