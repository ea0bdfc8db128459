use hubline_backplane::{Reach, Status, Target};
use hubline_redis::{RawInbox, RawPublishError};
use hubline_testkit::RedisServer;

use crate::instance::Instance;

#[tokio::test]
async fn payloads_arrive_by_name_and_count_their_receivers() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let here = Instance::connected(&format!("{at},channelPrefix=p:")).await.backplane.raw_channels();
    let there = Instance::connected(&format!("{at},channelPrefix=p:")).await.backplane.raw_channels();
    let elsewhere = Instance::connected(&at).await.backplane.raw_channels();
    let (inbox, mut messages) = RawInbox::new(16, 1024);
    let first = there.subscribe("a é", &inbox).await;
    let second = there.subscribe("b", &inbox).await;

    assert_eq!(here.publish("a é", "1").await, Ok(1));
    assert_eq!(elsewhere.publish("a é", "not this prefix").await, Ok(0));
    assert_eq!(elsewhere.publish("p:b", "2").await, Ok(1));
    for (channel, payload) in [("a é", "1"), ("b", "2")] {
        let message = messages.next().await.unwrap();
        assert_eq!((&*message.channel, &*message.payload), (channel, payload.as_bytes()));
    }
    drop(first);
    // What is subscribed on the same link afterwards is confirmed afterwards.
    let _again = there.subscribe("c", &inbox).await;
    assert_eq!(here.publish("a é", "gone").await, Ok(0));
    drop((second, inbox));
    assert_eq!(here.publish("c", "3").await, Ok(1));
    assert_eq!(messages.next().await.unwrap().payload, "3");
}

#[tokio::test]
async fn without_a_link_nothing_is_published_and_nothing_is_kept() {
    let mut redis = RedisServer::start().await.unwrap();
    let here = Instance::connected(&redis.connection_string()).await;
    let channels = here.backplane.raw_channels();
    let (inbox, mut messages) = RawInbox::new(16, 1024);
    let _subscription = channels.subscribe("c", &inbox).await;
    redis.stop().await.unwrap();
    here.lost().await;
    let refused = channels.publish("c", "lost").await;
    assert!(matches!(refused, Err(RawPublishError::NotConnected(_))), "{refused:?}");
    redis.start_again().await.unwrap();
    here.status(|status| *status == Status::Connected).await;
    assert_eq!(channels.publish("c", "found").await, Ok(1));
    assert_eq!(messages.next().await.unwrap().payload, "found");
}

#[tokio::test]
async fn a_frozen_redis_leaves_it_open_whether_a_payload_arrived() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::connected(&format!("{},asyncTimeout=200", redis.connection_string())).await;
    redis.pause().unwrap();
    assert_eq!(here.backplane.raw_channels().publish("c", "x").await, Err(RawPublishError::Unanswered));
    redis.resume().unwrap();
}

#[tokio::test]
async fn an_inbox_that_nobody_reads_holds_up_no_hub() {
    let redis = RedisServer::start().await.unwrap();
    let mut here = Instance::connected(&redis.connection_string()).await;
    let channels = here.backplane.raw_channels();
    let (inbox, messages) = RawInbox::new(1, 1024);
    let _subscription = channels.subscribe("c", &inbox).await;
    for _ in 0..10 {
        assert_eq!(channels.publish("c", "x").await, Ok(1));
    }
    assert_eq!(here.publish(vec![Target::All], "through").await.reach, Reach::Fleet);
    assert_eq!(here.next().await.1, "through");
    assert_eq!(messages.dropped(), 9);
}
