//! Whatever serves HTTP serves hubs, on every transport.

use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::Router;
use hubline::testing::TestClient;
use hubline::{EndpointOptions, Hub, HubService, Server, Workers};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::client::{Http, TRANSPORTS};

#[derive(Debug, Clone, Copy)]
enum Host {
    Axum,
    Hyper,
    Hubline,
    Workers,
}

async fn bind() -> (TcpListener, Http) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = Http::to(listener.local_addr().unwrap());
    (listener, http)
}

/// Serves an application with axum until the runtime ends.
pub(crate) async fn serve(app: Router) -> Http {
    let (listener, http) = bind().await;
    tokio::spawn(axum::serve(listener, app).into_future());
    http
}

async fn serve_with_hyper(hub: HubService) -> Http {
    let (listener, http) = bind().await;
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(hub.clone());
            let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    http
}

pub(crate) async fn serve_with_hubline(app: Router) -> Http {
    let (listener, http) = bind().await;
    tokio::spawn(hubline::serve(listener, app, CancellationToken::new()));
    http
}

async fn serve_with_workers(app: Router) -> Http {
    let (listener, http) = bind().await;
    let workers = Workers::start_many(NonZeroUsize::new(2).unwrap()).unwrap();
    tokio::spawn(async move { workers.serve(listener, app, CancellationToken::new()).await });
    http
}

#[tokio::test]
async fn every_host_serves_every_transport() {
    for host in [Host::Axum, Host::Hyper, Host::Hubline, Host::Workers] {
        let server = Server::new();
        let hub = server.add_hub(Hub::new("Test").method("Add", async |a: i32, b: i32| a + b));
        let http = match host {
            Host::Axum => serve(hub.map("/hub")).await,
            Host::Hyper => serve_with_hyper(hub.service("/hub", EndpointOptions::default())).await,
            Host::Hubline => serve_with_hubline(hub.map("/hub")).await,
            Host::Workers => serve_with_workers(hub.map("/hub")).await,
        };
        for transport in TRANSPORTS {
            let mut client = http.connect("/hub", transport).await;
            assert_eq!(client.call("Add", "[1,2]").await, 3, "{host:?} {transport:?}");
            hub.context().clients().all().send("Receive", ("from outside",)).await.unwrap();
            let received = client.receive().await.unwrap();
            let sent = r#"{"type":1,"target":"Receive","arguments":["from outside"]}"#;
            assert_eq!(received, sent, "{host:?} {transport:?}");
        }
    }
}

#[tokio::test]
async fn a_hub_has_one_set_of_clients_on_all_its_paths() {
    let server = Server::new();
    let hub = server.add_hub(Hub::new("Test"));
    let http = serve(hub.map("/one").merge(hub.map("/two/")).merge(hub.map("/"))).await;
    for path in ["/one", "/two", "/"] {
        let mut client = http.connect(path, TRANSPORTS[0]).await;
        hub.context().clients().all().send("Receive", (path,)).await.unwrap();
        assert!(client.receive().await.unwrap().contains(path));
    }
}

#[tokio::test]
#[should_panic(
    expected = "the server has a hub named `Chat`: map that one on several paths with its `HubHandle`"
)]
async fn two_hubs_of_one_name_are_refused() {
    let server = Server::new();
    server.add_hub(Hub::new("chat"));
    server.add_hub(Hub::new("Chat"));
    server.add_hub(Hub::new("Chat"));
}

/// The attribute reaches everything it needs through the crate `hubline`.
#[hubline::method]
async fn rename(names: hubline::State<Arc<[String]>>, to: String) -> Result<usize, String> {
    let hubline::State(names) = names;
    if names.contains(&to) { Err(format!("there is a {to}")) } else { Ok(names.len()) }
}

#[tokio::test]
async fn a_method_under_the_attribute_fails_with_its_text() {
    let names: Arc<[String]> = Arc::new(["ada".to_owned()]);
    assert_eq!(rename(hubline::State(names.clone()), "bob".into()).await, Ok(1));
    let hub = Server::new().add_hub(Hub::with_state("Test", names).method("Rename", rename));
    let error = TestClient::connect(&hub).await.invoke_error("Rename", ("ada",)).await;
    let text = "An unexpected error occurred invoking 'Rename' on the server. HubException: there is a ada";
    assert_eq!(error, text);
}

/// Whoever depends on `hubline` alone can tell apart what ends a connection or fails a send.
#[test]
fn errors_within_errors_can_be_named() {
    use hubline::{CloseReason, DecodeError, EncodeError, PipeEnd, PublishError, SendError};
    let is_clients_fault = |reason: &CloseReason| match reason {
        CloseReason::ProtocolError(DecodeError::TooLarge { .. }) => true,
        CloseReason::TransportEnded(PipeEnd::Violation(code)) => *code != hubline::CloseCode::Normal,
        _ => false,
    };
    assert!(is_clients_fault(&CloseReason::ProtocolError(DecodeError::TooLarge { limit: 1 })));
    let text = |error: SendError| match error {
        SendError::Encode(error) => EncodeError::to_string(&error),
        SendError::Publish(PublishError::Refused(why)) => why,
        other => other.to_string(),
    };
    assert_eq!(text(SendError::Publish(PublishError::Refused("full".to_owned()))), "full");
}
