//! What is served before everything is there that the instance serves: that it lives, and that nobody is to come yet. Migrations may take
//! minutes, and whoever watches over processes would end one that does not answer.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hubline::{HttpOptions, Workers};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::Problem;
use crate::app::Door;
use crate::config::Scheme;
use crate::observe::{Readiness, health};
use crate::paths::{HEALTH, HEALTH_LIVE, HEALTH_READY};

/// When a client may try again, in seconds.
const RETRY_AFTER: u64 = 2;

/// Serves at the addresses of an instance until [`end`](Self::end).
pub(crate) struct Starting {
    serving: JoinSet<io::Result<()>>,
    end: CancellationToken,
}

impl Starting {
    /// Serves on clones of these listeners; what comes to them between this and what is served afterwards waits in the kernel.
    ///
    /// # Errors
    /// A listener cannot be cloned.
    pub(crate) fn serve(
        listeners: [&[(TcpListener, Scheme)]; 2],
        workers: &Arc<Workers>,
        readiness: &Readiness,
        options: impl Fn(Scheme) -> HttpOptions,
        door: &Door,
    ) -> Result<Self> {
        let app = door.hosts(routes(readiness, door));
        let (mut serving, end) = (JoinSet::new(), CancellationToken::new());
        for (listener, scheme) in listeners.into_iter().flatten() {
            let clone = clone(listener).context("an address cannot be listened on")?;
            let (workers, app, end) = (Arc::clone(workers), app.clone(), end.clone());
            let options = options(*scheme);
            serving.spawn(async move { workers.serve_with(clone, app, end, options).await });
        }
        Ok(Self { serving, end })
    }

    /// Waits for an address that cannot be listened on any more.
    ///
    /// # Errors
    /// Why not.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn failed(&mut self) -> Result<()> {
        match self.serving.join_next().await {
            Some(ended) => ended.context("serving ended")?.context("cannot go on listening"),
            None => std::future::pending().await,
        }
    }

    /// Accepts nobody any more. Requests that are being answered are, by tasks of this.
    pub(crate) fn end(&self) {
        self.end.cancel();
    }
}

/// Another handle of the same socket.
fn clone(listener: &TcpListener) -> io::Result<TcpListener> {
    TcpListener::from_std(std::net::TcpListener::from(listener.as_fd().try_clone_to_owned()?))
}

fn routes(readiness: &Readiness, door: &Door) -> Router {
    let routes = Router::new()
        .route(HEALTH, get(health::ready).with_state(readiness.clone()))
        .merge(health::probes(readiness))
        .fallback_service(not_yet.with_state(readiness.clone()));
    hubline::ignore_case(door.origins(routes), [HEALTH, HEALTH_LIVE, HEALTH_READY])
}

async fn not_yet(State(readiness): State<Readiness>) -> Response {
    let why = readiness.reason().map_or_else(|| "it has just started".to_owned(), |why| why.to_string());
    let detail = format!("this instance does not serve yet: {why}");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(RETRY_AFTER).into_response()
}
