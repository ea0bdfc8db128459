//! A program that stops well.

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{DrainOptions, HttpOptions, Server, serve_with};

/// How long requests that are no connection's may still take when draining is over, and then connections that they have opened.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

/// Serves an application as [`serve`](crate::serve) does until the process is asked to stop, by SIGINT or SIGTERM (elsewhere than on Unix by
/// Ctrl-C), and then [drains](Server::drain) it: clients are told to reconnect, and running calls finish. Requests are answered until
/// that is over; then no connection is accepted any more, and the last requests have a second to end. A second signal ends all of it
/// at once.
///
/// `drain` is a [`Duration`], within which clients have to leave, or [`DrainOptions`], for an instance behind a load balancer:
/// `DrainOptions::default()` refuses negotiations for 5 s first.
///
/// What is not over by then is logged as a warning, and ends with the process.
///
/// ```no_run
/// # use std::time::Duration;
/// # use hubline::{Hub, Server};
/// # async fn chat() -> std::io::Result<()> {
/// let server = Server::new();
/// let chat = server.add_hub(Hub::new("Chat"));
/// let listener = tokio::net::TcpListener::bind("localhost:5000").await?;
/// hubline::run(listener, chat.map("/chathub"), &server, Duration::from_secs(5)).await
/// # }
/// ```
///
/// # Errors
/// As [`serve`](crate::serve), or signals cannot be listened for.
///
/// # Cancel safety
/// Not safe: dropped, it accepts no connection any more, and those that there are end without a word.
pub async fn run(
    listener: TcpListener,
    app: Router,
    server: &Server,
    drain: impl Into<DrainOptions>,
) -> io::Result<()> {
    run_with(listener, app, server, drain.into(), HttpOptions::default()).await
}

/// As [`run`], with options.
///
/// # Errors
/// As [`run`].
///
/// # Cancel safety
/// As [`run`].
pub async fn run_with(
    listener: TcpListener,
    app: Router,
    server: &Server,
    drain: impl Into<DrainOptions>,
    options: HttpOptions,
) -> io::Result<()> {
    let drain = drain.into();
    let (mut first, mut second) = (Signals::listen()?, Signals::listen()?);
    let hurry = async {
        second.next().await;
        second.next().await;
    };
    run_and_stop(listener, app, server, drain, options, first.next(), hurry).await
}

/// As [`run_with`], for a program that decides by itself when to stop: when `stop` is ready. Signals are not listened for.
///
/// # Errors
/// As [`serve`](crate::serve).
///
/// # Cancel safety
/// As [`run`].
pub async fn run_until(
    listener: TcpListener,
    app: Router,
    server: &Server,
    drain: impl Into<DrainOptions>,
    options: HttpOptions,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    run_and_stop(listener, app, server, drain.into(), options, stop, std::future::pending()).await
}

/// Drains when `stop` is ready, and waits no longer when `hurry` is.
async fn run_and_stop(
    listener: TcpListener,
    app: Router,
    server: &Server,
    drain: DrainOptions,
    options: HttpOptions,
    stop: impl Future<Output = ()>,
    hurry: impl Future<Output = ()>,
) -> io::Result<()> {
    let stopping = CancellationToken::new();
    let mut serving = pin!(serve_with(listener, app, stopping.clone(), options));
    tokio::select! {
        served = serving.as_mut() => return served,
        () = stop => {}
    }
    let DrainOptions { delay, timeout } = drain;
    tracing::info!(connections = server.connection_count(), ?delay, ?timeout, "Draining");
    let mut hurry = pin!(hurry);
    let drained = tokio::select! {
        drained = server.drain(drain) => drained,
        served = serving.as_mut() => return served,
        () = hurry.as_mut() => {
            let connections = server.connection_count();
            tracing::warn!(connections, "Stopped before draining was over: asked to again");
            return Ok(());
        }
    };
    match drained.is_complete() {
        true => tracing::info!("Stopped, with nothing left"),
        false => tracing::warn!(?timeout, "Stopped with {drained} left; a longer timeout waits longer"),
    }
    stopping.cancel();
    let last = async {
        let served = tokio::time::timeout(LAST_REQUESTS, serving).await.unwrap_or(Ok(()));
        // A WebSocket of the last moment is told to reconnect, too, rather than cut off before its handshake.
        server.hand_over(LAST_REQUESTS).await;
        served
    };
    tokio::select! {
        served = last => served,
        () = hurry => Ok(()),
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
