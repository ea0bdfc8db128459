//! The life of the process: start, serve, stop.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hubline::directory::InProcess;
use hubline::{DrainOptions, Drained, LifecycleObserver, Server, Workers};
use hubline_redis::RedisBackplane;
use hubline_store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::app::{self, Door, Observed, Parts, Routers};
use crate::chat::Chat;
use crate::clinic::Clinic;
use crate::config::{Config, DatabaseConfig, Scheme};
use crate::drain::{Drain, OwnSocket, Stage};
use crate::listen::listen;
use crate::mapping::ConnectionMapping;
use crate::observe::{Database, Output, Readiness, Telemetry};
use crate::starting::Starting;

/// Exit code after a second signal, as shells show a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// How long requests that are no connection's may take when draining is over, and then connections that they have opened.
const LAST_REQUESTS: Duration = Duration::from_millis(500);
/// What is left of the time to stop for the database.
const LAST_WRITES: Duration = Duration::from_millis(500);

/// Serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// An address cannot be listened on, or Redis cannot be reached and `abortConnect=true` asks to stop then.
pub(crate) async fn run(config: &Config, log: &Output, telemetry: &Telemetry) -> Result<()> {
    let mut stop = Stop { signals: Signals::new()?, is_asked: false };
    let workers = Arc::new(Workers::start().context("the threads that serve connections cannot be started")?);
    let (readiness, drain) = (Readiness::new(), Drain::new());
    let door = Door::new(config);
    let (public, management) = (Starting::new(&readiness, &door), Starting::new(&readiness, &door));
    let end = CancellationToken::new();
    let mut serving = JoinSet::new();
    let of_public =
        listen(&config.server.urls, "--urls or ASPNETCORE_URLS")?.into_iter().map(|at| (at, public.app()));
    let of_management =
        listen(&config.management.urls, "Management:Urls")?.into_iter().map(|at| (at, management.app()));
    for ((listener, scheme), app) in of_public.chain(of_management) {
        let mut options = app::http_options(config);
        options.tls = config.server.tls.clone().filter(|_| scheme == Scheme::Https);
        let (workers, end) = (Arc::clone(&workers), end.clone());
        serving.spawn(async move { workers.serve_with(listener, app, end, options).await });
    }
    let wired = Wired { readiness: readiness.clone(), door, drain: drain.clone() };
    let built = build(config.clone(), log.clone(), telemetry.clone(), wired);
    let (server, routers, clinic) = tokio::select! {
        built = workers.run(built) => built??,
        Some(ended) = serving.join_next() => return ended.context("serving ended")?.context("cannot go on listening"),
        () = stop.signals.next() => return Ok(()),
    };
    readiness.serve();
    public.end(routers.public);
    management.end(routers.management);
    let own_socket = OwnSocket::open(&config.server.urls, &drain, &server);
    announce(log.for_standard_output(&app::banner(config)))?;

    let console = routers.console;
    let leaving = Leaving {
        options: config.server.drain,
        server: server.clone(),
        readiness,
        drain,
        clinic,
        chat: routers.chat,
    };
    tokio::select! {
        left = leaving.when_asked(&mut stop) => if !left {
            log.flush();
            std::process::exit(INTERRUPTED);
        },
        Some(ended) = serving.join_next() => ended.context("serving ended")?.context("cannot go on listening")?,
    }
    if let Some(console) = console {
        _ = timeout(LAST_WRITES, console.close()).await;
    }
    end.cancel();
    let ended = async { while serving.join_next().await.is_some() {} };
    _ = timeout(LAST_REQUESTS, ended).await;
    // A WebSocket of the last moment is told to reconnect, too, rather than cut off before its handshake.
    server.hand_over(LAST_REQUESTS).await;
    own_socket.close().await;
    Ok(())
}

/// How the instance leaves its clients to the others.
struct Leaving {
    options: DrainOptions,
    server: Server,
    readiness: Readiness,
    drain: Drain,
    clinic: Clinic,
    chat: Chat,
}

impl Leaving {
    /// Waits until somebody asks for it, drains, and waits until the process is to end. Whether draining was waited for.
    async fn when_asked(&self, stop: &mut Stop) -> bool {
        tokio::select! {
            () = stop.asked() => self.drain.request(),
            () = self.drain.requested() => {}
        }
        self.refuse_new_clients(stop).await;
        let DrainOptions { timeout, .. } = self.options;
        tracing::info!(
            connections = self.server.connection_count(),
            seconds = timeout.as_secs_f64(),
            "Draining: clients are handed over. A second signal stops at once"
        );
        let left = tokio::select! {
            left = self.hand_over() => left,
            () = stop.hurried() => return false,
        };
        self.report(left);
        if !stop.is_asked {
            tracing::info!("Nobody is served any more. SIGTERM ends the process");
            stop.asked().await;
        }
        true
    }

    /// New clients go to other instances from now on; returns when load balancers have noticed.
    async fn refuse_new_clients(&self, stop: &mut Stop) {
        self.readiness.drain();
        self.server.refuse_negotiations();
        self.drain.enter(Stage::Draining);
        let DrainOptions { delay, .. } = self.options;
        if delay.is_zero() {
            return;
        }
        tracing::info!(
            seconds = delay.as_secs_f64(),
            "Draining soon: /health/ready and negotiations are 503, and clients are served until then (Drain:Delay). A second signal \
             goes on now"
        );
        tokio::select! {
            () = sleep(delay) => {}
            () = stop.hurried() => {}
        }
    }

    async fn hand_over(&self) -> Drained {
        let DrainOptions { timeout: within, .. } = self.options;
        let left = self.server.hand_over(within.saturating_sub(LAST_WRITES.min(within / 4))).await;
        let closing = async {
            let ((), published) = tokio::join!(self.clinic.close(), self.chat.close());
            if let Err(error) = published {
                tracing::warn!(%error, "Messages of the last moment are published once more by another instance");
            }
        };
        if timeout(LAST_WRITES * 4, closing).await.is_err() {
            tracing::warn!(
                "The database does not answer: messages of the last moment are published once more by another instance, and the last \
                 sign-ins may be missing in the audit"
            );
        }
        left
    }

    fn report(&self, left: Drained) {
        match left.is_complete() {
            true => tracing::info!("Drained: {left} are left"),
            false => tracing::warn!(
                "Drained, not waiting any longer: {left} are left. A longer ShutdownTimeout waits longer"
            ),
        }
        self.readiness.drained();
        self.drain.enter(Stage::Drained(left));
    }
}

/// Says on standard output what is served, by a thread that nobody waits for: it may be full, or closed.
fn announce(banner: String) -> Result<()> {
    let write = move || _ = io::stdout().write_all(banner.as_bytes());
    std::thread::Builder::new().name("hubline-stdout".to_owned()).spawn(write).context("a thread")?;
    Ok(())
}

/// What is there before everything else is, and tells about it.
struct Wired {
    readiness: Readiness,
    door: Door,
    drain: Drain,
}

async fn build(
    config: Config,
    log: Output,
    telemetry: Telemetry,
    Wired { readiness, door, drain }: Wired,
) -> Result<(Server, Routers, Clinic)> {
    let (mut redis, mut channels) = (None, None);
    let ring = app::timeline(&config);
    let observer = ring.clone().map(|ring| Arc::new(ring) as Arc<dyn LifecycleObserver>);
    let server = Server::builder()
        .hub_options(app::hub_options(&config, &telemetry).lifecycle_observer(observer))
        .token_keys(config.signalr.token_keys.clone())
        .address_limits(config.limits.addresses)
        .connections_per_second(config.limits.connections_per_second);
    let server = match &config.redis.options {
        Some(options) => {
            let backplane = RedisBackplane::connect(options.clone())
                .await
                .with_context(|| format!("the Redis that {} names", config.redis.named_by))?;
            let directory = backplane.directory();
            let client = backplane.client().clone();
            ConnectionMapping::start(client.clone(), &directory, &app::chat_name(&config));
            (redis, channels) = (Some(client), Some(backplane.raw_channels()));
            server.backplane(backplane).directory(directory).build()
        }
        None => server.directory(InProcess::default()).build(),
    };
    let store = open_store(&config.database, &readiness).await?;
    let retention = config.applications.retention.clone();
    let clinic = Clinic::start(retention, store.clone(), &server, channels.clone()).await;
    let observed = Observed { database: Database::watch(&store), readiness, log, telemetry };
    let parts = Parts { config, server, redis, channels, store, clinic, observed, door, drain, ring };
    let routers = app::routers(&parts)?;
    Ok((parts.server, routers, parts.clinic))
}

async fn open_store(config: &DatabaseConfig, readiness: &Readiness) -> Result<Store> {
    let options = config.options.clone();
    let where_it_is = || format!("the database that {} names ({})", DatabaseConfig::KEY, config.options);
    let (store, begun) = Store::start(options).await.with_context(where_it_is)?;
    readiness.follow_migrations(store.status());
    begun.await.with_context(where_it_is)?;
    Ok(store)
}

/// Whether the process was told to end.
struct Stop {
    signals: Signals,
    is_asked: bool,
}

impl Stop {
    /// Ready once it was.
    async fn asked(&mut self) {
        self.signals.next().await;
        self.is_asked = true;
    }

    /// Ready once it was, and then was again.
    async fn hurried(&mut self) {
        if !self.is_asked {
            self.asked().await;
        }
        self.signals.next().await;
    }
}

/// SIGTERM and Ctrl-C.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let signal = |kind| signal(kind).context("signals cannot be received");
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
