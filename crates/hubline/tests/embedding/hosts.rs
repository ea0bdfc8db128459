//! Whatever serves HTTP serves hubs, on every transport.

use std::num::NonZeroUsize;

use axum::Router;
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
