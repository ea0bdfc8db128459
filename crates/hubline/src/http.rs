//! Serving HTTP/1.1 to the internet.

mod batches;
mod connection;
mod forwarded;
mod head_filter;
mod host;
mod long_response;
mod options;
mod progress;
#[cfg(feature = "tls")]
mod tls;
mod trouble;
mod workers;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use batches::Batches;
use connection::{Limits, serve_one};
pub use forwarded::{ForwardedHeaders, InvalidIpNetwork, IpNetwork};
pub use options::HttpOptions;
#[cfg(feature = "tls")]
pub use tls::{CertificateError, CertificateFiles, CertificateProblem, TlsConfig, TlsStatistics};
use trouble::Trouble;
pub use workers::Workers;

/// How long to wait when no connection can be accepted, for instance because all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves an axum application on the current runtime until `stop` is cancelled. Then it accepts no connection any more and
/// returns when the requests that are being answered are over, event streams and polls included.
///
/// Beyond `axum::serve`, it disables Nagle's algorithm and bounds idle and stalled clients:
///
/// - a connection without a request is closed after 130 s, and the head of a request must come within 30 s of its first byte
///   ([`HttpOptions`] sets both); it is refused if it is much larger than 64 KiB;
/// - a handler that reads the body of a request waits 30 s at most for its next bytes, then gets an error;
/// - a client that takes no byte of its response for 10 s is disconnected.
///
/// These do not apply to polls and event streams that wait for a message.
///
/// The kernel's send buffer of a connection is bounded to 128 KiB, so that a hub notices early that a client does not read, which
/// [`HubOptions::sender_hold_timeout`](crate::HubOptions::sender_hold_timeout) depends on. Under `axum::serve` a
/// client that reads slowly may take nothing for a second at a time; it then counts as one that does not read at all.
///
/// Requests are treated as by Kestrel where `axum::serve` differs:
///
/// - status 400 answers a request whose target contains a `#` (`axum::serve` drops the rest of the target), that has more than one
///   `Host` or an invalid one, or, in HTTP/1.1, none;
/// - `<`, `>` and `"` may stand in a query, and `<`, `>` and `` ` `` in a path; applications see them percent-encoded
///   (`axum::serve` answers 400);
/// - a WebSocket may be requested over HTTP/1.0, as nginx does without `proxy_http_version 1.1` (`axum::serve` does not
///   upgrade it);
/// - the response that opens a WebSocket spells `Connection`, `Upgrade` and `Sec-WebSocket-Accept` as RFC 6455
///   does (`axum::serve` writes lower case, which some microcontrollers do not understand).
///
/// An event stream or a poll that waits takes a third of the memory that it does under `axum::serve`, 7 and 10 KB, because hyper does not keep
/// its buffers meanwhile.
///
/// Each request has the address of its client as the extension [`axum::extract::ConnectInfo`]`<SocketAddr>`: the peer address of the
/// socket, or the one that [`HttpOptions::forwarded_headers`] finds.
///
/// # Errors
/// The listener cannot accept connections any more.
///
/// # Cancel safety
/// Not safe: dropped, it stops accepting, and connections go on without their end being waited for.
pub async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) -> io::Result<()> {
    serve_with(listener, app, stop, HttpOptions::default()).await
}

/// As [`serve`], with options.
///
/// # Errors
/// As [`serve`].
///
/// # Cancel safety
/// As [`serve`].
pub async fn serve_with(
    listener: TcpListener,
    app: Router,
    stop: CancellationToken,
    options: HttpOptions,
) -> io::Result<()> {
    let limits = Arc::new(Limits::new(options.clone()));
    let threads = vec![Handle::current()];
    accept(listener, stop, &options, threads, |socket, remote, connections, stop| {
        connections.spawn(serve_one(socket, remote, app.clone(), stop, Arc::clone(&limits)));
    })
    .await
}

/// Gives each connection to `serve`, which spawns its task on one of these threads, as one of the tracker's; the last are waited for.
async fn accept(
    listener: TcpListener,
    stop: CancellationToken,
    options: &HttpOptions,
    threads: Vec<Handle>,
    mut serve: impl FnMut(TcpStream, SocketAddr, &TaskTracker, CancellationToken),
) -> io::Result<()> {
    let connections = TaskTracker::new();
    let mut trouble = Trouble::default();
    let mut batches = Batches::new(threads);
    let mut watching = pin!(options.watch());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, remote)) => {
                    serve(socket, remote, &connections, stop.clone());
                    batches.accepted().await;
                }
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
