//! What a subscriber is told of calls.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hubline_hub::{Hub, HubError};
use hubline_identity::Principal;
use hubline_pipe::ConnectionInfo;
use parking_lot::Mutex;
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber, set_default};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::client::{self, Client, call, end, failed, info, item, result, start};

const PREFIX: &str = "Microsoft.AspNetCore.SignalR.Server.";

/// Takes the lines of the log of this thread, on which the test and its hub run.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin() -> (Self, (DefaultGuard, Dispatch)) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(log.clone())
            .with_ansi(false)
            .with_span_events(FmtSpan::CLOSE)
            .with_max_level(tracing::Level::INFO)
            .finish();
        // While there is only one, a message is asked for or not for ever by the subscriber of whichever thread meets it first,
        // and other tests have none.
        (log, (set_default(subscriber), Dispatch::new(NoSubscriber::default())))
    }

    fn lines_with(&self, text: &str) -> Vec<String> {
        let whole = String::from_utf8(self.0.lock().clone()).unwrap();
        whole.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    /// The only line with this text.
    fn line_with(&self, text: &str) -> String {
        let mut lines = self.lines_with(text);
        assert_eq!(lines.len(), 1, "{text}: {:?}", self.lines_with(""));
        lines.remove(0)
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn hub() -> Hub {
    Hub::new("Clinic")
        .method("Read", async |page: u32| {
            tokio::task::yield_now().await;
            tracing::info!("page {page}");
        })
        .stream("Pages", || {
            stream::iter(0..2).map(|page| {
                tracing::info!("item {page}");
                page
            })
        })
        .method("Fail", async || Err::<(), _>(HubError::new("no such page")))
        .method("Block", async || thread::sleep(Duration::from_millis(120)))
        .on_connected(async || tracing::info!("hello"))
        .on_disconnected(async || tracing::info!("bye"))
}

fn ada(id: &str) -> ConnectionInfo {
    ConnectionInfo { principal: Some(Arc::new(Principal::of_user("ada"))), ..info(id) }
}

fn assert_has(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_line_of_a_method_tells_call_connection_and_user() {
    let (log, _guard) = Log::begin();
    let hub = start(hub());
    let mut client = Client::connect_as(&hub, ada("c1")).await;
    client.send(&call(1, "read", "7")).await;
    assert_eq!(client.next().await, result(1, "null"));
    client.send(&client::stream("s", "Pages", "")).await;
    for expected in [item("s", "0"), item("s", "1"), end("s")] {
        assert_eq!(client.next().await, expected);
    }
    let who = ["connection=c1", "user=\"ada\""];
    let call = |method: &str| {
        let name = format!("{PREFIX}InvocationIn{{otel.name=Clinic/{method} otel.kind=\"server\"");
        let tags = format!("rpc.system=\"signalr\" rpc.service=\"Clinic\" rpc.method=\"{method}\"");
        [name, tags]
    };
    for (text, method) in [("page 7", "Read"), ("item 1", "Pages")] {
        let [name, tags] = call(method);
        assert_has(&log.line_with(text), &[&[&*name, &*tags][..], &who].concat());
    }
    let connected = format!("{PREFIX}OnConnected{{otel.name=Clinic/OnConnectedAsync otel.kind=\"internal\"");
    assert_has(&log.line_with("hello"), &[&[&*connected][..], &who].concat());
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_a_secret_is_in_no_line() {
    let (log, _guard) = Log::begin();
    let hub = start(hub());
    let info = ConnectionInfo { is_id_secret: true, ..ada("secret") };
    let public_id = info.public_id();
    let mut client = Client::connect_as(&hub, info).await;
    client.send(&call(1, "Read", "7")).await;
    assert_eq!(client.next().await, result(1, "null"));
    client.send(&call(2, "Read", "\"x\"")).await;
    client.next().await;
    assert_has(&log.line_with("page 7"), &[&format!("connection={public_id}")]);
    assert_eq!(log.lines_with("secret"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_span_tells_that_its_call_failed() {
    let (log, _guard) = Log::begin();
    let hub = start(hub());
    let mut client = Client::connect(&hub, "c1").await;
    client.send(&[call(1, "Fail", ""), call(2, "Read", "1")].concat()).await;
    let text = "An unexpected error occurred invoking 'Fail' on the server. HubException: no such page";
    assert_eq!(client.next().await, failed("1", text));
    assert_eq!(client.next().await, result(2, "null"));
    let closed = log.lines_with("close ");
    let of = |method: &str| closed.iter().find(|line| line.contains(&format!("=Clinic/{method} "))).unwrap();
    assert_has(of("Fail"), &["otel.status_code=\"ERROR\"", "error.type=\"HubException\""]);
    assert!(!of("Read").contains("error.type"), "{}", of("Read"));
}

#[tokio::test(start_paused = true)]
async fn the_first_call_of_a_method_that_does_not_bind_is_a_warning() {
    let (log, _guard) = Log::begin();
    let hub = start(hub());
    let mut client = Client::connect(&hub, "c1").await;
    let long = format!("\"{}\"", "x".repeat(1000));
    for (id, method, arguments) in
        [(1, "Read", &*long), (2, "Read", ""), (3, "Block", "1"), (4, "Block", "1")]
    {
        client.send(&call(id, method, arguments)).await;
        assert!(client.next().await.contains("Failed to invoke"));
    }
    let warning = log.line_with(" method=\"Read\"");
    assert_has(&warning, &[" WARN ", "hub=\"Clinic\"", "connection=c1", "invalid type: string", "…"]);
    assert!(warning.len() < 600, "{warning}");
    let expected = "Invocation provides 1 argument(s) but target expects 0.";
    assert_has(&log.line_with(" method=\"Block\""), &[" WARN ", expected]);
    assert_eq!(hub.statistics().binding_failures, 4);
}

#[tokio::test(start_paused = true)]
async fn calls_that_fit_no_method_are_a_warning_and_counted() {
    let (log, _guard) = Log::begin();
    let hub = start(hub());
    let mut client = Client::connect(&hub, "c1").await;
    for (id, method) in [(1, "Reed"), (2, "Reed"), (3, "Pages"), (4, "Pages")] {
        client.send(&call(id, method, "")).await;
        assert!(client.next().await.contains("\"error\""));
    }
    client.send(&client::stream("s", "Fail", "")).await;
    assert!(client.next().await.contains("non-streaming 'Fail' method with a streaming invocation"));
    assert_has(&log.line_with(" method=\"Reed\""), &[" WARN ", "hub=\"Clinic\"", "connection=c1"]);
    let expected = "the streaming 'Pages' method with a non-streaming invocation";
    assert_has(&log.line_with(" method=\"Pages\""), &[" WARN ", expected]);
    let statistics = hub.statistics();
    assert_eq!((statistics.unknown_methods, statistics.binding_failures), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_method_that_blocks_its_thread_is_named_once_and_counted() {
    let (log, _guard) = Log::begin();
    let hub = start(hub());
    let mut client = Client::connect(&hub, "c1").await;
    for id in 1..=2 {
        client.send(&call(id, "Block", "")).await;
        assert_eq!(client.next().await, result(id, "null"));
    }
    let warnings = log.lines_with("has kept its thread");
    let of_block: Vec<_> = warnings.iter().filter(|line| line.contains(" method=\"Block\"")).collect();
    assert_eq!(of_block.len(), 1, "{warnings:?}");
    assert_has(of_block[0], &[" WARN ", "hub=\"Clinic\"", "connection=c1"]);
    // A busy machine may keep other methods from running as long.
    assert!(hub.statistics().blocking_polls >= 2, "{:?}", hub.statistics());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_too_slowly_is_named_once_and_counted() {
    let (log, _guard) = Log::begin();
    let hub = start(hub());
    let mut slow = Vec::new();
    for id in ["s1", "s2"] {
        let mut client = Client::with_room_for(&hub, id, 1);
        client.send(r#"{"protocol":"json","version":1}␞"#).await;
        assert_eq!(client.next().await, "{}␞");
        slow.push(client);
    }
    while hub.statistics().closed["slow_client"] < 2 {
        hub.clients().all().send("Receive", ("x".repeat(60_000),)).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_has(&log.line_with("did not take its messages"), &[" INFO ", "hub=\"Clinic\"", "connection=s"]);
}
