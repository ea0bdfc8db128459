//! Serving HTTP/1.1 to the internet.

use std::io;
use std::num::NonZeroUsize;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a client may take to send the head of a request (Kestrel's `RequestHeadersTimeout`).
const HEADERS_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait when no connection can be accepted, for instance because all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves an axum application on the current runtime until `stop`, then finishes the requests that are being
/// answered.
///
/// Beyond `axum::serve`: requests whose head does not come are given up, and small responses are not held
/// back by Nagle's algorithm.
///
/// # Errors
/// The listener is broken for good.
pub async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) -> io::Result<()> {
    accept(listener, stop, |socket, watcher| {
        tokio::spawn(serve_one(socket, app.clone(), watcher));
    })
    .await
}

/// Threads that share the connections, each with a runtime of its own.
///
/// A connection stays on its thread, hub methods included. With many small messages that saves much of what
/// tokio's work-stealing runtime spends on waking threads for each other; a hub method that blocks its
/// thread holds up the connections beside it, so it must not (`tokio::task::spawn_blocking` helps).
///
/// The threads end when the value is dropped, and what still runs on them with them.
#[derive(Debug)]
pub struct Workers {
    runtimes: Vec<Handle>,
    _stop: DropGuard,
}

impl Workers {
    /// Starts one thread for each processor.
    ///
    /// # Errors
    /// A thread or its runtime cannot be started.
    pub fn start() -> io::Result<Self> {
        Self::start_many(std::thread::available_parallelism()?)
    }

    /// Starts as many threads.
    ///
    /// # Errors
    /// As [`Workers::start`].
    pub fn start_many(count: NonZeroUsize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let start = |number| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (handle, stopped) = (runtime.handle().clone(), stop.clone().cancelled_owned());
            std::thread::Builder::new().name(format!("hubline-worker-{number}")).spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = hubline_hub::collect_wakes() => {}
                        () = stopped => {}
                    }
                });
                runtime.shutdown_background();
            })?;
            Ok(handle)
        };
        let runtimes = (0..count.get()).map(start).collect::<io::Result<_>>()?;
        Ok(Self { runtimes, _stop: stop.drop_guard() })
    }

    /// [`serve`] on these threads, to each connection the next one.
    ///
    /// # Errors
    /// As [`serve`].
    pub async fn serve(&self, listener: TcpListener, app: Router, stop: CancellationToken) -> io::Result<()> {
        let mut next = self.runtimes.iter().cycle();
        accept(listener, stop, |socket, watcher| {
            let Some(runtime) = next.next() else { return };
            let app = app.clone();
            // A socket belongs to the runtime that it was made in.
            match socket.into_std() {
                Ok(socket) => _ = runtime.spawn(serve_moved(socket, app, watcher)),
                Err(error) => tracing::debug!(%error, "a socket could not be moved to its thread"),
            }
        })
        .await
    }
}

async fn accept(
    listener: TcpListener,
    stop: CancellationToken,
    mut serve: impl FnMut(TcpStream, Watcher),
) -> io::Result<()> {
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => serve(socket, graceful.watcher()),
                Err(error) => pause_after(&error).await?,
            },
            () = stop.cancelled() => break,
        }
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}

async fn serve_moved(socket: std::net::TcpStream, app: Router, watcher: Watcher) {
    match TcpStream::from_std(socket) {
        Ok(socket) => serve_one(socket, app, watcher).await,
        Err(error) => tracing::debug!(%error, "a socket could not be moved to its thread"),
    }
}

async fn serve_one(socket: TcpStream, app: Router, watcher: Watcher) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a socket was gone before it could be set up");
        return;
    }
    let mut http = Builder::new(TokioExecutor::new()).http1_only();
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_TIMEOUT);
    let connection = http.serve_connection_with_upgrades(TokioIo::new(socket), TowerToHyperService::new(app));
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(%error, "an HTTP connection ended with an error");
    }
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
