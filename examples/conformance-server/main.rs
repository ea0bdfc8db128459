//! The hubs of the reference server, at the same paths and with the same options: the program that every
//! conformance run and benchmark speaks to.
//!
//! Its hubs are named on Redis as the reference server's are, so that both can serve one fleet.

mod authentication;
mod bench_hub;
mod conformance_hub;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use clap::{ArgAction, Parser};
use hubline::{EndpointOptions, GroupName, HubContext, HubOptions, Server, TransportKind, UserId, Workers};
use hubline_redis::{RedisBackplane, RedisOptions};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Serves the conformance hubs.
#[derive(Parser)]
struct Options {
    /// Where to listen, like http://127.0.0.1:5000
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    urls: String,
    /// StackExchange.Redis connection string: use the Redis backplane
    #[arg(long)]
    redis: Option<String>,
    /// Channel prefix, over the connection string's
    #[arg(long)]
    redis_prefix: Option<String>,
    /// Tell clients what went wrong
    #[arg(long, action = ArgAction::Set, default_value_t = false)]
    detailed_errors: bool,
    /// Seconds
    #[arg(long, default_value_t = 15.0)]
    keep_alive: f64,
    /// Seconds
    #[arg(long, default_value_t = 30.0)]
    client_timeout: f64,
    /// Seconds
    #[arg(long, default_value_t = 15.0)]
    handshake_timeout: f64,
    /// Bytes, or none
    #[arg(long, default_value = "32768")]
    max_message: String,
    /// Invocations of one client at once
    #[arg(long, default_value_t = 1)]
    parallel: usize,
    /// Accepted and not used yet: there is no stateful reconnect
    #[arg(long, default_value_t = 100_000)]
    stateful_buffer: usize,
    /// What to log, like debug or hubline=trace
    #[arg(long, default_value = "off")]
    log: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt().with_env_filter(&options.log).with_writer(std::io::stderr).init();

    let mut server = Server::builder().hub_options(options.hub_options()?);
    if let Some(redis) = options.redis_options()? {
        server = server.backplane(RedisBackplane::connect(redis).await?);
    }
    let server = server.build();
    let stop = CancellationToken::new();
    let listener = TcpListener::bind(options.address()?).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let workers = Workers::start()?;
    let serving = workers.serve(listener, app(&server), stop.clone());

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
        ended = serving => ended?,
    }
    stop.cancel();
    server.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

fn app(server: &Server) -> Router {
    let bench = server.add_hub(bench_hub::hub());
    let hub = server.add_hub(conformance_hub::hub());
    let only = |transport| EndpointOptions::default().transports([transport]);
    let signed_in = Router::new()
        .merge(hub.map("/authorized"))
        .merge(hub.map("/expiring"))
        .layer(axum::middleware::from_fn(authentication::require));
    Router::new()
        .route("/health", get(|| async { "Healthy" }))
        .merge(bench.map("/benchhub"))
        .merge(hub.map("/conformance"))
        .merge(hub.map("/stateful"))
        .merge(hub.map_with("/websockets", only(TransportKind::WebSockets)))
        .merge(hub.map_with("/sse", only(TransportKind::ServerSentEvents)))
        .merge(hub.map_with("/longpolling", only(TransportKind::LongPolling)))
        .merge(hub.map_with("/minversion1", EndpointOptions::default().minimum_protocol_version(1)))
        .merge(signed_in)
        .merge(sends(hub.context().clone()))
        .layer(axum::middleware::from_fn(authentication::authenticate))
}

#[derive(Deserialize)]
struct Text {
    text: String,
}

/// Sends from outside a hub.
fn sends(hub: HubContext) -> Router {
    Router::new()
        .route(
            "/send/all",
            post(async |State(hub): State<HubContext>, Query(Text { text })| {
                answer(hub.clients().all().send("Receive", ("context", text)).await)
            }),
        )
        .route(
            "/send/group/{group}",
            post(async |State(hub): State<HubContext>, Path(group): Path<String>, Query(Text { text })| {
                answer(hub.clients().group(GroupName::from(group)).send("Receive", ("context", text)).await)
            }),
        )
        .route(
            "/send/user/{user}",
            post(async |State(hub): State<HubContext>, Path(user): Path<String>, Query(Text { text })| {
                answer(hub.clients().user(&UserId::from(user)).send("Receive", ("context", text)).await)
            }),
        )
        .route(
            "/send/client/{id}",
            post(async |State(hub): State<HubContext>, Path(id): Path<String>, Query(Text { text })| {
                answer(hub.clients().client(&id.into()).send("Receive", ("context", text)).await)
            }),
        )
        .route(
            "/send/except/{id}",
            post(async |State(hub): State<HubContext>, Path(id): Path<String>, Query(Text { text })| {
                answer(hub.clients().all_except([id]).send("Receive", ("context", text)).await)
            }),
        )
        .with_state(hub)
}

fn answer(sent: Result<(), hubline::SendError>) -> Response {
    match sent {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

impl Options {
    fn hub_options(&self) -> anyhow::Result<HubOptions> {
        let seconds = |value| Duration::try_from_secs_f64(value).context("not a number of seconds");
        let mut options = HubOptions::default();
        options.detailed_errors = self.detailed_errors.into();
        options.keep_alive_interval = seconds(self.keep_alive)?;
        options.client_timeout_interval = seconds(self.client_timeout)?;
        options.handshake_timeout = seconds(self.handshake_timeout)?;
        options.maximum_parallel_invocations_per_client = self.parallel;
        options.maximum_receive_message_size = match self.max_message.as_str() {
            "none" => None,
            bytes => Some(bytes.parse().context("--max-message takes bytes or none")?),
        };
        Ok(options)
    }

    fn redis_options(&self) -> anyhow::Result<Option<RedisOptions>> {
        let Some(redis) = &self.redis else { return Ok(None) };
        let mut options: RedisOptions = redis.parse()?;
        if let Some(prefix) = &self.redis_prefix {
            options.channel_prefix = Some(prefix.clone());
        }
        Ok(Some(options))
    }

    fn address(&self) -> anyhow::Result<SocketAddr> {
        let address = self
            .urls
            .trim_end_matches('/')
            .strip_prefix("http://")
            .context("--urls takes http://ADDRESS:PORT")?;
        address
            .replace("localhost", "127.0.0.1")
            .parse()
            .with_context(|| format!("--urls: `{address}` is not ADDRESS:PORT"))
    }
}
