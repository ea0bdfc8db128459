//! What clients send by POST.

use std::pin::pin;

use bytes::Bytes;
use http::Request;
use http_body_util::channel::Channel;
use hubline_pipe::PipeEnd;

use crate::hub::{Hub, collect, is_pending, options};

const TEXT: Option<&str> = Some("text/plain");

#[tokio::test]
async fn a_post_before_the_transport_is_refused() {
    let mut hub = Hub::new(options());
    let token = hub.negotiate().await;
    assert_eq!(hub.post(&token, b"hand").await.summary(), (400, None, ""));
    hub.get(&token).await;
    let mut connection = hub.accept().await;
    assert_eq!(hub.post(&token, b"handshake").await.summary(), (200, TEXT, ""));
    assert_eq!(connection.receive().await.unwrap(), "handshake");
}

#[tokio::test]
async fn a_post_waits_for_room_and_later_ones_for_their_turn() {
    let mut hub = Hub::new(options().application_max_buffer_size(4));
    let token = hub.negotiate().await;
    let _stream = hub.events(&token).await;
    let mut connection = hub.accept().await;
    let mut first = pin!(hub.post(&token, b"abcdef"));
    assert!(is_pending(first.as_mut()).await);
    let mut second = pin!(hub.post(&token, b"gh"));
    assert!(is_pending(second.as_mut()).await);
    assert_eq!(connection.receive().await.unwrap(), "abcd");
    assert!(is_pending(second.as_mut()).await, "the first has not entered whole");
    assert_eq!(first.await.status, 200);
    assert_eq!(second.await.status, 200);
    assert_eq!(connection.receive().await.unwrap(), "efgh");
}

#[tokio::test]
async fn a_body_is_taken_as_it_comes_and_a_broken_one_is_refused() {
    let mut hub = Hub::new(options());
    let token = hub.negotiate().await;
    hub.get(&token).await;
    let mut connection = hub.accept().await;
    let (mut client, body) = Channel::<Bytes, std::io::Error>::new(1);
    let request = Request::post(format!("/hub?id={token}")).body(body).unwrap();
    let answer = tokio::spawn(hub.endpoint.respond(request));
    client.send_data(Bytes::from_static(b"begun")).await.unwrap();
    assert_eq!(connection.receive().await.unwrap(), "begun");
    client.abort(std::io::ErrorKind::ConnectionReset.into());
    assert_eq!(collect(answer.await.unwrap()).await.summary(), (400, TEXT, ""));
    assert_eq!(hub.post(&token, b"next").await.status, 200, "the turn was given back");
}

#[tokio::test]
async fn the_end_of_the_connection_ends_a_body_that_does_not_come() {
    let mut hub = Hub::new(options());
    let token = hub.negotiate().await;
    hub.get(&token).await;
    let mut connection = hub.accept().await;
    let (_client, body) = Channel::<Bytes, std::io::Error>::new(1);
    let request = Request::post(format!("/hub?id={token}")).body(body).unwrap();
    let mut stuck = pin!(hub.endpoint.respond(request));
    assert!(is_pending(stuck.as_mut()).await);
    let mut behind = pin!(hub.post(&token, b"x"));
    assert!(is_pending(behind.as_mut()).await);
    hub.delete(&token).await;
    assert_eq!(collect(stuck.await).await.status, 404);
    assert_eq!(behind.await.status, 404);
    assert_eq!(connection.receive().await, Err(PipeEnd::InputEnded));
}

#[tokio::test]
async fn what_was_under_way_to_a_connection_that_ends_is_answered_as_sent() {
    let mut hub = Hub::new(options());
    let token = hub.negotiate().await;
    hub.get(&token).await;
    let connection = hub.accept().await;
    let (mut client, body) = Channel::<Bytes, std::io::Error>::new(1);
    let request = Request::post(format!("/hub?id={token}")).body(body).unwrap();
    let mut under_way = pin!(hub.endpoint.respond(request));
    assert!(is_pending(under_way.as_mut()).await);
    drop(connection);
    client.send_data(Bytes::from(vec![0; 100])).await.unwrap();
    drop(client);
    assert_eq!(collect(under_way.await).await.status, 200);
}
