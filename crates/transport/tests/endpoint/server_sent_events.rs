//! Event streams.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use hubline_pipe::{CloseOutcome, PipeEnd};
use hubline_transport::{Aborted, Body};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::hub::{Connection, Hub, is_pending, options};
use crate::web_sockets::serve;

async fn next(response: &mut Response<Body>) -> Option<Result<Bytes, Aborted>> {
    let frame = response.body_mut().frame().await?;
    Some(frame.map(|frame| frame.into_data().unwrap()))
}

/// The handshake of HTTP, up to the opening comment.
async fn open(hub: &mut Hub) -> (String, Response<Body>, Connection) {
    let token = hub.negotiate().await;
    let mut response = hub.events(&token).await;
    assert_eq!(next(&mut response).await.unwrap().unwrap(), ":\r\n");
    let connection = hub.accept().await;
    (token, response, connection)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers[name].to_str().unwrap()
}

#[tokio::test]
async fn headers_and_events_are_as_recorded() {
    let mut hub = Hub::new(options());
    let (_, mut response, mut connection) = open(&mut hub).await;
    assert_eq!(response.status(), 200);
    let headers = response.headers();
    assert_eq!(header(headers, "content-type"), "text/event-stream");
    assert_eq!(header(headers, "cache-control"), "no-cache,no-store");
    assert_eq!(header(headers, "pragma"), "no-cache");
    assert_eq!(header(headers, "content-encoding"), "identity");
    assert_eq!(header(headers, "x-accel-buffering"), "no");

    connection.send("{}\u{1e}").await.unwrap();
    assert_eq!(next(&mut response).await.unwrap().unwrap(), "data: {}\u{1e}\r\n\r\n");
    connection.send("a\r\nb\nc").await.unwrap();
    assert_eq!(next(&mut response).await.unwrap().unwrap(), "data: a\r\ndata: b\r\ndata: c\r\n\r\n");
}

#[tokio::test]
async fn what_waits_goes_out_together() {
    let mut hub = Hub::new(options());
    let (_, mut response, mut connection) = open(&mut hub).await;
    connection.send("1").await.unwrap();
    connection.send("2").await.unwrap();
    assert_eq!(next(&mut response).await.unwrap().unwrap(), "data: 1\r\n\r\ndata: 2\r\n\r\n");
}

#[tokio::test]
async fn the_stream_ends_behind_the_last_event() {
    let mut hub = Hub::new(options());
    let (token, mut response, mut connection) = open(&mut hub).await;
    connection.send("last").await.unwrap();
    let reader = tokio::spawn(async move {
        assert_eq!(next(&mut response).await.unwrap().unwrap(), "data: last\r\n\r\n");
        assert!(next(&mut response).await.is_none());
    });
    assert_eq!(connection.close().await, CloseOutcome::Lost);
    reader.await.unwrap();
    drop(connection);
    tokio::task::yield_now().await;
    assert_eq!(hub.post(&token, b"x").await.summary().2, "No Connection with that ID");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_to_the_end_is_silent() {
    let mut hub = Hub::new(options());
    let (_, mut response, mut connection) = open(&mut hub).await;
    connection.send("last").await.unwrap();
    assert_eq!(connection.close().await, CloseOutcome::Silent);
    assert_eq!(next(&mut response).await, Some(Err(Aborted)));
}

#[tokio::test]
async fn a_slow_reader_makes_the_hub_wait() {
    let mut hub = Hub::new(options().transport_max_buffer_size(1000));
    let (_, mut response, mut connection) = open(&mut hub).await;
    connection.send(&"x".repeat(1000)).await.unwrap();
    let mut second = pin!(connection.send("y"));
    assert!(is_pending(second.as_mut()).await);
    next(&mut response).await.unwrap().unwrap();
    second.await.unwrap();
    assert_eq!(next(&mut response).await.unwrap().unwrap(), "data: y\r\n\r\n");
}

#[tokio::test]
async fn a_client_that_goes_is_noticed_in_both_directions() {
    let mut hub = Hub::new(options());
    let (token, response, mut connection) = open(&mut hub).await;
    assert_eq!(hub.post(&token, b"before").await.status, 200);
    drop(response);
    assert_eq!(connection.receive().await.unwrap(), "before");
    assert_eq!(connection.receive().await, Err(PipeEnd::Lost));
    assert_eq!(connection.send("x").await, Err(PipeEnd::Lost));
    assert_eq!(hub.post(&token, b"after").await.summary(), (404, Some("text/plain"), ""));
}

#[tokio::test]
async fn over_a_socket_the_opening_comes_at_once_and_the_end_is_noticed() {
    let mut hub = Hub::new(options());
    let token = hub.negotiate().await;
    let address = serve(&hub).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /hub?id={token} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n3\r\n:\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let mut connection = hub.accept().await;
    connection.send("x").await.unwrap();
    let mut event = [0; 16];
    socket.read_exact(&mut event).await.unwrap();
    assert_eq!(&event, b"B\r\ndata: x\r\n\r\n\r\n");
    drop(socket);
    let lost = tokio::time::timeout(Duration::from_secs(10), connection.receive()).await;
    assert_eq!(lost, Ok(Err(PipeEnd::Lost)));
}
