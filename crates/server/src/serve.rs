//! The life of the process: start, serve, stop.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::{Context, Result};
use hubline::directory::InProcess;
use hubline::{Server, Workers};
use hubline_redis::RedisBackplane;
use hubline_store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{self, Door, Observed, Parts, Routers};
use crate::clinic::Clinic;
use crate::config::{Config, DatabaseConfig, Scheme};
use crate::listen::listen;
use crate::mapping::ConnectionMapping;
use crate::observe::{Database, Output, Readiness, Telemetry};
use crate::starting::Starting;

/// Exit code after a second signal, as shells show a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// Serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// An address cannot be listened on, or Redis cannot be reached and `abortConnect=true` asks to stop then.
pub(crate) async fn run(config: &Config, log: &Output, telemetry: &Telemetry) -> Result<()> {
    let mut signals = Signals::new()?;
    let workers = Arc::new(Workers::start().context("the threads that serve connections cannot be started")?);
    let readiness = Readiness::new();
    let door = Door::new(config);
    let public = listen(&config.server.urls, "--urls or ASPNETCORE_URLS")?;
    let management = listen(&config.management.urls, "Management:Urls")?;
    let options = |scheme| {
        let mut options = app::http_options(config);
        options.tls = config.server.tls.clone().filter(|_| scheme == Scheme::Https);
        options
    };
    let mut starting = Starting::serve([&public, &management], &workers, &readiness, options, &door)?;
    let built = build(config.clone(), log.clone(), telemetry.clone(), readiness.clone(), door.clone());
    let (server, routers, clinic) = tokio::select! {
        built = workers.run(built) => built??,
        failed = starting.failed() => return failed,
        () = signals.next() => return Ok(()),
    };
    readiness.serve();
    let stop = CancellationToken::new();
    let mut serving = JoinSet::new();
    let public = public.into_iter().map(|listener| (listener, &routers.public));
    for ((listener, scheme), app) in
        public.chain(management.into_iter().map(|listener| (listener, &routers.management)))
    {
        let (workers, app, stop, options) =
            (Arc::clone(&workers), app.clone(), stop.clone(), options(scheme));
        serving.spawn(async move { workers.serve_with(listener, app, stop, options).await });
    }
    starting.end();
    announce(log.for_standard_output(&app::banner(config)))?;

    tokio::select! {
        () = signals.next() => {}
        Some(ended) = serving.join_next() => ended.context("serving ended")?.context("cannot go on listening")?,
    }
    readiness.stop();
    if !config.server.shutdown_delay.is_zero() {
        tracing::info!(
            seconds = config.server.shutdown_delay.as_secs_f64(),
            "Stopping soon: /health/ready says so, and clients are served until then. A second signal stops now"
        );
        tokio::select! {
            () = tokio::time::sleep(config.server.shutdown_delay) => {}
            () = signals.next() => {}
        }
    }
    tracing::info!(
        connections = server.connection_count(),
        seconds = config.server.shutdown_timeout.as_secs_f64(),
        "Stopping: clients are told to reconnect. A second signal stops at once"
    );
    stop.cancel();
    tokio::select! {
        all_gone = server.shutdown(config.server.shutdown_timeout) => {
            if !all_gone {
                tracing::warn!("Stopped before every connection had ended");
            }
            clinic.close().await;
            if let Err(error) = routers.chat.close().await {
                tracing::warn!(%error, "Messages of the last moment are published once more by another instance");
            }
        }
        () = signals.next() => {
            log.flush();
            std::process::exit(INTERRUPTED);
        }
    }
    Ok(())
}

/// Says on standard output what is served, by a thread that nobody waits for: it may be full, or closed.
fn announce(banner: String) -> Result<()> {
    let write = move || _ = io::stdout().write_all(banner.as_bytes());
    std::thread::Builder::new().name("hubline-stdout".to_owned()).spawn(write).context("a thread")?;
    Ok(())
}

async fn build(
    config: Config,
    log: Output,
    telemetry: Telemetry,
    readiness: Readiness,
    door: Door,
) -> Result<(Server, Routers, Clinic)> {
    let (mut redis, mut channels) = (None, None);
    let server = Server::builder()
        .hub_options(app::hub_options(&config))
        .token_keys(config.signalr.token_keys.clone())
        .address_limits(config.limits.addresses);
    let server = match &config.redis.options {
        Some(options) => {
            let backplane = RedisBackplane::connect(options.clone()).await?;
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
    let parts = Parts { config, server, redis, channels, store, clinic, observed, door };
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
