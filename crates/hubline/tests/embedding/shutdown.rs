//! The end of a server, as its clients see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use hubline::{Hub, Server, State};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
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

#[tokio::test]
async fn a_method_that_does_not_end_costs_the_grace_and_no_more() {
    let server = Server::new();
    let (begin, mut begun) = mpsc::channel::<()>(1);
    let forever = async |State(begin): State<mpsc::Sender<()>>| {
        begin.send(()).await.unwrap();
        std::future::pending::<()>().await;
    };
    let hub = server.add_hub(Hub::with_state("Test", begin).method("Forever", forever));
    let http = crate::hosts::serve(hub.map("/hub")).await;
    let mut client = http.connect("/hub", TRANSPORTS[0]).await;
    client.send("{\"type\":1,\"target\":\"Forever\",\"arguments\":[]}\u{1e}").await;
    begun.recv().await.unwrap();
    let client = tokio::spawn(everything(client));
    assert!(!server.shutdown(Duration::from_millis(100)).await, "the method still runs");
    assert_eq!(client.await.unwrap(), [RECONNECT]);
}
