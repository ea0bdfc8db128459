//! `hubline check` with every database and kind of Redis, keys that may not send, and instances that are not like the others.

use std::time::{SystemTime, UNIX_EPOCH};

use hubline_testkit::{Certificates, Cluster, Launch, PostgresServer, RedisServer, Sentinels, ServerProcess};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_util::task::AbortOnDropHandle;

use super::{KEY, check, texts};

const DATABASE: &str = "ConnectionStrings__Database";
const HOUR: f64 = 3_600_000.0;

/// One with an admin key, and this Redis.
fn launch(redis: &str) -> Launch {
    let launch = Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve").env("Admin__ApiKeys__0", KEY);
    launch.env("ConnectionStrings__RedisSignalR", redis)
}

#[tokio::test]
async fn the_database_is_looked_at_and_never_changed() {
    let server = PostgresServer::shared().await.unwrap();
    let (used, empty) = (server.database().await.unwrap(), server.database().await.unwrap());
    let directory = tempfile::tempdir().unwrap();
    let sqlite = format!("Data Source={}", directory.path().join("test.db").display());
    let instance = ServerProcess::start(launch("").env(DATABASE, used.connection_string())).await.unwrap();
    let url = instance.url();
    let step = async |database: &str, outcome: &str| {
        let (_, report) = check(&url, &["--database", database], &[]).await;
        let texts = texts(&report, "Database", outcome);
        let [text] = texts[..] else { panic!("{database}: {report:#}") };
        text.to_owned()
    };

    let text = step(&used.connection_string(), "passed").await;
    assert!(text.contains(used.name()) && text.contains("with the tables of this version"), "{text}");
    let text = step(&empty.connection_string(), "failed").await;
    assert!(text.contains("hubline migrate"), "{text}");
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(server.command_in(empty.name(), tables).await.unwrap().trim(), "0", "nothing was made");
    let nowhere = "Host=127.0.0.1;Port=1;Database=conduit;Username=conduit;Password=conduitpass";
    let text = step(nowhere, "failed").await;
    assert!(text.contains("127.0.0.1") && !text.contains("conduitpass"), "{text}");
    let text = step(&sqlite, "leftOut").await;
    assert!(text.contains("a file of one machine") && !directory.path().join("test.db").exists(), "{text}");

    // Of those that nobody has named, PostgreSQL is looked at, and SQLite is no step.
    let (code, report) = check(&url, &[], &[(DATABASE, &used.connection_string())]).await;
    assert_eq!((code, texts(&report, "Database", "passed").len()), (Some(0), 1), "{report:#}");
    let (code, report) = check(&url, &[], &[(DATABASE, &sqlite)]).await;
    assert!(code == Some(0) && !report.to_string().contains("\"Database\""), "{report:#}");
}

#[tokio::test]
async fn every_kind_of_redis_is_listened_to() {
    let certificates = Certificates::new(&["localhost", "127.0.0.1"]).unwrap();
    let cluster = Cluster::start(3).await.unwrap();
    let sentinels = Sentinels::start().await.unwrap();
    let tls = RedisServer::start_with_tls(&certificates, &[]).await.unwrap();
    for redis in [cluster.connection_string(), sentinels.connection_string(), tls.connection_string()] {
        let starting = (0..2).map(|_| ServerProcess::start(launch(&redis)));
        let servers = futures_util::future::try_join_all(starting).await.unwrap();
        let urls = super::urls(&servers);
        let arguments = ["--redis", &redis, "--strict"];
        let (code, report) = check(&urls, &arguments, &[("Admin__ApiKeys__0", KEY)]).await;
        assert_eq!(code, Some(0), "{redis}: {report:#}");
        let [messages] = texts(&report, "Messages", "passed")[..] else { panic!("{redis}: {report:#}") };
        assert!(messages.starts_with("36 of 36 messages arrived"), "{redis}: {messages}");
        let [channels] = texts(&report, "Channels", "passed")[..] else { panic!("{redis}: {report:#}") };
        assert!(channels.starts_with("6 of 6 messages"), "{redis}: {channels}");
    }
}

#[tokio::test]
async fn a_key_that_may_only_read_looks_at_everything_and_sends_nothing() {
    let instance = ServerProcess::start(launch("")).await.unwrap();
    let authorization = format!("Authorization: Bearer {KEY}");
    let making = Command::new("curl")
        .args(["-s", "-H", &authorization, "-H", "Content-Type: application/json"])
        .args(["-d", r#"{"name":"reader","scope":"read"}"#, &format!("{}/api/admin/keys", instance.url())])
        .output();
    let made: Value = serde_json::from_slice(&making.await.unwrap().stdout).unwrap();
    let key = made["secret"].as_str().unwrap_or_else(|| panic!("{made}"));
    let (code, report) = check(&instance.url(), &["--admin-key", key], &[]).await;
    assert_eq!((code, &report["failed"]), (Some(0), &0.into()), "{report:#}");
    assert_eq!(texts(&report, "Versions", "passed").len(), 1, "{report:#}");
    for step in ["Messages", "Channels"] {
        let [left_out] = texts(&report, step, "leftOut")[..] else { panic!("{report:#}") };
        assert!(left_out.contains("the scope write, and this one has read"), "{left_out}");
    }
    assert!(!report.to_string().contains(key), "{report:#}");
}

#[tokio::test]
async fn a_clock_that_is_wrong_and_another_version_are_told() {
    let instance = ServerProcess::start(launch("")).await.unwrap();
    let (other, _serving) = another_instance().await;
    let (code, report) = check(&format!("{};{other}", instance.url()), &["--admin-key", KEY], &[]).await;
    assert_eq!(code, Some(1), "{report:#}");
    let [clocks] = texts(&report, "Clocks", "failed")[..] else { panic!("{report:#}") };
    let (ahead, of) = clocks.split_once(" s ahead of ").unwrap();
    let seconds: f64 = ahead.strip_prefix(&format!("{other} is ")).unwrap().parse().unwrap();
    // The clocks of one machine, but for half a round trip.
    assert!((3_590.0..3_610.0).contains(&seconds) && of.starts_with(&instance.url()), "{clocks}");
    let [versions] = texts(&report, "Versions", "failed")[..] else { panic!("{report:#}") };
    for version in
        [format!("0.0.9 at {other}"), format!("{} at {}", env!("CARGO_PKG_VERSION"), instance.url())]
    {
        assert!(versions.contains(&version), "{versions}");
    }
}

/// An instance of another version with a clock that is an hour ahead, as far as it says what it is: it has no hub.
async fn another_instance() -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            answer(socket).await;
        }
    });
    (url, AbortOnDropHandle::new(serving))
}

/// Answers the one request of a connection.
async fn answer(mut socket: TcpStream) {
    let (mut head, mut piece) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match socket.read(&mut piece).await {
            Ok(read @ 1..) => head.extend(&piece[..read]),
            _ => return,
        }
    }
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1_000.0 + HOUR;
    let about = json!({
        "instance": "another", "version": "0.0.9", "time": time, "channelPrefix": null, "configuration": "alone",
    });
    let (status, body) = match String::from_utf8_lossy(&head).split(' ').nth(1) {
        Some("/health") => ("200 OK", json!({"status": "Healthy"})),
        Some("/hubline/check/instance") => ("200 OK", about),
        _ => ("404 Not Found", json!({})),
    };
    let body = body.to_string();
    let answer =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    _ = socket.write_all(answer.as_bytes()).await;
}
