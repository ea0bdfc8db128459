//! The numbers of publications, and echoes that are told apart by them.

use futures_util::StreamExt;
use hubline_backplane::{ClientInvocation, Frames, HubBackplane, InstanceId, Reach, Target};
use hubline_protocol::{HubProtocol, encode};
use hubline_redis::wire::{Invocation, Messages, PublicationId};
use hubline_testkit::{RedisServer, SlowLink};

use crate::instance::{Instance, group, publication};

/// Channels and ids of all invocations on Redis from now on.
async fn seen(redis: &RedisServer) -> impl futures_util::Stream<Item = (String, PublicationId)> + Unpin {
    let client = redis::Client::open(format!("redis://{}", redis.connection_string())).unwrap();
    let mut seen = client.get_async_pubsub().await.unwrap();
    seen.psubscribe("Chat:*").await.unwrap();
    seen.into_on_message().map(|message| {
        let id = Invocation::decode(message.get_payload_bytes()).unwrap().id.unwrap();
        (message.get_channel_name().to_owned(), id)
    })
}

#[tokio::test]
async fn publications_are_numbered_for_each_origin_and_channel() {
    let redis = RedisServer::start().await.unwrap();
    let link = SlowLink::to(redis.port()).await.unwrap();
    let here = Instance::connected(&format!("{},asyncTimeout=200", link.connection_string())).await;
    let there = Instance::connected(&redis.connection_string()).await;
    there.hub.subscribe(hubline_backplane::Subject::Connection("c".into())).await;
    let mut on_redis = seen(&redis).await;
    let several = || vec![Target::All, Target::Subject(group("g"))];
    let mut next = async |channel: &str| {
        let (on, id) = on_redis.next().await.unwrap();
        assert_eq!(on, format!("Chat:{channel}"));
        id
    };
    here.publish(several(), "1").await;
    let first = next("all").await;
    assert_eq!((first.number, first.is_replay), (1, false));
    assert_eq!(next("group:g").await, first);
    here.publish(several(), "2").await;
    there.publish(vec![Target::All], "1").await;
    assert_eq!(next("all").await, PublicationId { number: 2, ..first });
    assert_eq!(next("group:g").await, PublicationId { number: 2, ..first });
    let other = next("all").await;
    assert!(other.number == 1 && other.origin != first.origin, "{other:?}");

    // An invocation that returns a result is numbered with the messages to the connection.
    let connection = Target::Subject(hubline_backplane::Subject::Connection("c".into()));
    here.publish(vec![connection], "1").await;
    assert_eq!(next("connection:c").await, first);
    let frames = Frames::encode(|protocol| encode::invocation(protocol.into(), Some("q"), "Ask", &(1,)));
    let invocation =
        ClientInvocation { connection: "c".into(), invocation_id: "q".into(), frames: frames.unwrap() };
    here.hub.invoke(invocation).await.unwrap();
    assert_eq!(next("connection:c").await, PublicationId { number: 2, ..first });

    // What had to wait says so. What a link has swallowed has taken its number.
    link.stall();
    here.hub.post(publication(vec![Target::All], "3")).await.unwrap();
    here.lost().await;
    assert_eq!(here.publish(vec![Target::All], "4").await.reach, Reach::Queued);
    assert_eq!(next("all").await, PublicationId { number: 4, is_replay: true, ..first });
}

/// The payload of [`publication`] as another server publishes it.
fn of_another_server(text: &str) -> Vec<u8> {
    let frames = publication(Vec::new(), text).frames;
    let [json, message_pack] = HubProtocol::ALL.map(|protocol| frames.get(protocol).unwrap().payload());
    let messages = Messages { json: Some(&json), message_pack: Some(&message_pack) };
    Invocation { excluded: [].into(), messages, answer_to: None, id: None, trace_parent: None }.encode()
}

async fn post_same(hub: &dyn HubBackplane, times: usize) {
    for _ in 0..times {
        hub.post(publication(vec![Target::All], "same")).await.unwrap();
    }
}

async fn hears_same(instance: &mut Instance, times: usize) {
    for _ in 0..times {
        while instance.next().await.1 != "same" {}
    }
}

#[tokio::test]
async fn equal_messages_are_told_apart_however_late_the_first_ones_come_back() {
    let redis = RedisServer::start().await.unwrap();
    let link = SlowLink::to(redis.port()).await.unwrap();
    let mut here = Instance::connected(&format!("{},asyncTimeout=200", link.connection_string())).await;
    let mut there = Instance::connected(&redis.connection_string()).await;
    for instance in [&here, &there] {
        instance.publish_until(2, &[Target::All], "all there?").await;
    }
    // Swallowed, and delivered here: their echoes are owed.
    link.stall();
    post_same(&*here.hub, 50).await;
    hears_same(&mut here, 50).await;
    here.status(|status| *status == hubline_backplane::Status::Connected).await;
    // The same again on other links, from here and from a server without numbers: none of them is one of the first.
    post_same(&*here.hub, 50).await;
    hears_same(&mut here, 50).await;
    hears_same(&mut there, 50).await;
    let client = redis::Client::open(format!("redis://{}", redis.connection_string())).unwrap();
    let mut other = client.get_multiplexed_async_connection().await.unwrap();
    let payload = of_another_server("same");
    let _: i64 = redis::cmd("PUBLISH").arg("Chat:all").arg(&payload).query_async(&mut other).await.unwrap();
    hears_same(&mut here, 1).await;
    hears_same(&mut there, 1).await;
    // Now the first ones run after all, for the others alone.
    link.go_on();
    hears_same(&mut there, 50).await;
    here.publish(vec![Target::All], "end").await;
    for instance in [&mut here, &mut there] {
        assert_eq!(instance.next().await.1, "end");
        assert!(instance.is_quiet());
    }
}

#[test]
fn an_id_takes_a_dozen_bytes() {
    let with = |id| Invocation {
        excluded: [].into(),
        messages: Messages::default(),
        answer_to: None,
        id,
        trace_parent: None,
    };
    let id = |number| PublicationId { origin: InstanceId::from_bytes([0xff; 8]), number, is_replay: false };
    let without = with(None).encode().len();
    let sizes = [1, 1_000_000].map(|number| with(Some(id(number))).encode().len() - without);
    assert_eq!(sizes, [11, 15]);
}
