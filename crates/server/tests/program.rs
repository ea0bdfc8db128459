//! The program as its user meets it: what it says at start, why it does not start, and how it stops.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod client;
mod request;

use std::process::Stdio;
use std::time::Duration;

use hubline_testkit::{Launch, RedisServer, ServerProcess, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(20);
const CLOSE: &[u8] = b"{\"type\":7,\"allowReconnect\":true}\x1e";

fn hubline() -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve")
}

/// Runs a start that fails, and returns its exit code and what it said.
async fn failing_start(launch: Launch) -> (Option<i32>, String) {
    let mut server = ServerProcess::spawn(launch).unwrap();
    let status = server.exit_status(PATIENCE).await.unwrap();
    (status.code(), server.lines().join("\n"))
}

#[tokio::test]
async fn it_says_what_it_serves_and_where() {
    let launch = hubline();
    let port = launch.port();
    let server = ServerProcess::start(launch).await.unwrap();
    server.line_with("in environment Production").await.unwrap();
    server.line_with("SignalR configured with the in-process backplane").await.unwrap();
    server
        .line_with(&format!("/chathub, /videocallhub and /hubs/navigation-state on http://127.0.0.1:{port}"))
        .await
        .unwrap();
    server.line_with(&format!("Open http://localhost:{port}/ in a browser")).await.unwrap();
    assert!(server.health().await.unwrap().starts_with(r#"{"status":"Healthy""#));
}

#[tokio::test]
async fn with_redis_it_says_so_and_hides_the_password() {
    let redis = RedisServer::start().await.unwrap();
    let connection_string = format!("{},password=not-needed", redis.connection_string());
    let launch = hubline().env("ConnectionStrings__RedisSignalR", connection_string);
    let server = ServerProcess::start(launch).await.unwrap();
    server.line_with("SignalR configured with Redis backplane for horizontal scaling").await.unwrap();
    assert!(!server.lines().join("\n").contains("not-needed"));
}

#[tokio::test]
async fn every_mistake_is_reported_at_once() {
    let launch = hubline()
        .env("ConnectionStrings__RedisSignalR", "localhost:6379,pasword=secret-word")
        .env("SignalR__MaximumMessageSize", "huge");
    let (code, said) = failing_start(launch).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("there are 2 mistakes in the configuration"), "{said}");
    assert!(said.contains("environment variable ConnectionStrings__RedisSignalR"), "{said}");
    assert!(said.contains("pasword"), "{said}");
    assert!(said.contains("SignalR:MaximumMessageSize = 'huge'"), "{said}");
    assert!(!said.contains("secret-word"), "{said}");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hubline"));
    command.env("ConnectionStrings__Database", ":memory:");
    let output = command.args(["serve", "--urls", &url]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("cannot listen on {url}")) && said.contains("--urls"), "{said}");
}

#[tokio::test]
async fn a_redis_that_must_be_there_and_is_not_ends_the_start() {
    let redis = RedisServer::absent().unwrap();
    let connection_string = format!("{},abortConnect=true,connectTimeout=500", redis.connection_string());
    let (code, said) = failing_start(hubline().arg("--redis").arg(&connection_string)).await;
    assert_eq!(code, Some(1), "{said}");
    let last = said.lines().last().unwrap_or_default();
    let named = "the Redis that ConnectionStrings:RedisSignalR (command line --redis) names: ";
    let expected =
        format!("{named}Redis at {} cannot be reached: Connection refused", redis.connection_string());
    assert!(last.starts_with(&expected) && last.matches("refused").count() == 1, "{said}");

    // One that need not be there is named too, once.
    let launch = hubline().arg("--redis").arg(redis.connection_string()).arg("--environment").arg("Prod");
    let server = ServerProcess::spawn(launch).unwrap();
    let told = server.line_with("has not been reached since the start").await.unwrap();
    assert!(told.contains("ConnectionStrings:RedisSignalR (command line --redis) names it"), "{told}");
    assert!(told.contains(&redis.connection_string()), "{told}");
    server.line_with("did you mean Production?").await.unwrap();
}

#[tokio::test]
async fn sigterm_sends_clients_away_and_ends_within_its_time() {
    let launch = hubline().arg("--shutdown-timeout").arg("0.5");
    let port = launch.port();
    let mut server = ServerProcess::start(launch).await.unwrap();
    let mut client = client::connect(port, "/chathub").await;
    server.terminate().unwrap();
    let mut last_words = Vec::new();
    _ = client.read_to_end(&mut last_words).await;
    assert!(last_words.windows(CLOSE.len()).any(|window| window == CLOSE));
    let status = server.exit_status(PATIENCE).await.unwrap();
    assert_eq!(status.code(), Some(0));
    server
        .line_with(
            "1 connections, 0 calls, 0 streams and 0 unsent messages are left. A longer ShutdownTimeout",
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn who_drains_refuses_new_clients_and_serves_those_that_were_let_in() {
    let launch = hubline().env("Drain__Delay", "3600");
    let port = launch.port();
    let mut server = ServerProcess::start(launch).await.unwrap();
    let negotiate = "POST /chathub/negotiate?negotiateVersion=1";
    let (_, negotiated) = request::ask(port, negotiate, "").await;
    let token = negotiated.split("\"connectionToken\":\"").nth(1).unwrap().split('"').next().unwrap();
    server.terminate().unwrap();
    server.line_with("Draining soon").await.unwrap();
    let (head, reason) = request::ask(port, "GET /health/ready", "").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert_eq!(reason, r#"{"status":"Unhealthy","reason":"it is draining"}"#);
    let (_, report) = request::ask(port, "GET /health", "").await;
    assert!(report.starts_with(r#"{"status":"Unhealthy","#), "{report}");
    assert!(request::ask(port, "GET /health/live", "").await.0.starts_with("HTTP/1.1 200"));
    let (head, body) = request::ask(port, negotiate, "").await;
    assert!(
        head.starts_with("HTTP/1.1 503") && head.to_ascii_lowercase().contains("\r\nretry-after: 1"),
        "{head}"
    );
    assert!(body.contains("draining"), "{body}");
    let mut client = client::connect(port, &format!("/chathub?id={token}")).await;
    server.terminate().unwrap();
    let mut last_words = vec![0; CLOSE.len() + 2];
    client.read_exact(&mut last_words).await.unwrap();
    assert!(last_words.ends_with(CLOSE));
    drop(client);
    assert!(server.exit_status(PATIENCE).await.unwrap().success());
    server.line_with("0 connections, 0 calls, 0 streams and 0 unsent messages are left").await.unwrap();
}

#[tokio::test]
async fn an_instance_drains_itself_and_waits_for_its_end() {
    let launch = hubline();
    let port = launch.port();
    let mut server = ServerProcess::start(launch).await.unwrap();
    let drain = |port: u16| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hubline"));
        command.args(["drain", "--self", "--urls", &format!("http://127.0.0.1:{port}")]);
        command.stdin(Stdio::null()).output()
    };
    let output = drain(free_port()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("no instance that listens on http://127.0.0.1:") && said.contains("--urls"),
        "{said}"
    );
    let output = drain(0).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for cure in ["http://127.0.0.1:0 has a port that the system picks", "SIGTERM", "/api/admin/drain"] {
        assert!(said.contains(cure), "{said}");
    }

    let mut client = client::connect(port, "/chathub").await;
    let drained = tokio::spawn(drain(port));
    let mut last_words = vec![0; CLOSE.len() + 2];
    client.read_exact(&mut last_words).await.unwrap();
    assert!(last_words.ends_with(CLOSE));
    drop(client);
    let output = drained.await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        said,
        "draining: 1 connections\ndrained: 0 connections, 0 calls, 0 streams and 0 unsent messages are left\n"
    );
    assert_eq!(output.status.code(), Some(0));
    let again = drain(port).await.unwrap();
    assert!(String::from_utf8_lossy(&again.stdout).contains("drained: 0 connections"));

    let (head, reason) = request::ask(port, "GET /health/ready", "").await;
    assert!(head.starts_with("HTTP/1.1 503") && reason.contains("it is drained"), "{head} {reason}");
    assert!(request::ask(port, "GET /health/live", "").await.0.starts_with("HTTP/1.1 200"));
    server.terminate().unwrap();
    assert!(server.exit_status(PATIENCE).await.unwrap().success());
}

#[tokio::test]
async fn whoever_has_an_admin_key_drains_an_instance() {
    const KEY: &str = "a-key-of-the-operators-0123456789ab";
    let launch = hubline().env("Admin__ApiKey", KEY);
    let port = launch.port();
    let mut server = ServerProcess::start(launch).await.unwrap();
    let drain = "/api/admin/drain";
    assert_eq!(request::post(port, drain, "", "").await, 401);
    let with_key = format!("Authorization: Bearer {KEY}\r\n");
    let (status, state) = request::post_and_read(port, drain, &with_key, "").await;
    assert_eq!((status, &*state), (202, r#"{"state":"draining"}"#));
    server.line_with("Nobody is served any more. SIGTERM ends the process").await.unwrap();
    let (status, state) = request::post_and_read(port, drain, &with_key, "").await;
    let nothing = r#"{"state":"drained","left":{"connections":0,"calls":0,"streams":0,"unsentMessages":0}}"#;
    assert_eq!((status, &*state), (202, nothing));
    let (_, audit) = request::ask(port, "GET /api/admin/audit", &with_key).await;
    assert!(audit.contains("\"instance.drain\""), "{audit}");
    server.terminate().unwrap();
    assert!(server.exit_status(PATIENCE).await.unwrap().success());
    assert_eq!(server.lines().iter().filter(|line| line.contains("Asked to drain")).count(), 1);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let launch = hubline().arg("--shutdown-timeout").arg("3600");
    let port = launch.port();
    let mut server = ServerProcess::start(launch).await.unwrap();
    let client = client::connect(port, "/chathub").await;
    server.terminate().unwrap();
    server.line_with("A second signal stops at once").await.unwrap();
    server.terminate().unwrap();
    let status = server.exit_status(PATIENCE).await.unwrap();
    assert_eq!(status.code(), Some(130));
    drop(client);
}

#[tokio::test]
async fn a_connection_without_a_request_ends_with_kestrels_time() {
    let launch = hubline()
        .env("Kestrel__Limits__KeepAliveTimeout", "00:00:00.2")
        .env("Kestrel__Limits__RequestHeadersTimeout", "3600");
    let port = launch.port();
    let _server = ServerProcess::start(launch).await.unwrap();
    let mut idle = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut slow = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    slow.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0, "closed without a word");
    slow.write_all(b"Host: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn without_files_left_it_says_so_once_and_goes_on_when_there_are() {
    let program = env!("CARGO_BIN_EXE_hubline");
    let launch =
        Launch::new("sh").arg("-c").arg("ulimit -n 60; exec \"$0\" \"$@\"").arg(program).arg("serve");
    let port = launch.port();
    let server = ServerProcess::start(launch).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    let said = server.line_with("Cannot accept connections").await.unwrap();
    assert!(said.contains("LimitNOFILE") && said.contains("failures=1"), "{said}");
    clients.clear();
    let answered = async {
        while server.health().await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap();
    let lines = server.lines();
    assert!(lines.iter().filter(|line| line.contains("Cannot accept")).count() <= 3, "{lines:?}");
}
