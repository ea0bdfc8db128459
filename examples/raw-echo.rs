//! How do I serve a protocol of my own over SignalR's transports?
//!
//! A connection without a hub: negotiated, on any of the transports, and then bytes in both directions (ASP.NET
//! Core's `MapConnectionHandler`). In JavaScript it is the `HttpConnection` of `@microsoft/signalr`.
//!
//!     cargo run -p hubline --example raw-echo

use std::time::Duration;

use hubline::{Connection, ConnectionError, Server};

async fn echo(mut connection: Connection) -> Result<(), ConnectionError> {
    while let Some(bytes) = connection.receive().await {
        connection.send_text(String::from_utf8_lossy(&bytes)).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let server = Server::new();
    let app = server.map_connections("/echo", echo);
    let listener = tokio::net::TcpListener::bind("localhost:5000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    hubline::run(listener, app, &server, Duration::from_secs(5)).await
}
