//! One runtime per thread.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use hubline_supervision::supervise_thread;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::{Limits, serve_one};
use super::{HttpOptions, accept};

/// How many connections a thread gets before the next one is used. To wake one more thread for a message costs as
/// much as to deliver it twice, so it should have some deliveries to make.
const FEW: usize = 8;

/// Threads that connections are distributed to, each with a tokio runtime of its own.
///
/// A connection stays on its thread, hub methods included, so that small messages wake few threads. A hub method must not block:
/// it would delay every connection of its thread. Use `tokio::task::spawn_blocking` for work that blocks.
///
/// A thread gets eight connections before the next thread gets any; later connections go to the thread with the fewest. Tasks
/// that hub methods spawn count as connections.
///
/// Dropping the value stops the threads and aborts the tasks on them.
#[derive(Debug)]
pub struct Workers {
    runtimes: Vec<Handle>,
    /// Tasks that futures have left on the first runtime.
    left_by_runs: Arc<AtomicUsize>,
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

    /// Starts `count` threads.
    ///
    /// # Errors
    /// As [`Workers::start`].
    pub fn start_many(count: NonZeroUsize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let start = |number| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (handle, stopped) = (runtime.handle().clone(), stop.clone().cancelled_owned());
            let name = format!("hubline-worker-{number}");
            std::thread::Builder::new().name(name.clone()).spawn(move || {
                let mut stopped = pin!(stopped);
                supervise_thread(&name, || {
                    runtime.block_on(async {
                        tokio::select! {
                            () = hubline_hub::collect_wakes() => {}
                            () = stopped.as_mut() => {}
                        }
                    });
                });
                runtime.shutdown_background();
            })?;
            Ok(handle)
        };
        let runtimes = (0..count.get()).map(start).collect::<io::Result<_>>()?;
        Ok(Self { runtimes, left_by_runs: Arc::default(), _stop: stop.drop_guard() })
    }

    /// Runs a future on the first of these threads, and the tasks that it spawns.
    ///
    /// Connect a Redis backplane and add hubs by it: their tasks are then on a thread with connections, which saves waking another
    /// thread for each message.
    ///
    /// # Errors
    /// The future panicked, or the threads have ended.
    ///
    /// # Cancel safety
    /// Not cancelled with the call: the future runs on when this one is dropped, and its output is lost.
    pub async fn run<F>(&self, future: F) -> io::Result<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let runtime = self.runtimes.first().ok_or(io::ErrorKind::NotFound)?;
        let left_by_runs = Arc::clone(&self.left_by_runs);
        let counted = async move {
            let (runtime, before) = (Handle::current(), tasks(&Handle::current()));
            let output = future.await;
            left_by_runs.fetch_add(tasks(&runtime).saturating_sub(before), Ordering::Relaxed);
            output
        };
        runtime.spawn(counted).await.map_err(io::Error::other)
    }

    /// As [`serve`](crate::serve), on these threads.
    ///
    /// # Errors
    /// As [`serve`](crate::serve).
    ///
    /// # Cancel safety
    /// As [`serve`](crate::serve).
    pub async fn serve(&self, listener: TcpListener, app: Router, stop: CancellationToken) -> io::Result<()> {
        self.serve_with(listener, app, stop, HttpOptions::default()).await
    }

    /// As [`serve_with`](crate::serve_with), on these threads.
    ///
    /// # Errors
    /// As [`serve`](crate::serve).
    ///
    /// # Cancel safety
    /// As [`serve`](crate::serve).
    pub async fn serve_with(
        &self,
        listener: TcpListener,
        app: Router,
        stop: CancellationToken,
        options: HttpOptions,
    ) -> io::Result<()> {
        let limits = Arc::new(Limits::new(options.clone()));
        // Links to Redis and the like belong to no connection, nor does what is run meanwhile.
        let left_by_runs = || self.left_by_runs.load(Ordering::Relaxed);
        let (before, left_before): (Vec<_>, _) =
            (self.runtimes.iter().map(|runtime| (runtime, tasks(runtime))).collect(), left_by_runs());
        accept(listener, stop, &options, self.runtimes.clone(), |socket, remote, connections, stop| {
            let left = std::iter::once(left_by_runs() - left_before).chain(std::iter::repeat(0));
            let loads = before
                .iter()
                .zip(left)
                .map(|((runtime, before), left)| tasks(runtime).saturating_sub(before + left));
            let Some((runtime, _)) = thread_for_one_more(loads).and_then(|at| before.get(at)) else { return };
            let (app, limits) = (app.clone(), Arc::clone(&limits));
            // A socket belongs to the runtime that it was made in.
            match socket.into_std() {
                Ok(socket) => {
                    _ = connections.spawn_on(serve_moved(socket, remote, app, stop, limits), runtime);
                }
                Err(error) => tracing::debug!(%error, "a socket could not be moved to its thread"),
            }
        })
        .await
    }
}

fn tasks(runtime: &Handle) -> usize {
    runtime.metrics().num_alive_tasks()
}

/// The first that has few, or else the one with the fewest.
fn thread_for_one_more(loads: impl Iterator<Item = usize>) -> Option<usize> {
    loads.enumerate().min_by_key(|(_, load)| load.saturating_sub(FEW - 1)).map(|(at, _)| at)
}

async fn serve_moved(
    socket: std::net::TcpStream,
    remote: SocketAddr,
    app: Router,
    stop: CancellationToken,
    limits: Arc<Limits>,
) {
    match TcpStream::from_std(socket) {
        Ok(socket) => serve_one(socket, remote, app, stop, limits).await,
        Err(error) => tracing::debug!(%error, "a socket could not be moved to its thread"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_few_connections_share_one_thread() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let workers = Workers::start_many(NonZeroUsize::new(2).unwrap()).unwrap();
        let leave_a_task = async || {
            workers.run(async { drop(tokio::spawn(std::future::pending::<()>())) }).await.unwrap();
        };
        leave_a_task().await;
        // A task that has ended may be counted for a moment.
        while workers.runtimes.iter().map(tasks).sum::<usize>() > 1 {
            tokio::task::yield_now().await;
        }
        let app = Router::new()
            .route("/", get(async || std::thread::current().name().unwrap_or_default().to_owned()));
        let serving = workers.serve(listener, app, CancellationToken::new());
        let asking = async {
            for _ in 0..FEW {
                leave_a_task().await;
            }
            let (mut kept, mut answered) = (Vec::new(), BTreeMap::<String, usize>::new());
            for _ in 0..2 * FEW + 2 {
                let mut client = TcpStream::connect(address).await.unwrap();
                client.write_all(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n").await.unwrap();
                let (mut answer, whole) = (Vec::new(), b"hubline-worker-0".len());
                while !answer.windows(whole).any(|at| at.starts_with(b"hubline-worker-")) {
                    assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0, "closed");
                }
                let body = String::from_utf8(answer).unwrap();
                *answered.entry(body[body.len() - whole..].to_owned()).or_default() += 1;
                kept.push(client);
                if kept.len() == FEW {
                    assert_eq!(answered.len(), 1, "{answered:?}");
                }
            }
            answered
        };
        let answered = tokio::select! {
            answered = asking => answered,
            served = serving => panic!("{served:?}"),
        };
        // Where a task has just ended, one connection more goes to the other thread.
        assert!(answered.len() == 2 && answered.values().all(|count| *count >= FEW), "{answered:?}");
    }

    #[test]
    fn a_thread_is_used_when_those_before_it_have_company() {
        for (loads, chosen) in [
            ([0, 0, 0], 0),
            ([7, 0, 0], 0),
            ([8, 0, 0], 1),
            ([8, 7, 0], 1),
            ([8, 8, 0], 2),
            ([3, 8, 9], 0),
            ([8, 8, 8], 0),
            ([9, 8, 8], 1),
            ([100, 300, 90], 2),
        ] {
            assert_eq!(thread_for_one_more(loads.into_iter()), Some(chosen), "{loads:?}");
        }
    }
}
