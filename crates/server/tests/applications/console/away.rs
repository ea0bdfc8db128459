//! The console while Redis is away, and what others publish on its channels.

use hubline_testkit::RedisServer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::Client;
use super::{ADMIN_KEY, PATIENCE, fleet, hub, instances, page, port};

#[tokio::test]
async fn without_redis_an_instance_shows_itself_and_calls_nobody_gone_and_then_all_are_back() {
    let mut redis = RedisServer::start().await.unwrap();
    let servers = fleet(&redis, &["one", "two"]).await;
    let [one, two] = [0, 1].map(|server: usize| port(&servers[server]));
    let (mut here, mut there) = (Client::chat(one, "ada").await, Client::chat(two, "ada").await);
    let mut console = Client::console(one, ADMIN_KEY).await;
    let all_are_there = |snapshot: &Value| {
        instances(snapshot) == [("one", "up"), ("two", "up")] && hub(&snapshot["total"], "ChatHub") == 2
    };
    console.watch_until("both", all_are_there).await;

    redis.stop().await.unwrap();
    let alone = |snapshot: &Value| {
        let link = &snapshot["instances"][0]["figures"]["redis"]["status"];
        instances(snapshot)[1] == ("two", "silent")
            && link == "disconnected"
            && snapshot["redis"]["why"].is_string()
    };
    let snapshot = console.watch_until("alone", alone).await;
    assert_eq!((hub(&snapshot["total"], "ChatHub"), &snapshot["users"][0]["connections"]), (1, &json!(1)));
    assert!(snapshot["instances"][1]["figures"]["connections"].is_u64(), "its last figures stay: {snapshot}");
    let found = console.call("Find", json!([{ "by": "user", "value": "ada" }, 9])).await.unwrap();
    let silent = json!([{ "id": snapshot["instances"][1]["id"], "name": "two" }]);
    assert_eq!((found["connections"].as_array().unwrap().len(), &found["silent"]), (1, &silent));
    let send = json!([{ "kind": "send", "target": { "kind": "user", "id": "ada" }, "hub": "ChatHub", "method": "Notice", "arguments": [] }]);
    let said = console.call("Act", send).await.unwrap_err();
    assert!(said.starts_with("Sent to the clients of this instance alone"), "{said}");
    here.message_with(|message| message["target"] == "Notice").await;
    let close = json!([{ "kind": "close", "target": { "kind": "user", "id": "ada" } }]);
    let done = console.call("Act", close).await.unwrap();
    assert_eq!(
        (&done["words"], &done["silent"]),
        (&json!("Closed 1 connection of ada on 1 instance."), &silent)
    );
    here.closed().await;

    redis.start_again().await.unwrap();
    let are_back = |snapshot: &Value| {
        instances(snapshot) == [("one", "up"), ("two", "up")] && snapshot["redis"]["role"] == "master"
    };
    let snapshot = console.watch_until("back", are_back).await;
    assert_eq!(hub(&snapshot["total"], "ChatHub"), 1, "{snapshot}");
    assert_eq!(console.find("user", "ada").await.len(), 2, "one is there, one has ended");
    there.call("JoinRoom", json!(["kitchen"])).await.unwrap();
}

/// Any bytes, which the command line would not take.
async fn publish(redis: &RedisServer, channel: &str, payload: &str) {
    let mut link = TcpStream::connect(("127.0.0.1", redis.port())).await.unwrap();
    let parts = ["PUBLISH", channel, payload].map(|part| format!("${}\r\n{part}\r\n", part.len()));
    link.write_all(format!("*3\r\n{}", parts.concat()).as_bytes()).await.unwrap();
    let mut answer = [0; 2];
    timeout(PATIENCE, link.read_exact(&mut answer)).await.unwrap().unwrap();
    assert!(answer[0] == b':' && answer[1] != b'0', "somebody listens on {channel}");
}

#[tokio::test]
async fn what_others_publish_on_its_channels_is_counted_and_does_little() {
    let redis = RedisServer::start().await.unwrap();
    let servers = fleet(&redis, &["one", "two"]).await;
    let [one, two] = [0, 1].map(|server: usize| port(&servers[server]));
    let mut client = Client::chat(two, "ada").await;
    let mut console = Client::console(one, ADMIN_KEY).await;
    let both = |snapshot: &Value| instances(snapshot).starts_with(&[("one", "up"), ("two", "up")]);
    let snapshot = console.watch_until("both", both).await;
    let [own, other] =
        [0, 1].map(|place: usize| snapshot["instances"][place]["id"].as_str().unwrap().to_owned());

    let about =
        |name: &str| json!({ "id": "f0f0f0f0", "name": name, "version": "9", "startedAt": 0, "state": "up" });
    let asked = |name: &str, question: Value| {
        json!({ "asked": { "from": about(name), "number": 1, "question": question } }).to_string()
    };
    let not_understood = [
        "\u{0}garbage".to_owned(),
        "{\"asked\":".repeat(1_000),
        "x".repeat(70_000),
        asked("forged", json!({ "explode": {} })),
        asked(&"long".repeat(1_000), json!("hello")),
    ];
    let harmless = [
        asked("forged", json!({ "close": { "target": { "kind": "all" }, "hub": null } })),
        asked("forged", json!({ "find": { "query": { "by": "user", "value": "ada" }, "limit": u64::MAX } })),
        asked("forged", json!({ "figures": { "users": vec!["u"; 5_000], "addresses": [] } })),
        json!({ "ended": { "id": other } }).to_string(),
        json!({ "answered": { "from": about("forged"), "number": 1, "answer": 7 } }).to_string(),
    ];
    for payload in not_understood.iter().chain(&harmless) {
        for channel in ["hubline:console".to_owned(), format!("hubline:console:{own}")] {
            publish(&redis, &channel, payload).await;
        }
    }
    // It is answered in order: whoever answers this has had all of it.
    let snapshot = console.watch_until("both", both).await;
    assert_eq!(hub(&snapshot["total"], "ChatHub"), 1, "nobody is closed");
    client.call("JoinRoom", json!(["kitchen"])).await.unwrap();
    let of_both = (one, 2 * not_understood.len());
    for (port, count) in [of_both, (two, not_understood.len())] {
        let counted = format!("hubline_console_messages_not_understood_total {count}\n");
        let metrics = page(port, "/metrics").await;
        assert!(metrics.contains(&counted), "{counted}{metrics}");
    }
    let told =
        servers[0].lines().into_iter().filter(|line| line.contains("is not understood: while")).count();
    assert_eq!(told, 1, "{:#?}", servers[0].lines());
}
