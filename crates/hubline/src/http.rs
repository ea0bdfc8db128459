//! Serving HTTP/1.1 to the internet.

mod connection;
mod head_filter;
mod workers;

use std::io;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use connection::{LIMITS, serve_one};
pub use workers::Workers;

/// How long to wait when no connection can be accepted, for instance because all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves an axum application on the current runtime until `stop`, then finishes the requests that are being
/// answered.
///
/// Beyond `axum::serve`, small responses are not held back by Nagle's algorithm, and clients that keep a
/// connection and do nothing with it are given up:
///
/// - the head of a request must come within 30 s, and is refused if it is much larger than 64 KiB;
/// - whoever reads the body of a request waits 30 s at most for its next bytes, then gets an error;
/// - a client that takes no byte of its response for 10 s is disconnected.
///
/// Responses that have nothing to say yet, waiting polls and event streams, are not bounded by these.
///
/// A request whose target contains a `#` is answered with 400, as Kestrel does it since .NET 11. `axum::serve` leaves out what
/// is behind the `#`.
///
/// # Errors
/// The listener is broken for good.
pub async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) -> io::Result<()> {
    accept(listener, stop, |socket, connections, stop| {
        connections.spawn(serve_one(socket, app.clone(), stop, LIMITS));
    })
    .await
}

/// Gives each connection to `serve`, which spawns its task as one of the tracker's; the last are waited for.
async fn accept(
    listener: TcpListener,
    stop: CancellationToken,
    mut serve: impl FnMut(TcpStream, &TaskTracker, CancellationToken),
) -> io::Result<()> {
    let connections = TaskTracker::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => serve(socket, &connections, stop.clone()),
                Err(error) => pause_after(&error).await?,
            },
            () = stop.cancelled() => break,
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
    Ok(())
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
