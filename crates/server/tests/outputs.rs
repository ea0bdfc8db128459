//! What the program says when nobody takes it: that stops nothing.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod client;

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use hubline_testkit::{Launch, RedisServer, ServerProcess};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);
const PROGRAM: &str = env!("CARGO_BIN_EXE_hubline");

/// A pipe whose reader has gone.
fn without_reader() -> OwnedFd {
    std::io::pipe().unwrap().1.into()
}

/// A pipe that takes nothing, as long as its reader is held and does not read.
fn full() -> (std::io::PipeReader, OwnedFd) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut filling = writer.try_clone().unwrap();
    // It waits in its write as long as the pipe is there, so that there is never room.
    std::thread::spawn(move || while filling.write_all(&[b'.'; 4096]).is_ok() {});
    (reader, writer.into())
}

/// A disk without room.
fn full_disk() -> OwnedFd {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

async fn invoke(client: &mut TcpStream, method: &str, arguments: &str) {
    let message = format!(
        "{{\"type\":1,\"invocationId\":\"1\",\"target\":\"{method}\",\"arguments\":[{arguments}]}}\x1e"
    );
    let mut frame = vec![0x81, 0x80 | u8::try_from(message.len()).unwrap(), 0, 0, 0, 0];
    frame.extend(message.as_bytes());
    client.write_all(&frame).await.unwrap();
}

async fn hears(client: &mut TcpStream, text: &str) {
    let mut heard = Vec::new();
    let hearing = async {
        while !heard.windows(text.len()).any(|window| window == text.as_bytes()) {
            heard.push(client.read_u8().await.unwrap());
        }
    };
    let in_time = timeout(PATIENCE, hearing).await;
    assert!(in_time.is_ok(), "no {text:?} in {}", String::from_utf8_lossy(&heard));
}

#[tokio::test]
async fn as_json_every_line_is_an_object_with_the_fields_of_its_event() {
    let launch = Launch::new(PROGRAM).arg("serve").env("Logging__Console__FormatterName", "json");
    let launch = launch.env("Logging__LogLevel__Microsoft.AspNetCore.SignalR", "Debug");
    let port = launch.port();
    let mut server = ServerProcess::start(launch).await.unwrap();
    let mut client = client::connect(port, "/chathub").await;
    invoke(&mut client, "NoSuchMethod", "").await;
    server.line_with("a client has called a method that the hub does not have").await.unwrap();
    server.terminate().unwrap();
    server.exit_status(PATIENCE).await.unwrap();
    let lines = server.lines();
    let events = events(&lines);
    assert!(lines.iter().any(|line| line.contains("SignalR configured")), "standard output, too: {lines:?}");
    let unknown = events.iter().find(|event| event["method"] == "NoSuchMethod").unwrap();
    assert_eq!((&unknown["level"], &unknown["hub"]), (&"WARN".into(), &"ChatHub".into()), "{unknown}");
    assert!(
        unknown["target"].as_str().unwrap().starts_with("hubline_hub") && unknown["timestamp"].is_string()
    );
    assert!(events.iter().any(|event| event["level"] == "DEBUG"), "the category has a level of its own");

    for (name, value, code, said) in [
        ("SignalR__StreamBufferCapacity", "none", 2, "SignalR:StreamBufferCapacity"),
        ("ConnectionStrings__Database", "Data Source=/proc/hubline/no.db", 1, "ConnectionStrings:Database"),
    ] {
        let launch = Launch::new(PROGRAM).arg("serve").env("Logging__Console__FormatterName", "json");
        let mut server = ServerProcess::spawn(launch.env(name, value)).unwrap();
        assert_eq!(server.exit_status(PATIENCE).await.unwrap().code(), Some(code), "{name}");
        let last = self::events(&server.lines()).pop().unwrap();
        assert!(last["level"] == "ERROR" && last["message"].as_str().unwrap().contains(said), "{last}");
    }
}

/// Of a log of which every line is an object.
fn events(lines: &[String]) -> Vec<serde_json::Value> {
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

async fn metric(port: u16, name: &str) -> f64 {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut page = String::new();
    socket.read_to_string(&mut page).await.unwrap();
    let line =
        page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}: {page}"));
    line.trim().parse().unwrap()
}

async fn eventually<T>(mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = attempt().await {
                return found;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, found).await.expect("it comes")
}

/// Two instances over Redis whose logs go nowhere, and which log all they can.
struct Fleet {
    redis: RedisServer,
    servers: [ServerProcess; 2],
    ports: [u16; 2],
}

impl Fleet {
    async fn start(standard_error: &OwnedFd) -> Self {
        let redis = RedisServer::start().await.unwrap();
        let launch = || {
            Launch::new(PROGRAM)
                .arg("serve")
                .arg("--redis")
                .arg(redis.connection_string())
                .env("Logging__LogLevel__Default", "Trace")
                .standard_error(standard_error.try_clone().unwrap())
        };
        let launches = [launch(), launch()];
        let ports = [launches[0].port(), launches[1].port()];
        let [one, other] = launches.map(ServerProcess::start);
        let servers = [one.await.unwrap(), other.await.unwrap()];
        Self { redis, servers, ports }
    }

    async fn is_connected(&self) {
        for port in self.ports {
            eventually(async || (metric(port, "hubline_backplane_connected").await == 1.0).then_some(()))
                .await;
        }
    }

    /// Calls are served, also while Redis goes and comes back, and reach the other instance.
    async fn serves(&mut self) {
        self.is_connected().await;
        let mut here = client::connect(self.ports[0], "/chathub").await;
        let mut there = client::connect(self.ports[1], "/chathub").await;
        invoke(&mut there, "JoinRoom", "\"r\"").await;
        hears(&mut there, "\"type\":3").await;
        invoke(&mut here, "JoinRoom", "\"r\"").await;
        invoke(&mut here, "SendToRoom", "\"r\",\"hello\"").await;
        hears(&mut there, "\"hello\"").await;
        self.redis.stop().await.unwrap();
        self.redis.start_again().await.unwrap();
        self.is_connected().await;
        invoke(&mut here, "SendToRoom", "\"r\",\"again\"").await;
        hears(&mut there, "\"again\"").await;
        for (server, port) in self.servers.iter().zip(self.ports) {
            eventually(async || server.health().await.unwrap().contains("Healthy").then_some(())).await;
            assert_eq!(metric(port, "hubline_task_restarts_total").await, 0.0);
        }
    }

    async fn ends(&mut self) {
        for server in &mut self.servers {
            server.terminate().unwrap();
            assert_eq!(server.exit_status(PATIENCE).await.unwrap().code(), Some(0));
        }
    }
}

#[tokio::test]
async fn a_log_whose_reader_has_gone_stops_nothing() {
    let mut fleet = Fleet::start(&without_reader()).await;
    fleet.serves().await;
    assert!(metric(fleet.ports[0], "hubline_log_lines_lost_total").await > 0.0);
    fleet.ends().await;
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing() {
    let (_unread, full) = full();
    let mut fleet = Fleet::start(&full).await;
    fleet.serves().await;
    fleet.ends().await;
}

#[tokio::test]
async fn a_log_on_a_full_disk_stops_nothing() {
    let mut fleet = Fleet::start(&full_disk()).await;
    fleet.serves().await;
    assert!(metric(fleet.ports[0], "hubline_log_lines_lost_total").await > 0.0);
    fleet.ends().await;
}

#[tokio::test]
async fn a_start_that_fails_has_its_exit_code_although_it_cannot_be_said_why() {
    let (_unread, full) = full();
    for standard_error in [without_reader(), full, full_disk()] {
        let launch = Launch::new(PROGRAM).arg("serve").arg("--SignalR:MaximumMessageSize=huge");
        let mut server = ServerProcess::spawn(launch.standard_error(standard_error)).unwrap();
        assert_eq!(server.exit_status(PATIENCE).await.unwrap().code(), Some(2));
    }
}

#[tokio::test]
async fn a_full_standard_output_does_not_hold_up_the_start() {
    let (_unread, full) = full();
    let both = Launch::new("sh").arg("-c").arg("exec \"$0\" \"$@\" >&2").arg(PROGRAM).arg("serve");
    let mut server = ServerProcess::start(both.standard_error(full)).await.unwrap();
    server.terminate().unwrap();
    assert_eq!(server.exit_status(PATIENCE).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn what_is_said_last_is_read_by_who_reads_late() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let launch = Launch::new(PROGRAM).arg("serve").arg("--SignalR:MaximumMessageSize=huge");
    let mut server = ServerProcess::spawn(launch.standard_error(writer)).unwrap();
    assert_eq!(server.exit_status(PATIENCE).await.unwrap().code(), Some(2));
    drop(server);
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert!(said.contains("SignalR:MaximumMessageSize = 'huge'"), "{said}");
}
