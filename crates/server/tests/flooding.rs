//! A client that sends more than others read, and what one client may ask for, over real sockets.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod client;
mod request;

use std::time::Duration;

use client::{connect, frame};
use hubline_testkit::{Launch, RedisServer, ServerProcess};
use request::ask;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);
const LETTERS: usize = 200;

fn hubline() -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve").arg("--dev")
}

/// The value of a series that there is.
async fn figure(port: u16, series: &str) -> f64 {
    let (_, body) = ask(port, "GET /metrics", "").await;
    let value = body.lines().find_map(|line| line.strip_prefix(series));
    value.unwrap_or_else(|| panic!("no {series}")).trim().parse().unwrap()
}

async fn call(socket: &mut (impl AsyncWrite + Unpin), id: Option<u32>, method: &str, arguments: &str) {
    let id = id.map(|id| format!(r#""invocationId":"{id}","#)).unwrap_or_default();
    let message = format!(r#"{{"type":1,{id}"target":"{method}","arguments":[{arguments}]}}"#);
    socket.write_all(&frame(&message)).await.unwrap();
}

/// Reads until this has come so often.
async fn read_until(socket: &mut TcpStream, text: &str, times: usize) {
    let (mut kept, mut seen) = (Vec::new(), 0);
    while seen < times {
        assert!(socket.read_buf(&mut kept).await.unwrap() > 0, "closed after {seen} of {times}");
        let mut from = 0;
        while let Some(at) = find(&kept[from..], text.as_bytes()) {
            (seen, from) = (seen + 1, from + at + text.len());
        }
        // The text may have begun at the end.
        kept.drain(..from.max(kept.len().saturating_sub(text.len() - 1)));
    }
}

/// Fast enough for megabytes without optimization, as long as its first byte is rare.
fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == text[0]) {
        if bytes[from + at..].starts_with(text) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[tokio::test]
async fn readers_of_a_room_are_waited_for_and_none_is_cut_off() {
    nobody_is_cut_off(hubline()).await;
}

#[tokio::test]
async fn so_they_are_where_redis_brings_messages_back() {
    let redis = RedisServer::start().await.unwrap();
    nobody_is_cut_off(hubline().arg("--redis").arg(redis.connection_string())).await;
}

async fn nobody_is_cut_off(launch: Launch) {
    let launch = launch.env("SignalR__SenderHoldTimeout", "60").env("SignalR__StalledReaderTimeout", "60");
    let port = launch.port();
    let _server = ServerProcess::start(launch).await.unwrap();
    let mut readers = Vec::new();
    for _ in 0..3 {
        let mut reader = connect(port, "/chathub").await;
        call(&mut reader, Some(1), "JoinRoom", "\"room\"").await;
        read_until(&mut reader, r#""invocationId":"1""#, 1).await;
        readers.push(reader);
    }
    let mut flooder = connect(port, "/chathub").await;
    call(&mut flooder, Some(1), "JoinRoom", "\"room\"").await;
    read_until(&mut flooder, r#""invocationId":"1""#, 1).await;
    // Who sends to a room is in it, and this one reads.
    let (mut letters, mut flooder) = flooder.into_split();
    let mut nowhere = sink();
    let flooding = tokio::spawn(async move {
        let letter = format!("\"room\",\"{}\"", "x".repeat(30_000));
        let send = async {
            for _ in 0..LETTERS {
                call(&mut flooder, None, "SendToRoom", &letter).await;
            }
            std::future::pending().await
        };
        tokio::select! {
            read = copy(&mut letters, &mut nowhere) => drop(read),
            () = send => {}
        }
    });
    // Nobody reads until the flooder is held.
    let held = async {
        let held = "hubline_hub_senders_held_total{hub=\"ChatHub\",end=\"room\"}";
        while figure(port, held).await == 0.0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, held).await.unwrap();
    let reading = readers.into_iter().map(|mut reader| {
        tokio::spawn(async move {
            read_until(&mut reader, "ReceiveRoomMessage", LETTERS).await;
            reader
        })
    });
    for reader in reading.collect::<Vec<_>>() {
        drop(timeout(PATIENCE, reader).await.unwrap().unwrap());
    }
    flooding.abort();
    let closed = "hubline_hub_connections_closed_total{hub=\"ChatHub\",reason=\"slow_client\"}";
    assert_eq!(figure(port, closed).await, 0.0);
}

#[tokio::test]
async fn names_and_groups_have_limits_that_are_named_and_counted() {
    let launch = hubline().env("Limits__GroupsPerConnection", "2").env("Limits__GroupNameBytes", "100");
    let port = launch.port();
    let _server = ServerProcess::start(launch).await.unwrap();
    let mut client = connect(port, "/chathub").await;
    for (id, method, argument, answer) in [
        (1, "JoinRoom", "\"a\"".to_owned(), r#""invocationId":"1","result":null"#),
        (2, "JoinRoom", "\"b\"".to_owned(), r#""invocationId":"2","result":null"#),
        (3, "JoinRoom", "\"c\"".to_owned(), "in 2 groups by its own calls (Limits:GroupsPerConnection)"),
        (
            4,
            "JoinRoom",
            format!("\"{}\"", "x".repeat(101)),
            "100 bytes in a client's call (Limits:GroupNameBytes)",
        ),
        (5, &"x".repeat(257), String::new(), "256 bytes (Limits:MethodNameBytes)"),
    ] {
        call(&mut client, Some(id), method, &argument).await;
        timeout(PATIENCE, read_until(&mut client, answer, 1)).await.unwrap();
    }
    for (limit, count) in [
        ("groups_per_connection", 1.0),
        ("group_name_bytes", 1.0),
        ("method_name_bytes", 1.0),
        ("messages_per_second", 0.0),
    ] {
        let counter = format!("hubline_hub_clients_limited_total{{hub=\"ChatHub\",limit=\"{limit}\"}}");
        assert_eq!(figure(port, &counter).await, count, "{limit}");
    }
}

#[tokio::test]
async fn who_sends_too_fast_is_held_back_and_not_closed() {
    let launch = hubline().env("Limits__MessagesPerSecond", "1000");
    let port = launch.port();
    let _server = ServerProcess::start(launch).await.unwrap();
    let mut client = connect(port, "/chathub").await;
    // In one write, so that they come within a second however busy the machine is.
    client.write_all(&frame("{\"type\":6}").repeat(2000)).await.unwrap();
    call(&mut client, Some(1), "LeaveRoom", "\"a\"").await;
    timeout(PATIENCE, read_until(&mut client, r#""invocationId":"1","result":null"#, 1)).await.unwrap();
    let counter = "hubline_hub_clients_limited_total{hub=\"ChatHub\",limit=\"messages_per_second\"}";
    assert!(figure(port, counter).await >= 1.0);
}
