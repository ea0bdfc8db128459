//! A SignalR server for Rust.
//!
//! Official SignalR clients connect to it unmodified, over WebSockets, server-sent events and long polling,
//! with JSON and MessagePack. A hub is a set of plain async functions; with `hubline` and `tokio` in
//! `Cargo.toml`, this is a whole server:
//!
//! ```no_run
//! use hubline::{Caller, Clients, Hub, HubError, Server};
//! use std::time::Duration;
//!
//! async fn send_message(clients: Clients, caller: Caller, text: String) -> Result<(), HubError> {
//!     clients.all().send("ReceiveMessage", (caller.public_id(), text)).await?;
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let server = Server::new();
//!     let chat = server.add_hub(Hub::new("Chat").method("SendMessage", send_message));
//!     let listener = tokio::net::TcpListener::bind("localhost:5000").await?;
//!     hubline::run(listener, chat.map("/chathub"), &server, Duration::from_secs(5)).await
//! }
//! ```
//!
//! and this a client of it, in a browser or in Node:
//!
//! ```js
//! const connection = new signalR.HubConnectionBuilder().withUrl('http://localhost:5000/chathub').build();
//! connection.on('ReceiveMessage', (sender, text) => console.log(sender, text));
//! await connection.start();
//! await connection.invoke('SendMessage', 'hello');
//! ```
//!
//! # Where to go on
//!
//! - **Methods** take what they need from the server first ([`Clients`], [`Caller`], [`Groups`], [`State`],
//!   [`Cancellation`], [`Upload`], [`HubContext`]), then the client's arguments: [`Hub::method`]. They return a
//!   value or a `Result` whose error becomes a [`HubError`].
//!   What keeps a function from being a method the compiler tells by name under `#[hubline::method]` (feature `macros`).
//! - **Errors**: [`HubError`] says which of them clients are told, [`OrHubError`] tells them a text in a word, and
//!   [`Hub::map_error`] has rules for an application's own.
//! - **The request that opened a connection**: [`Headers`], [`Cookies`], [`Extension`] and [`PeerAddress`] are parameters of
//!   methods; an endpoint keeps headers and extensions only if told so ([`EndpointOptions::keep_headers`]). [`Items`] keeps
//!   values for each connection.
//! - **Streams** to the client: [`Hub::stream`]. From the client: [`Upload`].
//! - **Client results**, asking a client and waiting for its answer: [`SingleClientProxy::invoke`].
//! - **Outside of methods** the same clients and groups come from [`HubHandle::context`].
//! - **Authorization**: [`Hub::authorize`], [`Hub::authorize_method`] and [`EndpointOptions::authorize`] take a [`Policy`]. It is
//!   evaluated for the `Arc<`[`Principal`]`>` in the request's extensions, which a middleware puts there: one of your own, or
//!   the one of the module `auth`, which verifies bearer tokens.
//! - **Filters** around methods and connections: [`Hub::filter`], [`HubFilter`].
//! - **Options** under ASP.NET Core's names: [`HubOptions`] for hubs, [`EndpointOptions`] for paths.
//! - **Your own application**: [`HubHandle::map`] gives routes to merge into an [`axum::Router`], with your layers
//!   around them; [`HubHandle::service`] is a tower service for plain hyper, which must serve it with upgrades.
//! - **Serving HTTP**: [`serve`] and [`Workers`] bound clients that stall, and treat requests as Kestrel does where
//!   `axum::serve` does not. [`run`] serves until the process is asked to stop, and then stops gracefully;
//!   [`Server::shutdown`] does the hubs' part of that under any HTTP server.
//! - **Connections without a hub protocol** (ASP.NET Core's `MapConnectionHandler`): [`Server::map_connections`].
//! - **TLS**, with the feature `tls`: [`HttpOptions`]`::tls` with a certificate from PEM files, reloaded when they change.
//! - **Several instances** become one with a Redis backplane (feature `redis`), byte-compatible with ASP.NET
//!   Core's: [`ServerBuilder::backplane`].
//! - **The session directory** tells who is connected and in which group, over all instances: the parameter [`Directory`],
//!   after [`ServerBuilder::directory`] was given [`directory::InProcess`] or the one in Redis.
//!   An application that keeps something for each connection observes it ([`directory::ConnectionObserver`]).
//! - **Limits per client address**: [`ServerBuilder::address_limits`]; behind proxies [`HttpOptions::forwarded_headers`]
//!   finds the address.
//! - **Metrics**: [`Server::statistics`] returns the numbers, for any exporter.
//! - **Whole programs** that each answer one question are in the repository's `examples`: `chat-in-axum`,
//!   `plain-hyper`, `bearer-tokens`, `streams`, `presence` and `raw-echo`.
//! - **Tests** of your hub, with a client in memory: the module `testing`, behind the feature of that name.
//! - **Coming from ASP.NET Core**: [`coming_from_aspnetcore`] has each of its concepts next to ours.
//!
//! # Features
//!
//! | feature | default | what it adds | crates |
//! | --- | --- | --- | --- |
//! | none | | hubs, all transports; [`HubHandle::service`] for any tower host | 94 |
//! | `axum` | yes | [`HubHandle::map`], [`Server::map_connections`], [`run`], [`serve`], [`Workers`], [`ignore_case`] | +11 |
//! | `tls` | | TLS in [`serve_with`] and [`Workers`], by rustls | +26 |
//! | `redis` | | the module `redis`: the backplane and the session directory in Redis | +54 |
//! | `auth` | | the module `auth`: bearer tokens, allowed origins and hosts | +44 |
//! | `macros` | | the attribute `#[hubline::method]` | +1 |
//! | `testing` | | the module `testing`: a client in memory; for `[dev-dependencies]` | +0 |
//! | `anyhow`, `bytes`, `rust_decimal`, `time`, `uuid` | | conversions from and to these crates' types | +1 each |
//!
//! Each is counted alone, beside `axum`; `tls`, `redis` and `auth` share rustls and ring.
//!
//! axum's paths are case-sensitive, ASP.NET Core's are not: clients must spell a path as it was mapped, or the
//! application is wrapped in [`ignore_case`].
//!
//! What happens is logged through [`tracing`](https://docs.rs/tracing), with a span for each call. A program that sets up no
//! subscriber (`tracing_subscriber::fmt().init()`) sees no error of a hub method, no lost link to Redis and no refused request;
//! [`observability`] has the details, and OpenTelemetry.
//!
//! Not supported: HTTP/2, and sessions that survive the process that has their connection. A host that serves with `axum::serve` enables HTTP/2
//! by axum's own feature `http2`; no part of Hubline is compiled for it.

mod connections;
mod drain;
#[cfg(feature = "axum")]
mod http;
#[cfg(feature = "axum")]
mod paths;
#[cfg(feature = "axum")]
mod run;
mod server;
mod service;
mod statistics;
mod stops;
#[cfg(feature = "testing")]
pub mod testing;

#[doc = include_str!("../../../docs/coming-from-aspnetcore.md")]
pub mod coming_from_aspnetcore {}

#[doc = include_str!("../../../docs/observability.md")]
pub mod observability {}

pub use hubline_backplane::{
    Backplane, InProcess, Latencies, PublishError, Reach, Statistics, Status, TraceParent,
};
pub use hubline_directory as directory;
pub use hubline_directory::{HubDirectory, SessionDirectory};
#[doc(hidden)]
pub use hubline_hub::__private;
pub use hubline_hub::{
    BackplaneFailureMode, Binding, Caller, Cancellation, Cancelled, ClientArguments, ClientProxy, Clients,
    CloseReason, Cookies, Directory, Disconnected, DrainingConnection, Extension, FromInvocation, FromRef,
    GroupError, Groups, Handler, Headers, Hub, HubClients, HubContext, HubError, HubFilter, HubLimits,
    HubOptions, HubStatistics, HubStream, IntoHubResult, Invocation, InvokeError, ItemStream, Items, Left,
    LocalConnection, MethodFuture, MethodStatistics, MissingRequestParts, Next, NextCallback, OrHubError,
    PeerAddress, ResultFuture, Returned, SendError, SingleClientProxy, State, StreamHandler, Upload,
    UploadError,
};
pub use hubline_identity::{Access, Claim, ExpiredPrincipal, Policy, Principal, PrincipalBuilder};
#[cfg(feature = "macros")]
pub use hubline_macros::method;
pub use hubline_pipe::{
    CloseCode, ConnectionInfo, LifecycleEvent, LifecycleKind, LifecycleObserver, PipeEnd, RefusedRequest,
    RequestContext, RequestParts,
};
pub use hubline_protocol::handshake::DetailedErrors;
pub use hubline_protocol::negotiate::TransportKind;
pub use hubline_protocol::value;
pub use hubline_protocol::{
    BindError, ConnectionId, DecodeError, Dialect, EncodeError, GroupName, HubProtocol, InvocationId, Naming,
    UserId,
};
pub use hubline_transport::{
    AddressLimits, AddressRefusals, AuthenticationRefresh, Body, ConnectionStatistics, Durations,
    EndpointOptions, ExpiredPrincipals, RefreshError, RemoteAddress, TokenKey, TokenKeyError,
    TransportStatistics,
};

#[cfg(feature = "tls")]
pub use self::http::{CertificateError, CertificateFiles, CertificateProblem, TlsConfig, TlsStatistics};
#[cfg(feature = "axum")]
pub use self::http::{
    ForwardedHeaders, HttpOptions, InvalidIpNetwork, IpNetwork, Workers, serve, serve_with,
};
pub use connections::{Connection, ConnectionError};
pub use drain::{DrainOptions, Drained};
#[cfg(feature = "auth")]
pub use hubline_auth as auth;
#[cfg(feature = "redis")]
pub use hubline_redis as redis;
#[cfg(feature = "axum")]
pub use paths::ignore_case;
#[cfg(feature = "axum")]
pub use run::{run, run_until, run_with};
pub use server::{HubHandle, Server, ServerBuilder};
pub use service::HubService;
pub use statistics::{ConnectionHandlerStatistics, ServerStatistics};
