//! Serving HTTP/1.1 to the internet.

use std::io;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// How long a client may take to send the head of a request (Kestrel's `RequestHeadersTimeout`).
const HEADERS_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait when no connection can be accepted, for instance because all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves an axum application until `stop`, then finishes the requests that are being answered.
///
/// Beyond `axum::serve`: requests whose head does not come are given up, small messages are not held back
/// by Nagle's algorithm, and WebSockets get the bare socket, which keeps idle connections small.
///
/// # Errors
/// The listener is broken for good.
pub async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) -> io::Result<()> {
    let mut http = Builder::new(TokioExecutor::new()).http1_only();
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_TIMEOUT);
    let graceful = GracefulShutdown::new();
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    pause_after(&error).await?;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        serve_one(&http, &graceful, socket, app.clone());
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}

fn serve_one(http: &Builder<TokioExecutor>, graceful: &GracefulShutdown, socket: TcpStream, app: Router) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a socket was gone before it could be set up");
        return;
    }
    let connection = http.serve_connection_with_upgrades(TokioIo::new(socket), TowerToHyperService::new(app));
    let connection = graceful.watch(connection.into_owned());
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP connection ended with an error");
        }
    });
}

async fn pause_after(error: &io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused => Ok(()),
        io::ErrorKind::InvalidInput => Err(io::Error::new(error.kind(), error.to_string())),
        _ => {
            tracing::error!(%error, "cannot accept connections");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            Ok(())
        }
    }
}
