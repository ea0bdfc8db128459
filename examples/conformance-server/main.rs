//! The hubs of the reference server, at the same paths and with the same options: the program that every
//! conformance run and benchmark speaks to.
//!
//! Its hubs are named on Redis as the reference server's are, so that both can serve one fleet.

mod bench_hub;
mod cancellation;
mod client_results;
mod conformance_hub;
mod streams;
mod targets;
mod values;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use clap::{ArgAction, Parser};
use futures_util::future::try_join_all;
use hubline::auth::{AllowedOrigins, BearerAuthentication, BearerOptions, CrossOrigin, VerificationKey};
use hubline::redis::{RedisBackplane, RedisOptions};
use hubline::{
    CertificateFiles, Connection, ConnectionError, EndpointOptions, GroupName, HttpOptions, HubContext,
    HubOptions, HubProtocol, Policy, Server, TlsConfig, TransportKind, Workers,
};
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
    /// Bytes kept for a client with stateful reconnect
    #[arg(long, default_value_t = 100_000)]
    stateful_buffer: usize,
    /// The one hub protocol to offer, json or messagepack; both without it
    #[arg(long, value_parser = protocol)]
    protocols: Option<HubProtocol>,
    /// What to log, like debug or hubline=trace
    #[arg(long, default_value = "off")]
    log: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt().with_env_filter(&options.log).with_writer(std::io::stderr).init();

    let stop = CancellationToken::new();
    let mut listeners = Vec::new();
    for (scheme, address) in options.addresses()? {
        listeners.push((scheme, TcpListener::bind(address).await?));
    }
    let workers = Workers::start()?;
    let (server, app) = workers.run(build(options)).await??;
    let mut serving = Vec::new();
    for (scheme, listener) in listeners {
        println!("listening on {scheme}://{}", listener.local_addr()?);
        let mut http = HttpOptions::default();
        http.tls = if scheme == "https" { Some(certificate()?) } else { None };
        serving.push(workers.serve_with(listener, app.clone(), stop.clone(), http));
    }

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
        ended = try_join_all(serving) => drop(ended?),
    }
    stop.cancel();
    server.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

/// Where ASP.NET Core has it too.
fn certificate() -> anyhow::Result<TlsConfig> {
    let file = |key: &str| {
        let variable = format!("Kestrel__Certificates__Default__{key}");
        std::env::var(&variable).with_context(|| format!("https needs a certificate in {variable}"))
    };
    Ok(TlsConfig::load(CertificateFiles::new(file("Path")?).key(file("KeyPath")?))?)
}

async fn build(options: Options) -> anyhow::Result<(Server, Router)> {
    let mut server = Server::builder().hub_options(options.hub_options()?);
    if let Some(redis) = options.redis_options()? {
        server = server.backplane(RedisBackplane::connect(redis).await?);
    }
    let server = server.build();
    let app = app(&server)?;
    Ok((server, app))
}

fn protocol(name: &str) -> Result<HubProtocol, String> {
    HubProtocol::from_name(name).ok_or_else(|| "either json or messagepack".to_owned())
}

fn app(server: &Server) -> anyhow::Result<Router> {
    let bench = server.add_hub(bench_hub::hub());
    let hub = server.add_hub(conformance_hub::hub());
    let options = EndpointOptions::default;
    let signed_in = || options().authorize(Policy::authenticated());
    let paths = [
        ("/conformance", options()),
        ("/stateful", options().allow_stateful_reconnects()),
        ("/authorized", signed_in()),
        ("/expiring", signed_in().close_on_authentication_expiration()),
        ("/websockets", options().transports([TransportKind::WebSockets])),
        ("/sse", options().transports([TransportKind::ServerSentEvents])),
        ("/longpolling", options().transports([TransportKind::LongPolling])),
        ("/minversion1", options().minimum_protocol_version(1)),
        ("/refreshing", refreshing()),
        ("/refreshing-authorized", refreshing().authorize(Policy::authenticated())),
        ("/refreshing-capped", refreshing().maximum_authentication_expiration(Duration::from_secs(30))),
    ];
    let mut app = Router::new()
        .route("/health", get(|| async { "Healthy" }))
        .merge(bench.map("/benchhub"))
        .merge(server.map_connections("/echo", echo))
        .merge(sends(hub.context().clone()));
    for (path, options) in paths {
        app = app.merge(hub.map_with(path, options));
    }
    let app = app.layer(authentication()?).layer(CrossOrigin::new(AllowedOrigins::Any));
    Ok(hubline::ignore_case(app, server.paths().into_iter().chain(["/health".to_owned()])))
}

/// A connection without a hub, which the reference server does not have.
async fn echo(mut connection: Connection) -> Result<(), ConnectionError> {
    while let Some(bytes) = connection.receive().await {
        connection.send_text(String::from_utf8_lossy(&bytes)).await?;
    }
    Ok(())
}

/// Authentication refresh for everybody who does not get the role `Refused`.
fn refreshing() -> EndpointOptions {
    EndpointOptions::default()
        .close_on_authentication_expiration()
        .allow_stateful_reconnects()
        .authentication_refresh(async |refresh| Ok::<_, Infallible>(conformance_hub::asked(&refresh)))
}

/// Bearer tokens as the reference server accepts them. Not an example of how to keep a key.
fn authentication() -> anyhow::Result<BearerAuthentication> {
    let key = VerificationKey::secret(b"conformance-signing-key-of-32-bytes-or-more")?;
    Ok(BearerAuthentication::new(BearerOptions::default().key(key).clock_skew(Duration::ZERO))?)
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
                answer(hub.clients().user(user).send("Receive", ("context", text)).await)
            }),
        )
        .route(
            "/send/client/{id}",
            post(async |State(hub): State<HubContext>, Path(id): Path<String>, Query(Text { text })| {
                answer(hub.clients().client(id).send("Receive", ("context", text)).await)
            }),
        )
        .route(
            "/send/except/{id}",
            post(async |State(hub): State<HubContext>, Path(id): Path<String>, Query(Text { text })| {
                answer(hub.clients().all_except([id]).send("Receive", ("context", text)).await)
            }),
        )
        .route(
            "/ask/{id}",
            post(async |State(hub): State<HubContext>, Path(id): Path<String>, Query(Text { text })| {
                let asked = hub.clients().client(id).invoke("Ask", (text,)).await;
                client_results::told(asked).unwrap_or_default()
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
        options.stateful_reconnect_buffer_size = self.stateful_buffer;
        if let Some(protocol) = self.protocols {
            options.supported_protocols = vec![protocol];
        }
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

    fn addresses(&self) -> anyhow::Result<Vec<(String, SocketAddr)>> {
        self.urls.split(';').map(address).collect()
    }
}

/// Scheme and address of a URL.
fn address(url: &str) -> anyhow::Result<(String, SocketAddr)> {
    let parts = url.trim_end_matches('/').split_once("://");
    let (scheme, address) = parts
        .filter(|(scheme, _)| ["http", "https"].contains(scheme))
        .context("--urls takes http://ADDRESS:PORT or https://ADDRESS:PORT, several with ;")?;
    let parsed = address.replace("localhost", "127.0.0.1").parse();
    Ok((scheme.to_owned(), parsed.with_context(|| format!("--urls: `{address}` is not ADDRESS:PORT"))?))
}
