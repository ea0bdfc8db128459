//! What the console shows of every transport and protocol, of a client that comes back and of one that does not read; acts on groups.

use hubline_testkit::{Cluster, RedisServer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::{Client, begun};
use super::{ADMIN_KEY, CHAT, PATIENCE, fleet_at, hub, negotiated, page, port, token};

const RESUMES: &str = "--SignalR:AllowStatefulReconnects=true";

/// A client of the chat over HTTP, past its handshake. What is returned holds its transport.
async fn over_http(port: u16, user: &str, accept: &str) -> TcpStream {
    let (_, path) = negotiated(port, user, "").await;
    let key = format!("Authorization: Bearer {}\r\n", token(user));
    let line = format!("GET {path}");
    let mut transport = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert_eq!(begun(&mut transport, &line, &format!("{key}Accept: {accept}\r\n")).await, 200);
    let handshake = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
    let mut post = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{key}Content-Length: {}\r\n\r\n{handshake}",
        handshake.len()
    );
    post.write_all(request.as_bytes()).await.unwrap();
    if accept == "*/*" {
        // The first poll is answered at once; this one gets the answer to the handshake, the next one waits.
        for _ in 0..2 {
            let request = format!("{line} HTTP/1.1\r\nHost: localhost:{port}\r\n{key}\r\n");
            transport.write_all(request.as_bytes()).await.unwrap();
        }
    }
    let (mut read, mut answer) = (Vec::new(), [0; 1024]);
    while !read.windows(3).any(|bytes| bytes == b"{}\x1e") {
        let length = timeout(PATIENCE, transport.read(&mut answer)).await.unwrap().unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&read));
        read.extend(&answer[..length]);
    }
    transport
}

#[tokio::test]
async fn every_transport_and_protocol_is_counted_and_found() {
    let redis = RedisServer::start().await.unwrap();
    let servers = fleet_at(&redis.connection_string(), &["one", "two"], RESUMES).await;
    let [one, two] = [0, 1].map(|server: usize| port(&servers[server]));
    let mut console = Client::console(two, ADMIN_KEY).await;
    let _events = over_http(one, "sse", "text/event-stream").await;
    let _polls = over_http(two, "lp", "*/*").await;
    let path = format!("{CHAT}?access_token={}", token("mp"));
    let mut packed = Client::upgraded(one, &path, "").await.unwrap();
    packed.shake_hands(r#"{"protocol":"messagepack","version":1}"#).await;
    let snapshot = console.watch_until("four", |snapshot| snapshot["total"]["connections"] == 4).await;
    let total = &snapshot["total"];
    assert_eq!(total["byTransport"], json!({ "webSockets": 2, "serverSentEvents": 1, "longPolling": 1 }));
    assert_eq!((&total["byProtocol"], hub(total, "ChatHub")), (&json!({ "json": 3, "messagePack": 1 }), 3));
    for (user, transport, protocol) in [
        ("sse", "serverSentEvents", "json"),
        ("lp", "longPolling", "json"),
        ("mp", "webSockets", "messagePack"),
    ] {
        let found = console.find("user", user).await;
        assert_eq!((found.len(), &found[0]["transport"]), (1, &json!(transport)), "{found:?}");
        assert_eq!(found[0]["protocol"], protocol, "{found:?}");
    }

    // A client that lost its socket comes back, by another instance.
    let (id, path) = negotiated(one, "ada", "&useStatefulReconnect=true").await;
    let path = format!("{path}&access_token={}", token("ada"));
    let mut ada = Client::upgraded(one, &path, "").await.unwrap();
    ada.shake_hands(r#"{"protocol":"json","version":2}"#).await;
    drop(ada);
    console.timeline_with(&id, "lost").await;
    let _ada = Client::upgraded(two, &path, "").await.unwrap();
    let (kinds, timeline) = console.timeline_with(&id, "resumed").await;
    assert_eq!(kinds, ["negotiated", "connected", "lost", "resumed"], "{timeline}");
    assert_eq!(
        (&timeline["isConnected"], &timeline["entries"][3]["words"]),
        (&json!(true), &json!("came back"))
    );

    // A client that does not read is told of before it is closed.
    let _slow = Client::reading_little(one, "slow").await;
    let id = console.find("user", "slow").await[0]["id"].as_str().unwrap().to_owned();
    let send = json!([{ "kind": "send", "target": { "kind": "user", "id": "slow" }, "hub": "ChatHub", "method": "M", "arguments": ["x".repeat(32_000)] }]);
    for _ in 0..28 {
        console.call("Act", send.clone()).await.unwrap();
    }
    let (kinds, timeline) = console.timeline_with(&id, "slow").await;
    assert_eq!(kinds[..2], ["connected", "slow"], "{timeline}");
    let metrics = page(one, "/metrics").await;
    assert!(metrics.contains("hubline_console_messages_not_understood_total 0"), "{metrics}");
}

#[tokio::test]
async fn acts_on_a_group_reach_its_members_on_every_instance_over_a_cluster_too() {
    let (redis, cluster) = (RedisServer::start().await.unwrap(), Cluster::start(3).await.unwrap());
    for redis in [redis.connection_string(), cluster.connection_string()] {
        let servers = fleet_at(&redis, &["one", "two"], RESUMES).await;
        let [one, two] = [0, 1].map(|server: usize| port(&servers[server]));
        let mut console = Client::console(one, ADMIN_KEY).await;
        let mut members = [Client::chat(one, "ada").await, Client::chat(two, "bob").await];
        let mut other = Client::chat(two, "cy").await;
        for member in &mut members {
            member.call("JoinRoom", json!(["kitchen"])).await.unwrap();
        }
        console.watch_until("all", |snapshot| snapshot["total"]["connections"] == 4).await;
        let found = console.find("group", "kitchen").await;
        let mut users: Vec<_> = found.iter().map(|found| found["user"].as_str().unwrap()).collect();
        users.sort_unstable();
        assert_eq!(users, ["ada", "bob"], "{found:?}");

        let group = json!({ "kind": "group", "id": "kitchen" });
        let send = json!([{ "kind": "send", "target": group, "hub": "ChatHub", "method": "Notice", "arguments": ["tea"] }]);
        let close = json!([{ "kind": "close", "target": group, "hub": "ChatHub" }]);
        for (act, now, past) in [(send, "Sends Notice to", "Sent Notice to"), (close, "Closes", "Closed")] {
            let of = "2 connections in the group kitchen to ChatHub on 2 instances.";
            assert_eq!(console.call("Preview", act.clone()).await.unwrap()["words"], format!("{now} {of}"));
            let done = console.call("Act", act).await.unwrap();
            assert_eq!((&done["words"], &done["silent"]), (&json!(format!("{past} {of}")), &json!([])));
        }
        for mut member in members {
            let notice = member.message_with(|message| message["target"] == "Notice").await;
            assert_eq!(notice["arguments"], json!(["tea"]));
            assert!(!member.closed().await, "it is not to come back by itself");
        }
        assert_eq!(console.find("group", "kitchen").await, [Value::Null; 0]);
        other.call("JoinRoom", json!(["kitchen"])).await.unwrap();
        assert_eq!(console.find("group", "kitchen").await.len(), 1, "who was not in it stays");
    }
}
