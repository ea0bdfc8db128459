//! One runtime per thread.

use std::io;
use std::num::NonZeroUsize;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::accept;
use super::connection::{LIMITS, serve_one};

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

    /// Runs it on one of these threads, with whatever it spawns.
    ///
    /// A backplane that is connected there, and hubs that are added there, are next to connections: with Redis it saves a third
    /// thread the way of every message.
    ///
    /// # Errors
    /// It panicked, or the threads have ended.
    pub async fn run<F>(&self, future: F) -> io::Result<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let runtime = self.runtimes.first().ok_or(io::ErrorKind::NotFound)?;
        runtime.spawn(future).await.map_err(io::Error::other)
    }

    /// [`serve`](crate::serve) on these threads, to each connection the next one.
    ///
    /// # Errors
    /// As [`serve`](crate::serve).
    pub async fn serve(&self, listener: TcpListener, app: Router, stop: CancellationToken) -> io::Result<()> {
        let mut next = self.runtimes.iter().cycle();
        accept(listener, stop, |socket, connections, stop| {
            let Some(runtime) = next.next() else { return };
            let app = app.clone();
            // A socket belongs to the runtime that it was made in.
            match socket.into_std() {
                Ok(socket) => _ = connections.spawn_on(serve_moved(socket, app, stop), runtime),
                Err(error) => tracing::debug!(%error, "a socket could not be moved to its thread"),
            }
        })
        .await
    }
}

async fn serve_moved(socket: std::net::TcpStream, app: Router, stop: CancellationToken) {
    match TcpStream::from_std(socket) {
        Ok(socket) => serve_one(socket, app, stop, LIMITS).await,
        Err(error) => tracing::debug!(%error, "a socket could not be moved to its thread"),
    }
}
