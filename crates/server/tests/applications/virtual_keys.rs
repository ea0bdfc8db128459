//! Virtual keys, on two instances of the program.

#[path = "../client/mod.rs"]
mod client;

use std::time::Duration;

use client::frame;
use hubline_testkit::{Launch, RedisServer, ServerProcess};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);
const ADMIN_KEY: &str = "0123456789abcdef0123456789abcdef";
const HUB: &str = "/hubs/navigation-state";

/// Status and body of an answer.
async fn ask(port: u16, line: &str, key: &str, body: Value) -> (u16, Value) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let authorization =
        if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") };
    let request = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{authorization}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn a_key_sees_its_models_on_any_instance_until_it_is_revoked_on_another() {
    let redis = RedisServer::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let database = format!("Data Source={}", directory.path().join("test.db").display());
    let mut instances = Vec::new();
    let mut ports = Vec::new();
    for _ in 0..2 {
        let launch = Launch::new(env!("CARGO_BIN_EXE_hubline"))
            .arg("serve")
            .arg("--redis")
            .arg(redis.connection_string())
            .env("ConnectionStrings__Database", &database)
            .env("Admin__ApiKey", ADMIN_KEY)
            .env("Navigation__RequireVirtualKey", "true")
            .env("Jwt__Key", "users have tokens of their own, and these are none of them");
        ports.push(launch.port());
        instances.push(ServerProcess::start(launch).await.unwrap());
    }
    let [here, there] = [ports[0], ports[1]];
    for name in ["seen", "hidden"] {
        let mapping = json!({"virtualModelName": name, "providerModelName": "m", "providerName": "p"});
        assert_eq!(ask(here, "POST /api/admin/model-mappings", ADMIN_KEY, mapping).await.0, 201);
    }
    let key = json!({"name": "team", "models": ["seen"]});
    let (_, made) = ask(here, "POST /api/admin/virtual-keys", ADMIN_KEY, key).await;
    let (id, secret) = (made["key"]["id"].as_str().unwrap(), made["secret"].as_str().unwrap());

    let negotiate = format!("POST {HUB}/negotiate?negotiateVersion=1");
    for (key, status) in [("", 401), (ADMIN_KEY, 401), (secret, 200)] {
        assert_eq!(ask(there, &negotiate, key, Value::Null).await.0, status, "{key}");
    }
    let (_, state) = ask(there, "GET /api/navigation-state", secret, Value::Null).await;
    let models: Vec<_> =
        state["mappings"].as_array().unwrap().iter().map(|seen| &seen["virtualModelName"]).collect();
    assert_eq!(models, ["seen"]);

    let mut socket = client::connect(there, &format!("{HUB}?access_token={secret}")).await;
    let call = r#"{"type":1,"invocationId":"1","target":"RequestCurrentState","arguments":[]}"#;
    socket.write_all(&frame(call)).await.unwrap();
    let mut received = Vec::new();
    let completed = |received: &[u8]| String::from_utf8_lossy(received).contains(r#""invocationId":"1""#);
    while !completed(&received) {
        assert_ne!(timeout(PATIENCE, socket.read_buf(&mut received)).await.unwrap().unwrap(), 0);
    }
    let revoke = format!("POST /api/admin/virtual-keys/{id}/revoke");
    assert_eq!(ask(here, &revoke, ADMIN_KEY, Value::Null).await.0, 200);
    timeout(PATIENCE, socket.read_to_end(&mut received)).await.unwrap().unwrap();
    let received = String::from_utf8_lossy(&received);
    assert!(received.contains("seen") && !received.contains("hidden"), "{received}");
    let (status, _) = ask(there, &negotiate, secret, Value::Null).await;
    assert!(matches!(status, 401 | 403), "{status}");
}
