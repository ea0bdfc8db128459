//! Connections without a hub.

use std::time::Duration;

use axum::http::StatusCode;
use hubline::{Connection, ConnectionError, EndpointOptions, Policy, Server, TransportKind};

use crate::client::TRANSPORTS;
use crate::hosts::serve;

async fn echo(mut connection: Connection) -> Result<(), ConnectionError> {
    while let Some(bytes) = connection.receive().await {
        connection.send_text(String::from_utf8_lossy(&bytes)).await?;
    }
    connection.send_text("good-bye\u{1e}").await
}

#[tokio::test]
async fn every_transport_carries_whatever_is_sent() {
    let server = Server::new();
    let http = serve(server.map_connections("/echo", echo)).await;
    let mut clients = Vec::new();
    for transport in TRANSPORTS {
        let mut client = http.attach("/echo", transport).await;
        for text in ["hello", "Gr\u{fc}\u{df}e and \u{1f600}", ""] {
            client.send(&format!("{text}\u{1e}")).await;
            assert_eq!(client.receive().await.unwrap(), text);
        }
        clients.push(client);
    }
    assert_eq!(server.connection_count(), 3);
    let statistics = server.statistics();
    assert_eq!(statistics.connection_handlers[0].name, "/echo");
    assert_eq!(statistics.connection_handlers[0].connections, 3);
    let web_sockets = &statistics.connections.web_sockets;
    assert_eq!((web_sockets.active, web_sockets.opened()), (1, 1));

    let shutdown = server.shutdown(Duration::from_secs(60));
    let farewells = async {
        for mut client in clients {
            assert_eq!(client.receive().await.unwrap(), "good-bye");
            assert_eq!(client.receive().await, None);
        }
    };
    let (all_gone, ()) = tokio::join!(shutdown, farewells);
    assert!(all_gone, "the handlers have ended");
    assert_eq!(server.connection_count(), 0);
}

#[tokio::test]
async fn a_handler_that_ends_or_panics_ends_its_connection_and_nothing_else() {
    let server = Server::new();
    let moody = async |mut connection: Connection| {
        let said = connection.receive().await.unwrap_or_default();
        assert_ne!(&said[..], b"panic");
        match connection.send_binary(said).await {
            Err(ConnectionError::TextOnly) => connection.send_text("text only\u{1e}").await,
            sent => sent,
        }
    };
    let http = serve(server.map_connections("/moody", moody)).await;
    for transport in TRANSPORTS {
        let mut client = http.attach("/moody", transport).await;
        client.send("panic").await;
        assert_eq!(client.receive().await, None, "{transport:?}");
    }
    let mut events = http.attach("/moody", TransportKind::ServerSentEvents).await;
    events.send("bytes").await;
    assert_eq!(events.receive().await.unwrap(), "text only");
    assert_eq!(events.receive().await, None);
    assert!(server.shutdown(Duration::from_secs(60)).await);
}

#[tokio::test]
async fn options_are_those_of_any_endpoint() {
    let server = Server::new();
    let options = EndpointOptions::default().authorize(Policy::authenticated());
    let http = serve(server.map_connections_with("/signed-in", options, echo)).await;
    assert_eq!(http.statuses("/signed-in").await, [StatusCode::UNAUTHORIZED; 4]);
    assert_eq!(server.paths(), ["/signed-in"]);
}

#[test]
#[should_panic(expected = "leave `allow_stateful_reconnects` out")]
fn what_cannot_be_resumed_says_so() {
    let options = EndpointOptions::default().allow_stateful_reconnects();
    let _: axum::Router = Server::new().map_connections_with("/echo", options, echo);
}
