//! The end of a server, as its clients see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use hubline::testing::TestClient;
use hubline::{HttpOptions, Hub, HubHandle, Server, State};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Http, TRANSPORTS};

/// Longer than any step of these tests takes, so that whoever needs it all has failed.
const GRACE: Duration = Duration::from_secs(60);
const RECONNECT: &str = r#"{"type":7,"allowReconnect":true}"#;

async fn everything(mut client: Client) -> Vec<String> {
    let mut messages = Vec::new();
    while let Some(message) = client.receive().await {
        messages.push(message);
    }
    messages
}

/// Counts the requests that wait for their response; of connected clients only polls do.
async fn count(
    axum::extract::State(waiting): axum::extract::State<Arc<AtomicUsize>>,
    request: Request,
    next: Next,
) -> Response {
    waiting.fetch_add(1, Ordering::SeqCst);
    let response = next.run(request).await;
    waiting.fetch_sub(1, Ordering::SeqCst);
    response
}

#[tokio::test]
async fn everybody_is_told_to_reconnect_and_the_server_ends() {
    let server = Server::new();
    let hub = server.add_hub(Hub::new("Test").method("Add", async |a: i32, b: i32| a + b));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = Http::to(listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let waiting = Arc::<AtomicUsize>::default();
    let app = hub.map("/hub").layer(from_fn_with_state(Arc::clone(&waiting), count));
    let serving = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    let serving = tokio::spawn(serving.into_future());
    let mut clients = Vec::new();
    for transport in TRANSPORTS {
        let mut client = http.connect("/hub", transport).await;
        assert_eq!(client.call("Add", "[1,2]").await, 3);
        clients.push((transport, tokio::spawn(everything(client))));
    }
    let connections = server.statistics().connections;
    let transports = [connections.web_sockets, connections.server_sent_events, connections.long_polling];
    assert_eq!(transports.map(|transport| transport.active), [1; 3]);
    assert_eq!(server.connection_count(), 3);
    while waiting.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }

    stop.cancel();
    assert!(server.shutdown(GRACE).await, "all connections ended in time");
    for (transport, client) in clients {
        assert_eq!(client.await.unwrap(), [RECONNECT], "{transport:?}");
    }
    assert_eq!(server.connection_count(), 0);
    let statistics = server.statistics();
    let connections = statistics.connections;
    let transports = [connections.web_sockets, connections.server_sent_events, connections.long_polling];
    assert_eq!(transports.map(|transport| (transport.active, transport.app_shutdown.count)), [(0, 1); 3]);
    assert_eq!(statistics.hubs[0].closed["server_shutdown"], 3);
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn whoever_comes_later_is_told_at_once() {
    let server = Server::new();
    let hub = server.add_hub(Hub::new("Test"));
    let http = crate::hosts::serve(hub.map("/hub")).await;
    assert!(server.shutdown(GRACE).await, "there is nobody to wait for");
    assert_eq!(http.negotiates("/hub").await, StatusCode::OK);
    for transport in TRANSPORTS {
        let client = http.connect("/hub", transport).await;
        assert_eq!(everything(client).await, [RECONNECT], "{transport:?}");
    }
    assert!(server.shutdown(GRACE).await, "they have gone too");
}

#[tokio::test(start_paused = true)]
async fn a_method_that_does_not_end_costs_the_grace_and_no_more() {
    let server = Server::new();
    let (begin, mut begun) = mpsc::channel::<()>(1);
    let forever = async |State(begin): State<mpsc::Sender<()>>| {
        begin.send(()).await.unwrap();
        std::future::pending::<()>().await;
    };
    let hub = server.add_hub(Hub::with_state("Test", begin).method("Forever", forever));
    let client = TestClient::connect(&hub).await;
    client.send("Forever", ()).await;
    begun.recv().await.unwrap();
    let began = Instant::now();
    assert!(!server.shutdown(GRACE).await, "the method still runs");
    assert_eq!(began.elapsed(), GRACE);
    assert!(client.closed().await.allow_reconnect);
}

/// A hub whose method is over when the sender is dropped.
fn slow_hub(server: &Server) -> (HubHandle, watch::Sender<()>) {
    let (end, ended) = watch::channel(());
    let slow = async |State(ended): State<watch::Receiver<()>>| {
        let mut ended = ended.clone();
        while ended.changed().await.is_ok() {}
        "over"
    };
    (server.add_hub(Hub::with_state("Test", ended).method("Slow", slow)), end)
}

#[tokio::test]
async fn a_program_that_is_asked_to_stop_lets_running_calls_finish_and_one_that_is_asked_twice_does_not() {
    for is_patient in [true, false] {
        let server = Server::new();
        let (hub, end) = slow_hub(&server);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (app, stopping) = (hub.map("/hub"), server.clone());
        let running = tokio::spawn(async move { hubline::run(listener, app, &stopping, GRACE).await });
        let http = Http::to(address);
        let mut client = http.connect("/hub", TRANSPORTS[0]).await;
        client.send("{\"type\":1,\"target\":\"Slow\",\"arguments\":[]}\u{1e}").await;
        // Who is answered was accepted, so signals are listened for; and the call before has begun.
        client.send("{\"type\":4,\"invocationId\":\"1\",\"target\":\"X\",\"arguments\":[]}\u{1e}").await;
        assert!(client.receive().await.unwrap().contains("Method does not exist."));
        ask_to_stop();
        while http.negotiates("/hub").await == StatusCode::OK {}
        assert!(!running.is_finished(), "the call still runs");
        if is_patient {
            drop(end);
            assert_eq!(everything(client).await, [RECONNECT]);
        } else {
            ask_to_stop();
        }
        running.await.unwrap().unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }
}

fn ask_to_stop() {
    let me = std::process::id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &me]).status().unwrap().success());
}

#[tokio::test]
async fn a_program_may_stop_when_it_likes() {
    let server = Server::new();
    let hub = server.add_hub(Hub::new("Test"));
    let client = TestClient::connect(&hub).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let options = HttpOptions::default();
    let running = hubline::run_until(listener, hub.map("/hub"), &server, GRACE, options, stopped);
    let stopping = async {
        drop(stop);
        assert!(client.closed().await.allow_reconnect);
    };
    let (ran, ()) = tokio::join!(running, stopping);
    ran.unwrap();
}
