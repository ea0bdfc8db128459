//! What Prometheus reads from the program.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod client;
mod exposition;
mod request;

use std::time::Duration;

use exposition::Page;
use hubline_testkit::{Launch, RedisServer, ServerProcess};
use request::{ask, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(20);
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const TRANSPORTS: [&str; 3] = ["web_sockets", "server_sent_events", "long_polling"];

fn hubline() -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve").arg("--dev")
}

async fn page(port: u16) -> Page {
    let (head, body) = ask(port, "GET /metrics", "").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains(TEXT), "{head}");
    Page::parse(&body)
}

/// The first page of which something is true.
async fn page_with(port: u16, what: &str, is_true: impl Fn(&Page) -> bool) -> Page {
    let found = async {
        loop {
            let page = page(port).await;
            if is_true(&page) {
                return page;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    match timeout(PATIENCE, found).await {
        Ok(page) => page,
        Err(_) => panic!("not {what}: {:#?}", page(port).await),
    }
}

fn active(page: &Page) -> [f64; 3] {
    TRANSPORTS.map(|transport| {
        page.value(&format!("signalr_server_active_connections{{signalr_transport=\"{transport}\"}}"))
    })
}

/// Connections that have ended normally.
fn ended(page: &Page) -> [f64; 3] {
    TRANSPORTS.map(|transport| {
        let labels =
            format!("signalr_connection_status=\"normal_closure\",signalr_transport=\"{transport}\"");
        page.value(&format!("signalr_server_connection_duration_seconds_count{{{labels}}}"))
    })
}

async fn negotiate(port: u16) -> String {
    let (_, body) = ask(port, "POST /chathub/negotiate?negotiateVersion=1", "").await;
    let (_, token) = body.split_once(r#""connectionToken":""#).unwrap();
    token.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn connections_of_each_transport_are_counted_and_gone_afterwards() {
    let launch = hubline();
    let port = launch.port();
    let _server = ServerProcess::start(launch).await.unwrap();
    assert_eq!(active(&page(port).await), [0.0; 3]);

    let web_socket = client::connect(port, "/chathub").await;
    let events = format!("GET /chathub?id={}", negotiate(port).await);
    let mut events = send(port, &events, "Accept: text/event-stream\r\n").await;
    events.read_u8().await.unwrap();
    let polled = negotiate(port).await;
    let (head, _) = ask(port, &format!("GET /chathub?id={polled}"), "").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let counted = page(port).await;
    assert_eq!((active(&counted), ended(&counted)), ([1.0; 3], [0.0; 3]));
    assert_eq!(counted.value("hubline_hub_connections{hub=\"ChatHub\"}"), 1.0, "one has shaken hands");

    drop((web_socket, events));
    ask(port, &format!("DELETE /chathub?id={polled}"), "").await;
    let counted = page_with(port, "gone", |page| active(page) == [0.0; 3]).await;
    assert_eq!(ended(&counted), [1.0; 3]);
    let closed = |reason| {
        let labels = format!("hub=\"ChatHub\",reason=\"{reason}\"");
        counted.value(&format!("hubline_hub_connections_closed_total{{{labels}}}"))
    };
    let limited = "hubline_hub_clients_limited_total{hub=\"ChatHub\",limit=\"bytes_per_second\"}";
    let held = "hubline_hub_senders_held_total{hub=\"ChatHub\",end=\"timeout\"}";
    let binding = "hubline_hub_binding_failures_total{hub=\"ChatHub\"}";
    let blocking = "hubline_hub_blocking_polls_total{hub=\"ChatHub\"}";
    let unknown = "hubline_hub_unknown_methods_total{hub=\"ChatHub\"}";
    let absent = [limited, held, unknown, binding, blocking].map(|name| counted.value(name));
    assert_eq!(absent, [0.0; 5], "what has not happened is there");
    assert_eq!(["transport_lost", "handshake_lost", "slow_client"].map(closed), [1.0, 2.0, 0.0]);
}

#[tokio::test]
async fn messages_handed_to_connections_and_calls_of_each_method_are_counted() {
    let launch = hubline();
    let port = launch.port();
    let _server = ServerProcess::start(launch).await.unwrap();
    let mut socket = client::connect(port, "/hubs/navigation-state").await;
    let call = r#"{"type":1,"invocationId":"1","target":"RequestCurrentState","arguments":[]}"#;
    socket.write_all(&client::frame(call)).await.unwrap();
    // The state as an event, and as the result of the call; the handshake is no message.
    let both = |page: &Page| page.value("signalr_messages_sent_total") == 2.0;
    let counted = page_with(port, "sent", both).await;
    assert_eq!(counted.value("signalr_connection_count"), 1.0);
    let labels = r#"hub="NavigationStateHub",method="RequestCurrentState""#;
    let of_calls = |what: &str| format!("hubline_hub_method_duration_seconds_{what}{{{labels}}}");
    assert_eq!(counted.value(&of_calls("count")), 1.0);
    assert!((1e-9..20.0).contains(&counted.value(&of_calls("sum"))));
    assert_eq!(
        ["database_connected", "ready"].map(|name| counted.value(&format!("hubline_{name}"))),
        [1.0; 2]
    );
    drop(socket);
    page_with(port, "gone", |page| page.value("signalr_connection_count") == 0.0).await;
}

#[tokio::test]
async fn what_redis_does_not_take_is_seen_and_so_is_its_return() {
    let mut redis = RedisServer::start().await.unwrap();
    let launch =
        hubline().arg("--redis").arg(redis.connection_string()).env("SignalR__Outbox__MaximumMessages", "2");
    let port = launch.port();
    let _server = ServerProcess::start(launch).await.unwrap();
    let fates = ["published_total", "queued_total", "replayed_total", "lost_total{cause=\"overflowed\"}"];
    let fates = |page: &Page| fates.map(|fate| page.value(&format!("hubline_backplane_messages_{fate}")));
    let is_connected = |page: &Page| page.value("hubline_backplane_connected") == 1.0;
    let mut sender = client::connect(port, "/chathub").await;
    let message = client::frame(r#"{"type":1,"target":"UserTyping","arguments":["bob"]}"#);

    page_with(port, "connected", is_connected).await;
    let figures = ["connected_clients", "memory_used_bytes", "commands_processed_total"];
    let told = |page: &Page| figures.map(|figure| page.get(&format!("redis_{figure}")));
    let counted = page_with(port, "told by Redis", |page| told(page)[0].is_some()).await;
    assert!(told(&counted).iter().all(|value| value.is_some_and(|value| value > 0.0)), "{counted:?}");
    assert!((1e-9..20.0).contains(&counted.value("hubline_redis_round_trip_seconds")));
    sender.write_all(&message).await.unwrap();
    let counted = page_with(port, "published", |page| fates(page)[0] == 1.0).await;
    assert_eq!(fates(&counted), [1.0, 0.0, 0.0, 0.0]);

    redis.stop().await.unwrap();
    page_with(port, "disconnected", |page| !is_connected(page)).await;
    for _ in 0..3 {
        sender.write_all(&message).await.unwrap();
    }
    let counted = page_with(port, "lost", |page| fates(page)[3] == 1.0).await;
    assert_eq!(fates(&counted), [1.0, 2.0, 0.0, 1.0], "the outbox has room for two");
    assert_eq!(counted.value("hubline_backplane_outbox_messages"), 2.0);
    assert!(counted.value("hubline_backplane_outbox_bytes") > 0.0);

    redis.start_again().await.unwrap();
    let counted = page_with(port, "replayed", |page| fates(page)[2] == 2.0).await;
    assert_eq!(fates(&counted), [1.0, 2.0, 2.0, 1.0]);
    assert_eq!(counted.value("hubline_backplane_outbox_messages"), 0.0);
    assert_eq!(counted.value("hubline_backplane_outbox_bytes"), 0.0);
    assert!(is_connected(&counted) && counted.value("hubline_backplane_reconnects_total") >= 1.0);

    // A message that this instance has a receiver for is measured.
    for call in [
        r#"{"type":1,"target":"JoinRoom","arguments":["r"]}"#,
        r#"{"type":1,"target":"SendToRoom","arguments":["r","hello"]}"#,
    ] {
        sender.write_all(&client::frame(call)).await.unwrap();
    }
    let counted =
        page_with(port, "measured", |page| page.value("hubline_backplane_latency_seconds_count") >= 1.0)
            .await;
    assert!((1e-9..20.0).contains(&counted.value("hubline_backplane_latency_seconds_sum")));
    let opened = "hubline_connections_opened_total{signalr_transport=\"web_sockets\"}";
    assert_eq!(counted.value(opened), 1.0);
}

#[tokio::test]
async fn the_process_and_its_version_are_told_and_no_backplane_where_there_is_none() {
    let launch = hubline();
    let port = launch.port();
    let _server = ServerProcess::start(launch).await.unwrap();
    let page = page(port).await;
    assert!(!page.names().any(|name| name.starts_with("hubline_backplane")));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(page.get(&format!("hubline_build_info{{version=\"{version}\"}}")), Some(1.0));
    for figure in ["resident_memory_bytes", "virtual_memory_bytes", "threads", "open_fds"] {
        assert!(page.value(&format!("process_{figure}")) > 1.0, "{figure}");
    }
    assert!(page.get("process_cpu_seconds_total").is_some());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let age = now - page.value("process_start_time_seconds");
    assert!((-2.0..60.0).contains(&age), "{age} s ago");
}

#[tokio::test]
async fn who_asks_for_open_metrics_gets_it() {
    let launch = hubline();
    let port = launch.port();
    let _server = ServerProcess::start(launch).await.unwrap();
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3\r\n";
    let (head, body) = ask(port, "GET /metrics", accept).await;
    assert!(head.contains("application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(body.contains("\n# TYPE hubline_hub_connections_closed counter\n"), "a family without _total");
    assert!(body.ends_with("\n# EOF\n"));
}

#[tokio::test]
async fn another_path_serves_them_or_none_does() {
    for (key, value, path, status) in [
        ("Prometheus__Enabled", "false", "/metrics", 404),
        ("Prometheus__Path", "/internal/figures/", "/metrics", 404),
        ("Prometheus__Path", "/internal/figures/", "/internal/figures", 200),
    ] {
        let launch = hubline().env(key, value);
        let port = launch.port();
        let _server = ServerProcess::start(launch).await.unwrap();
        let (head, _) = ask(port, &format!("GET {path}"), "").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{key}={value}: {head}");
    }
}
