//! Serving HTTP/1.1 to the internet.

mod connection;
mod forwarded;
mod head_filter;
mod host;
mod options;
mod progress;
#[cfg(feature = "tls")]
mod tls;
mod trouble;
mod workers;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use connection::{Limits, serve_one};
pub use forwarded::{ForwardedHeaders, InvalidIpNetwork, IpNetwork};
pub use options::HttpOptions;
#[cfg(feature = "tls")]
pub use tls::{CertificateError, CertificateFiles, CertificateProblem, TlsConfig, TlsStatistics};
use trouble::Trouble;
pub use workers::Workers;

/// How long to wait when no connection can be accepted, for instance because all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves an axum application on the current runtime until `stop`, then finishes the requests that are being
/// answered.
///
/// Beyond `axum::serve`, small responses are not held back by Nagle's algorithm, and clients that keep a
/// connection and do nothing with it are given up:
///
/// - a connection without a request is closed after 130 s, and the head of a request must come within 30 s of its first byte
///   ([`HttpOptions`] sets both); it is refused if it is much larger than 64 KiB;
/// - whoever reads the body of a request waits 30 s at most for its next bytes, then gets an error;
/// - a client that takes no byte of its response for 10 s is disconnected.
///
/// Responses that have nothing to say yet, waiting polls and event streams, are not bounded by these.
///
/// The kernel keeps 128 KiB of what a client has not taken, rather than megabytes, so that a hub sees who reads and who does not: that is
/// what [`HubOptions::sender_hold_timeout`](crate::HubOptions::sender_hold_timeout) goes by. Under `axum::serve` a
/// client that reads slowly may take nothing for a second at a time, which looks as if it read nothing: nobody waits for it then.
///
/// What `axum::serve` cannot be told, this does as Kestrel does:
///
/// - a request is answered with 400 whose target contains a `#` (`axum::serve` leaves out what is behind it), that has more than one
///   `Host` or an invalid one, or, if it is of HTTP/1.1, none;
/// - `<`, `>` and `"` may stand in a query, and `<`, `>` and `` ` `` in a path; applications see them percent-encoded
///   (`axum::serve` answers 400);
/// - a request for a WebSocket may be of HTTP/1.0, which is how nginx asks without `proxy_http_version 1.1` (`axum::serve` does not
///   upgrade it);
/// - the answer that makes a connection a WebSocket spells `Connection`, `Upgrade` and `Sec-WebSocket-Accept` as RFC 6455
///   does (`axum::serve` writes lower case, as for all names, which mean the same but not to every microcontroller).
///
/// Each request has the address of its client as an extension, [`axum::extract::ConnectInfo`]`<SocketAddr>`: that of the socket's other end,
/// or what [`HttpOptions::forwarded_headers`] make of it.
///
/// # Errors
/// The listener is broken for good.
pub async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) -> io::Result<()> {
    serve_with(listener, app, stop, HttpOptions::default()).await
}

/// [`serve`] with options.
///
/// # Errors
/// As [`serve`].
pub async fn serve_with(
    listener: TcpListener,
    app: Router,
    stop: CancellationToken,
    options: HttpOptions,
) -> io::Result<()> {
    let limits = Limits::new(options.clone());
    accept(listener, stop, &options, |socket, remote, connections, stop| {
        connections.spawn(serve_one(socket, remote, app.clone(), stop, limits.clone()));
    })
    .await
}

/// Gives each connection to `serve`, which spawns its task as one of the tracker's; the last are waited for.
async fn accept(
    listener: TcpListener,
    stop: CancellationToken,
    options: &HttpOptions,
    mut serve: impl FnMut(TcpStream, SocketAddr, &TaskTracker, CancellationToken),
) -> io::Result<()> {
    let connections = TaskTracker::new();
    let mut trouble = Trouble::default();
    let mut watching = pin!(options.watch());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, remote)) => serve(socket, remote, &connections, stop.clone()),
                Err(error) => pause_after(&error, &mut trouble).await?,
            },
            () = stop.cancelled() => break,
            () = watching.as_mut() => {}
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
    Ok(())
}

async fn pause_after(error: &io::Error, trouble: &mut Trouble) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused => Ok(()),
        io::ErrorKind::InvalidInput => Err(io::Error::new(error.kind(), error.to_string())),
        _ => {
            trouble.happened(error);
            tokio::time::sleep(ACCEPT_PAUSE).await;
            Ok(())
        }
    }
}
