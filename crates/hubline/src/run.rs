//! A program that stops well.

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{HttpOptions, Server, serve_with};

/// Serves an application as [`serve`](crate::serve) does until the process is asked to stop, by SIGINT or SIGTERM (elsewhere than on Unix by
/// Ctrl-C), and then for `grace` at most until everything is over: no connection is accepted any more, clients are told to
/// reconnect, and running calls and requests finish. A second signal ends that at once.
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
pub async fn run(listener: TcpListener, app: Router, server: &Server, grace: Duration) -> io::Result<()> {
    run_with(listener, app, server, grace, HttpOptions::default()).await
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
    grace: Duration,
    options: HttpOptions,
) -> io::Result<()> {
    let (mut first, mut second) = (Signals::listen()?, Signals::listen()?);
    let hurry = async {
        second.next().await;
        second.next().await;
    };
    run_and_stop(listener, app, server, grace, options, first.next(), hurry).await
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
    grace: Duration,
    options: HttpOptions,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    run_and_stop(listener, app, server, grace, options, stop, std::future::pending()).await
}

/// Stops when `stop` is ready, and waits no longer when `hurry` is.
async fn run_and_stop(
    listener: TcpListener,
    app: Router,
    server: &Server,
    grace: Duration,
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
    tracing::info!(connections = server.connection_count(), ?grace, "Stopping");
    stopping.cancel();
    let ended = async { tokio::join!(serving, server.shutdown(grace)) };
    let ended = tokio::select! {
        ended = tokio::time::timeout(grace, ended) => ended.ok(),
        () = hurry => None,
    };
    match ended {
        Some((served, true)) => served,
        _ => {
            let connections = server.connection_count();
            tracing::warn!(
                connections,
                ?grace,
                "Stopped before everything was over; a longer grace waits longer"
            );
            Ok(())
        }
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
