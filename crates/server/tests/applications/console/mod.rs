//! The console, asked as its page asks, of real instances.

mod away;
mod client;
mod keys;
mod latency;
mod refusals;
mod transports;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hubline_testkit::{Launch, RedisServer, ServerProcess, SlowLink};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use client::Client;

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);
const JWT_KEY: &str = "a secret of at least 32 bytes, not so secret";
const ADMIN_KEY: &str = "0123456789abcdef0123456789abcdef";
const CHAT: &str = "/chathub";
const CONSOLE: &str = "/console/hub";

async fn started(redis: Option<&str>, name: &str, args: &[&str]) -> ServerProcess {
    let launch =
        Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve").arg(format!("--ApplicationName={name}"));
    let launch = args.iter().fold(launch, |launch, arg| launch.arg(*arg));
    let launch = match redis {
        Some(redis) => launch.arg("--redis").arg(redis),
        None => launch,
    };
    ServerProcess::start(launch).await.unwrap()
}

/// Instances of a fleet, `one`, `two` and so on, that need keys.
async fn fleet(redis: &RedisServer, names: &[&str]) -> Vec<ServerProcess> {
    fleet_at(&redis.connection_string(), names, "--Drain:Delay=0").await
}

/// The same over any Redis, with one setting more.
async fn fleet_at(redis: &str, names: &[&str], setting: &str) -> Vec<ServerProcess> {
    let (jwt, admin) = (format!("--Jwt:Key={JWT_KEY}"), format!("--Admin:ApiKey={ADMIN_KEY}"));
    let args = [&*jwt, &*admin, "--Drain:Delay=0", setting];
    futures_util::future::join_all(names.iter().map(|name| started(Some(redis), name, &args))).await
}

fn port(server: &ServerProcess) -> u16 {
    server.url().rsplit_once(':').unwrap().1.parse().unwrap()
}

fn token(user: &str) -> String {
    signed(user, 600, JWT_KEY)
}

/// A token that ends in so many seconds, signed with a key.
fn signed(user: &str, seconds: i64, key: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({ "sub": user, "exp": i64::try_from(now).unwrap() + seconds });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
}

/// Negotiates. Returns the connection's id, and the path that brings its transport.
async fn negotiated(port: u16, user: &str, query: &str) -> (String, String) {
    let line = format!("POST {CHAT}/negotiate?negotiateVersion=1{query}");
    let (status, answer) = ask(port, &line, &token(user), &Value::Null).await;
    assert_eq!(status, 200, "{answer}");
    let [id, secret] = ["connectionId", "connectionToken"].map(|name| answer[name].as_str().unwrap());
    (id.to_owned(), format!("{CHAT}?id={secret}"))
}

/// Status and body of an answer.
async fn ask(port: u16, line: &str, key: &str, body: &Value) -> (u16, Value) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

/// An answer to a GET, its head too.
async fn page(port: u16, path: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

fn instances(snapshot: &Value) -> Vec<(&str, &str)> {
    let instances = snapshot["instances"].as_array().unwrap().iter();
    instances
        .map(|instance| (instance["name"].as_str().unwrap(), instance["state"].as_str().unwrap()))
        .collect()
}

fn hub(figures: &Value, name: &str) -> u64 {
    let hubs = figures["byHub"].as_array().unwrap().iter();
    hubs.filter(|hub| hub["hub"] == name).filter_map(|hub| hub["connections"].as_u64()).sum()
}

fn count(figures: &Value, of: &str, reason: &str) -> u64 {
    let counts = figures[of].as_array().unwrap().iter();
    counts.filter(|count| count["reason"] == reason).filter_map(|count| count["count"].as_u64()).sum()
}

#[tokio::test]
async fn figures_agree_with_what_was_done_and_a_killed_instance_is_gone() {
    let redis = RedisServer::start().await.unwrap();
    let mut servers = fleet(&redis, &["one", "two", "three"]).await;
    let ports: Vec<_> = servers.iter().map(port).collect();
    let mut clients = Vec::new();
    for (port, user) in [(0, "ada"), (1, "ada"), (2, "ada"), (0, "bob"), (0, "bob")] {
        clients.push(Client::chat(ports[port], user).await);
    }
    clients[3].call("NoSuchMethod", json!([])).await.unwrap_err();
    clients[3].call("JoinRoom", json!(["kitchen"])).await.unwrap();
    let mut console = Client::console(ports[1], ADMIN_KEY).await;

    let snapshot = console.watch_until("five", |snapshot| snapshot["total"]["connections"] == 6).await;
    assert_eq!(instances(&snapshot), [("one", "up"), ("three", "up"), ("two", "up")]);
    let (total, one) = (&snapshot["total"], &snapshot["instances"][0]["figures"]);
    assert_eq!(
        (hub(total, "ChatHub"), hub(total, "ConsoleHub"), &total["consoleConnections"]),
        (5, 1, &json!(1))
    );
    assert_eq!((hub(one, "ChatHub"), hub(one, "ConsoleHub")), (3, 0));
    assert_eq!(total["byTransport"], json!({ "webSockets": 6, "serverSentEvents": 0, "longPolling": 0 }));
    assert_eq!(total["byProtocol"], json!({ "json": 6, "messagePack": 0 }));
    let user = |name: &str, connections: u64, instances: u64| json!({ "name": name, "connections": connections, "instances": instances });
    assert_eq!(snapshot["users"], json!([user("ada", 3, 3), user("bob", 2, 1)]));
    assert_eq!(
        (&snapshot["addresses"], &snapshot["usersMore"]),
        (&json!([user("127.0.0.1", 5, 3)]), &json!(false))
    );
    assert_eq!(
        (count(total, "refusals", "unknown_method"), count(one, "refusals", "unknown_method")),
        (1, 1)
    );
    assert_eq!(
        (&snapshot["redis"]["role"], &one["redis"]["status"]),
        (&json!("master"), &json!("connected"))
    );
    assert_eq!(one["database"]["status"], "connected");
    assert!(one["timeline"]["bytes"].as_u64().unwrap() > 100, "{one}");
    assert!(snapshot["instances"][0]["roundTripMs"].as_f64().unwrap() > 0.0, "{snapshot}");

    servers[0].kill().await.unwrap();
    let snapshot =
        console.watch_until("gone", |snapshot| instances(snapshot).contains(&("one", "gone"))).await;
    assert_eq!(instances(&snapshot), [("three", "up"), ("two", "up"), ("one", "gone")]);
    assert_eq!(hub(&snapshot["total"], "ChatHub"), 2, "what has gone is not among the sums");
    assert_eq!(snapshot["users"], json!([user("ada", 2, 2)]));
    let points = |history: &Value, name: &str| {
        let instances = history["instances"].as_array().unwrap().iter();
        instances
            .filter(|instance| instance["name"] == name)
            .map(|instance| instance["points"].clone())
            .next()
    };
    let history = timeout(PATIENCE, async {
        loop {
            let history = console.call("History", json!([60])).await.unwrap();
            let newest = points(&history, "two").and_then(|points| points.as_array()?.last().cloned());
            if newest.is_some_and(|point| point[1] == 2.0) && points(&history, "three").unwrap()[0].is_array()
            {
                return history;
            }
            sleep(Duration::from_millis(300)).await;
        }
    });
    let history = history.await.unwrap();
    assert_eq!(points(&history, "one"), Some(Value::Null), "its history went with it: {history}");
    assert_eq!(points(&history, "two").unwrap()[0][0].as_f64().unwrap() % 10_000.0, 0.0, "{history}");
}

#[tokio::test]
async fn a_connection_is_found_and_its_end_is_told_with_the_true_reason() {
    let redis = RedisServer::start().await.unwrap();
    let servers = fleet(&redis, &["one", "two"]).await;
    let [one, two] = [0, 1].map(|server: usize| port(&servers[server]));
    let mut console = Client::console(two, ADMIN_KEY).await;

    // Negotiated at one instance, connected at the other.
    let (id, path) = negotiated(one, "ada", "").await;
    let mut ada = Client::connect(two, &format!("{path}&access_token={}", token("ada")), "").await;
    for (by, value) in [("user", "ada"), ("id", &*id), ("address", "127.0.0.1")] {
        let found = console.find(by, value).await;
        let found: Vec<_> = found.iter().filter(|found| found["hub"] == "ChatHub").collect();
        let [connection] = found[..] else { panic!("{by}: {found:?}") };
        assert_eq!(
            (&connection["id"], &connection["instance"]["name"]),
            (&json!(id), &json!("two")),
            "{connection}"
        );
        assert_eq!(
            (&connection["user"], &connection["endedAt"]),
            (&json!("ada"), &Value::Null),
            "{connection}"
        );
    }
    ada.call("NoSuchMethod", json!([])).await.unwrap_err();
    ada.call("JoinRoom", json!(["kitchen"])).await.unwrap();
    assert_eq!(console.find("user", "nobody").await.len(), 0);
    ada.send(r#"{"type":7}"#).await;
    ada.closed().await;
    let (kinds, timeline) = console.timeline_with(&id, "closed").await;
    assert_eq!(kinds, ["negotiated", "connected", "callFailed", "closed"], "{timeline}");
    let entries = &timeline["entries"];
    assert_eq!(
        (&entries[0]["instance"]["name"], &entries[1]["instance"]["name"]),
        (&json!("one"), &json!("two"))
    );
    assert_eq!(
        (&entries[2]["detail"], &entries[3]["detail"]),
        (&json!("NoSuchMethod"), &json!("client_closed"))
    );
    assert!(entries[3]["words"].as_str().unwrap().ends_with("2 calls, 1 of which failed)"), "{entries}");
    assert_eq!((&timeline["user"], &timeline["isConnected"]), (&json!("ada"), &json!(false)), "{timeline}");

    // Every end that a client or an operator can bring about, of connections that are found by their user alone.
    for (user, reason) in [
        ("lost", "transport_lost"),
        ("wrong", "protocol_error"),
        ("thrown", "aborted"),
        ("sent", "server_shutdown"),
    ] {
        let mut client = Client::chat(one, user).await;
        let found = console.find("user", user).await;
        let id = found[0]["id"].as_str().unwrap().to_owned();
        match reason {
            "transport_lost" => drop(client),
            "protocol_error" => client.send("{").await,
            "aborted" => {
                let act = json!([{ "kind": "close", "target": { "kind": "connection", "id": id } }]);
                let done = console.call("Act", act).await.unwrap();
                assert_eq!(done["words"], format!("Closed 1 connection with the id {id} on 1 instance."));
                assert!(!client.closed().await, "it is not to come back by itself");
            }
            _ => {
                let act = json!([{ "kind": "drain", "instance": found[0]["instance"]["id"] }]);
                let done = console.call("Act", act).await.unwrap();
                assert!(
                    done["words"].as_str().unwrap().starts_with("Hands over 1 connection of one"),
                    "{done}"
                );
                assert!(client.closed().await, "it is to come back");
            }
        }
        let (kinds, timeline) = console.timeline_with(&id, "closed").await;
        assert_eq!(
            (kinds, &timeline["entries"][1]["detail"]),
            (vec!["connected".to_owned(), "closed".to_owned()], &json!(reason)),
            "{timeline}"
        );
        let found = console.find("user", user).await;
        assert_eq!((found.len(), &found[0]["reason"], &found[0]["id"]), (1, &json!(reason), &json!(id)));
        assert!(found[0]["endedAt"].as_u64() >= found[0]["connectedAt"].as_u64(), "{found:?}");
    }
    console.watch_until("drained", |snapshot| instances(snapshot)[0] == ("one", "drained")).await;
    servers[0].terminate().unwrap();
    // It says so, before it could be missed.
    console.watch_until("gone", |snapshot| instances(snapshot)[1] == ("one", "gone")).await;
}

#[tokio::test]
async fn acts_do_what_they_say_are_in_the_audit_and_need_a_key_that_may() {
    let redis = RedisServer::start().await.unwrap();
    let servers = fleet(&redis, &["one", "two"]).await;
    let [one, two] = [0, 1].map(|server: usize| port(&servers[server]));
    let (status, made) =
        ask(one, "POST /api/admin/keys", ADMIN_KEY, &json!({ "name": "reader", "scope": "read" })).await;
    assert_eq!(status, 201, "{made}");
    let (read_id, read_key) = (made["key"]["id"].clone(), made["secret"].as_str().unwrap());

    // Who may look, and who may not.
    let mut stranger = Client::connect(one, CONSOLE, "").await;
    for (method, arguments) in [
        ("History", json!([1])),
        ("Find", json!([{ "by": "user", "value": "ada" }, 1])),
        ("Timeline", json!(["x"])),
        ("Keys", json!([])),
        ("Preview", json!([{ "kind": "drain", "instance": "x" }])),
        ("Act", json!([{ "kind": "drain", "instance": "x" }])),
    ] {
        assert_eq!(stranger.call(method, arguments).await, Err("Sign in first.".to_owned()), "{method}");
    }
    for (key, why) in [(json!(null), "This needs an admin key."), (json!("wrong"), "This is no admin key")] {
        let error = stranger.call("SignIn", json!([key])).await.unwrap_err();
        assert!(error.starts_with(why), "{error}");
    }
    assert_eq!(Client::open(one, CONSOLE, "Origin: http://evil.example\r\n").await.err(), Some(403));
    let mut reader = Client::connect(one, CONSOLE, &format!("X-Admin-Key: {read_key}\r\n")).await;
    let signed_in = reader.call("SignIn", json!([null])).await.unwrap();
    assert_eq!(
        (&signed_in["name"], &signed_in["scope"], &signed_in["isOpen"]),
        (&json!("reader"), &json!("read"), &json!(false))
    );
    assert_eq!(signed_in["hubs"], json!(["ChatHub", "VideoCallHub", "NavigationStateHub"]));
    let close = json!([{ "kind": "close", "target": { "kind": "user", "id": "ada" } }]);
    let preview = reader.call("Preview", close.clone()).await.unwrap();
    assert_eq!((&preview["isAllowed"], &preview["scope"]), (&json!(false), &json!("write")), "{preview}");
    let refused = "This needs an admin key of the scope write, and this one has read.";
    assert_eq!(reader.call("Act", close.clone()).await, Err(refused.to_owned()));
    reader.call("Keys", json!([])).await.unwrap_err();

    // Each act does what its preview has said.
    let mut console = Client::console(one, ADMIN_KEY).await;
    let (mut here, mut there) = (Client::chat(one, "ada").await, Client::chat(two, "ada").await);
    let bob = Client::chat(two, "bob").await;
    let send = |target: Value| json!([{ "kind": "send", "target": target, "hub": "ChatHub", "method": "Notice", "arguments": ["tea", 4] }]);
    for (target, said) in [
        (json!({ "kind": "user", "id": "ada" }), "Notice to 2 connections of ada to ChatHub on 2 instances."),
        (json!({ "kind": "all" }), "Notice to 3 connections to ChatHub on 2 instances."),
    ] {
        let preview = console.call("Preview", send(target.clone())).await.unwrap();
        assert_eq!(preview["words"], format!("Sends {said}"));
        let done = console.call("Act", send(target)).await.unwrap();
        assert_eq!(done["words"], format!("Sent {said}"));
        for client in [&mut here, &mut there] {
            let notice = client.message_with(|message| message["type"] == 1).await;
            assert_eq!((&notice["target"], &notice["arguments"]), (&json!("Notice"), &json!(["tea", 4])));
        }
    }
    let id = console.find("user", "bob").await[0]["id"].clone();
    console.call("Act", send(json!({ "kind": "connection", "id": id }))).await.unwrap();
    let mut bob = bob;
    for _ in 0..2 {
        bob.message_with(|message| message["target"] == "Notice").await;
    }
    let preview = console.call("Preview", close.clone()).await.unwrap();
    assert_eq!(
        (&preview["words"], &preview["isAllowed"]),
        (&json!("Closes 2 connections of ada on 2 instances."), &json!(true))
    );
    let done = console.call("Act", close).await.unwrap();
    assert_eq!(done["words"], "Closed 2 connections of ada on 2 instances.");
    assert!(!here.closed().await && !there.closed().await);
    let ban = json!([{ "kind": "ban", "user": "bob", "seconds": 600, "reason": "a test" }]);
    let said = console.call("Act", ban).await.unwrap();
    assert_eq!(said["words"], "Closed 1 connection of bob on 1 instance; bob is kept out for 10 minutes.");
    bob.closed().await;
    let negotiate = format!("POST {CHAT}/negotiate?negotiateVersion=1");
    for port in [one, two] {
        assert_eq!(ask(port, &negotiate, &token("bob"), &Value::Null).await.0, 403);
        assert_eq!(ask(port, &negotiate, &token("ada"), &Value::Null).await.0, 200);
    }
    let keys = console.call("Keys", json!([])).await.unwrap();
    assert_eq!(
        (&keys[0]["id"], &keys[0]["kind"], &keys[0]["scope"]),
        (&read_id, &json!("admin"), &json!("read"))
    );
    let revoke = json!([{ "kind": "revokeKey", "key": read_id }]);
    assert_eq!(console.call("Preview", revoke.clone()).await.unwrap()["words"], "Revokes the key reader.");
    assert_eq!(console.call("Act", revoke).await.unwrap()["words"], "Revoked the admin key reader.");
    let error = reader.call("Act", json!([{ "kind": "drain", "instance": "x" }])).await.unwrap_err();
    assert!(error.starts_with("This is no admin key"), "{error}");

    let (_, audit) = ask(one, "GET /api/admin/audit?actor=admin:Admin:ApiKey", ADMIN_KEY, &Value::Null).await;
    let entries = audit["items"].as_array().unwrap();
    for (action, subject) in [
        ("console.send", "user:ada"),
        ("console.send", "connection:*"),
        ("console.close", "user:ada"),
        ("user.close", "user:bob"),
        ("key.revoke", &*format!("key:{}", read_id.as_str().unwrap())),
    ] {
        let found = entries.iter().any(|entry| entry["action"] == action && entry["subject"] == subject);
        assert!(found, "{action} of {subject}: {audit:#}");
    }
    assert!(!audit.to_string().contains("tea"), "what was sent is not in it");

    // What makes no sense says what would.
    for (method, arguments, why) in [
        ("Act", json!([{ "kind": "explode" }]), "Expected an act"),
        (
            "Act",
            json!([{ "kind": "close", "target": { "kind": "all" } }]),
            "Expected a connection, a user or a group",
        ),
        ("Act", json!([{ "kind": "close", "target": { "kind": "group", "id": "g" } }]), "Expected the hub"),
        ("Act", json!([{ "kind": "ban", "user": "", "seconds": 1 }]), "Expected the name or id of a user"),
        ("Act", json!([{ "kind": "ban", "user": "x", "seconds": 0 }]), "Expected 1 to"),
        ("Act", json!([{ "kind": "drain", "instance": "nobody" }]), "There is no such instance."),
        ("Act", json!([{ "kind": "revokeKey", "key": "0000000000000000" }]), "There is no key"),
        (
            "Act",
            json!([{ "kind": "send", "target": { "kind": "all" }, "hub": "ConsoleHub", "method": "m", "arguments": [] }]),
            "There is no such hub",
        ),
        ("Find", json!([{ "by": "shoe", "value": "x" }, 1]), "Expected {\"by\""),
        ("Find", json!([{ "by": "user", "value": "x".repeat(600) }, 1]), "Expected the name or id"),
        ("Find", json!([{ "by": "address", "value": "ada" }, 1]), "Expected an address"),
        ("Find", json!([{ "by": "user", "value": "x" }, 0]), "Expected a limit of 1 to 200"),
        ("Timeline", json!(["\u{0}"]), "Expected the name or id of a connection"),
        ("History", json!([0]), "Expected 1 to 60 minutes"),
    ] {
        let error = console.call(method, arguments).await.unwrap_err();
        assert!(error.starts_with(why), "{method}: {error}");
    }
    let mut acts = 0;
    let error = loop {
        match console.call("Act", json!([{ "kind": "drain", "instance": "nobody" }])).await {
            Err(error) if error == "There is no such instance." => acts += 1,
            outcome => break outcome.unwrap_err(),
        }
        assert!(acts < 31);
    };
    assert_eq!(error, "Too many acts: 30 a minute are allowed.");
}
