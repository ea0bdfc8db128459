use hubline_backplane::conformance::{Targets, one_instance, two_instances};
use hubline_backplane::{Backplane, Reach, Subject, Target};
use hubline_redis::RedisBackplane;
use hubline_testkit::RedisServer;

use crate::instance::{Instance, attach, group, next, publication};

#[tokio::test]
async fn one_instance_conforms() {
    let redis = RedisServer::start().await.unwrap();
    let backplane = connected(&redis).await;
    one_instance(&backplane, Targets::OnOneNode).await;
}

#[tokio::test]
async fn two_instances_conform() {
    let redis = RedisServer::start().await.unwrap();
    let (one, other) = (connected(&redis).await, connected(&redis).await);
    two_instances(&one, &other).await;
}

#[tokio::test]
async fn hubs_of_one_process_do_not_mix() {
    let redis = RedisServer::start().await.unwrap();
    let backplane = connected(&redis).await;
    let (chat, mut to_chat) = attach(&backplane, "Chat");
    let (calls, mut to_calls) = attach(&backplane, "Calls");
    for hub in [&chat, &calls] {
        hub.subscribe(group("g")).await;
    }
    let target = vec![Target::Subject(group("g"))];
    assert_eq!(chat.publish(publication(target.clone(), "to chat")).await.unwrap().receivers, 1);
    calls.publish(publication(target, "to calls")).await.unwrap();
    assert_eq!(next(&mut to_chat).await.2, "to chat");
    assert_eq!(next(&mut to_calls).await.2, "to calls");
    assert!(to_chat.is_empty() && to_calls.is_empty());
}

#[tokio::test]
async fn a_hub_that_is_gone_can_be_attached_again() {
    let redis = RedisServer::start().await.unwrap();
    let backplane = connected(&redis).await;
    drop(attach(&backplane, "Chat"));
    let (hub, mut delivered) = attach(&backplane, "Chat");
    hub.subscribe(group("g")).await;
    hub.publish(publication(vec![Target::All], "again")).await.unwrap();
    assert_eq!(next(&mut delivered).await.2, "again");
}

#[tokio::test]
async fn receivers_are_counted_over_instances_and_targets() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::connected(&redis.connection_string()).await;
    let there = Instance::connected(&redis.connection_string()).await;
    let connection = |id: &str| Subject::Connection(id.into());
    there.hub.subscribe(connection("c")).await;

    assert_eq!(here.publish(vec![Target::All], "x").await.receivers, 2);
    assert_eq!(here.publish(vec![Target::Subject(connection("nobody"))], "x").await.receivers, 0);
    let twice = vec![Target::Subject(connection("c")); 2];
    let published = here.publish(twice, "x").await;
    assert_eq!((published.receivers, published.reach), (2, Reach::Fleet));
    assert_eq!(here.publish(Vec::new(), "x").await.receivers, 0);
}

#[tokio::test]
async fn a_large_message_arrives() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::connected(&redis.connection_string()).await;
    let mut there = Instance::connected(&redis.connection_string()).await;
    let text = "x".repeat(10_000_000);
    here.publish(vec![Target::All], &text).await;
    assert!(there.next().await == (Target::All, text));
    let error = here.hub.publish(publication(vec![Target::All], &"x".repeat(20_000_000))).await.unwrap_err();
    assert!(matches!(error, hubline_backplane::PublishError::Refused(_)), "{error}");
    // On a busy machine the links may have been silent for so long with the first one that others took their place.
    here.publish_until(2, &[Target::All], "next").await;
}

#[tokio::test]
async fn concurrent_publishers_lose_nothing_and_keep_their_own_order() {
    const PUBLISHERS: usize = 20;
    const EACH: usize = 200;
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::connected(&redis.connection_string()).await;
    let mut there = Instance::connected(&redis.connection_string()).await;
    let drain = async {
        let mut next_of = [0; PUBLISHERS];
        for _ in 0..PUBLISHERS * EACH {
            let (_, text) = there.next().await;
            let (publisher, n) = text.split_once(' ').unwrap();
            let expected = &mut next_of[publisher.parse::<usize>().unwrap()];
            assert_eq!(n, expected.to_string());
            *expected += 1;
        }
    };
    let publish = futures_util::future::join_all((0..PUBLISHERS).map(|publisher| {
        let here = &here;
        async move {
            for n in 0..EACH {
                here.publish(vec![Target::All], &format!("{publisher} {n}")).await;
            }
        }
    }));
    tokio::join!(drain, publish);
    assert!(there.is_quiet());
}

async fn connected(redis: &RedisServer) -> RedisBackplane {
    let backplane = RedisBackplane::connect(redis.connection_string().parse().unwrap()).await.unwrap();
    let mut status = backplane.status();
    status.wait_for(|status| *status == hubline_backplane::Status::Connected).await.unwrap();
    backplane
}
