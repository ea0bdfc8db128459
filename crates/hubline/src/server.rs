//! Hubs and the paths they are mapped on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[cfg(feature = "axum")]
use axum::Router;
use hubline_backplane::{Backplane, InProcess, Statistics, Status};
use hubline_directory::SessionDirectory;
use hubline_hub::{Hub, HubContext, HubOptions};
use hubline_pipe::ConnectionHandler;
use hubline_protocol::UserId;
use hubline_transport::{AddressLimits, Connections, Endpoint, EndpointOptions, TokenKey};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::stops::Stops;
use crate::{ConnectionHandlerStatistics, HubService, ServerStatistics};

/// The hubs of a process, with their connections and their backplane. A clone is a handle to the same server.
#[derive(Debug, Clone)]
pub struct Server(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    backplane: Arc<dyn Backplane>,
    directory: Option<Arc<dyn SessionDirectory>>,
    options: HubOptions,
    connections: Connections,
    tasks: TaskTracker,
    hubs: Mutex<Vec<HubContext>>,
    connection_handlers: Mutex<Vec<(Arc<str>, Arc<AtomicUsize>)>>,
    /// Where hubs and connection handlers are mapped.
    paths: Mutex<Vec<String>>,
    /// Of the connections without a hub.
    stops: Stops,
}

/// Builds a [`Server`].
#[derive(Debug)]
pub struct ServerBuilder {
    backplane: Arc<dyn Backplane>,
    directory: Option<Arc<dyn SessionDirectory>>,
    options: HubOptions,
    token_keys: Vec<TokenKey>,
    address_limits: AddressLimits,
    connections_per_second: u32,
}

impl Server {
    /// A server of one instance, with default options.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A builder, for a server with a backplane, a session directory or options.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            backplane: Arc::new(InProcess),
            directory: None,
            options: HubOptions::default(),
            token_keys: Vec::new(),
            address_limits: AddressLimits::default(),
            connections_per_second: 0,
        }
    }

    /// Starts a hub with the server's options. Nobody reaches it until [`HubHandle::map`] gives it a path; connections of
    /// several paths share its groups and users.
    ///
    /// # Panics
    /// If the server has a hub of this name: both would get each other's messages.
    #[track_caller]
    pub fn add_hub<S>(&self, hub: Hub<S>) -> HubHandle {
        self.add_hub_with(hub, self.0.options.clone())
    }

    /// As [`Server::add_hub`], with these options instead of the server's.
    ///
    /// # Panics
    /// As [`Server::add_hub`].
    #[track_caller]
    pub fn add_hub_with<S>(&self, hub: Hub<S>, mut options: HubOptions) -> HubHandle {
        if options.lifecycle_observer.is_none() {
            options.lifecycle_observer.clone_from(&self.0.options.lifecycle_observer);
        }
        let mut hubs = self.0.hubs.lock();
        assert!(
            !hubs.iter().any(|known| known.name() == hub.name()),
            "the server has a hub named `{0}`: map that one on several paths with its `HubHandle`, or give this one another name with \
             `Hub::named`",
            hub.name()
        );
        let context = HubContext::start(
            hub,
            options,
            &*self.0.backplane,
            self.0.directory.as_deref(),
            self.0.tasks.clone(),
        );
        hubs.push(context.clone());
        drop(hubs);
        HubHandle { server: self.clone(), context }
    }

    /// Watches whether the other instances can be reached.
    pub fn backplane_status(&self) -> watch::Receiver<Status> {
        self.0.backplane.status()
    }

    /// Watches whether the instances have agreed on a key for connection tokens. [`Status::Alone`] if there is nothing to
    /// agree on: a single instance, or [`ServerBuilder::token_keys`].
    pub fn key_agreement_status(&self) -> watch::Receiver<Status> {
        self.0.connections.key_agreement()
    }

    /// Watches whether the session directory can ask the other instances. [`Status::Alone`] without a directory, or with one
    /// of a single instance.
    pub fn directory_status(&self) -> watch::Receiver<Status> {
        match &self.0.directory {
            Some(directory) => directory.status(),
            None => watch::channel(Status::Alone).1,
        }
    }

    /// The session directory that was given to [`ServerBuilder::directory`].
    pub fn directory(&self) -> Option<&Arc<dyn SessionDirectory>> {
        self.0.directory.as_ref()
    }

    /// Counts messages that the backplane has sent and received since it was started, and those that wait in it.
    pub fn backplane_statistics(&self) -> Statistics {
        self.0.backplane.statistics()
    }

    /// The number of connections of this instance, over all hubs and connection handlers.
    pub fn connection_count(&self) -> usize {
        let hubs = self.hubs().iter().map(HubContext::connection_count).sum::<usize>();
        hubs + self.connection_handlers().iter().map(|handler| handler.connections).sum::<usize>()
    }

    /// The paths that hubs and connection handlers were mapped on, as they were given: without the prefix of a router
    /// that they are nested in. For [`ignore_case`](crate::ignore_case).
    pub fn paths(&self) -> Vec<String> {
        self.0.paths.lock().clone()
    }

    /// A snapshot of the counters of this instance.
    pub fn statistics(&self) -> ServerStatistics {
        ServerStatistics {
            hubs: self.hubs().iter().map(HubContext::statistics).collect(),
            connection_handlers: self.connection_handlers(),
            connections: self.0.connections.statistics(),
            backplane: self.backplane_statistics(),
        }
    }

    /// Closes the connections that a user has on this instance, in all hubs, as [`HubContext::abort_user`] does. Returns how many.
    pub fn abort_user(&self, user: &UserId) -> usize {
        self.hubs().iter().map(|hub| hub.abort_user(user)).sum()
    }

    /// Closes every connection at once, with `allowReconnect` for its client, and waits until all have ended and all hub methods and
    /// connection handlers have returned, at most for `grace`. Returns whether they have. Then removes this instance from the
    /// session directory, if there is one.
    ///
    /// [`Server::drain`] lets running calls answer, and sends clients away in turn. This is for tests, and for programs in a hurry.
    ///
    /// It does not stop the HTTP server. A graceful shutdown of an HTTP server waits for its
    /// event streams and polls, which this method ends, so run both concurrently. Stop accepting first: a connection that
    /// is opened later is closed as soon as its handshake is over.
    ///
    /// ```
    /// # async fn run(listener: tokio::net::TcpListener, app: axum::Router, server: hubline::Server) {
    /// # use std::time::Duration;
    /// # use tokio_util::sync::CancellationToken;
    /// let stop = CancellationToken::new();
    /// let serving = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    /// let serving = tokio::spawn(serving.into_future());
    /// // ... until it is time to end:
    /// stop.cancel();
    /// let all_gone = server.shutdown(Duration::from_secs(5)).await;
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Safe: once polled, connections are closed even if the future is dropped. It may be called again.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.begin_stopping();
        self.0.stops.tell_all();
        for hub in self.hubs() {
            hub.close_all();
        }
        let ended = async {
            self.ended().await;
            for hub in self.hubs() {
                hub.flush().await;
            }
        };
        let all_gone = tokio::time::timeout(grace, ended).await.is_ok();
        self.leave_directory().await;
        all_gone
    }

    /// Connections that end from now on are counted as ended by that.
    pub(crate) fn begin_stopping(&self) {
        self.0.connections.stopping();
        self.0.tasks.close();
    }

    /// Ready when no connection is left, and no call or connection handler runs.
    pub(crate) async fn ended(&self) {
        self.0.tasks.wait().await;
    }

    pub(crate) async fn leave_directory(&self) {
        if let Some(directory) = &self.0.directory {
            directory.close().await;
        }
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.0.connections
    }

    /// The hubs, in the order in which they were added.
    pub fn hubs(&self) -> Vec<HubContext> {
        self.0.hubs.lock().clone()
    }

    fn connection_handlers(&self) -> Vec<ConnectionHandlerStatistics> {
        let handlers = self.0.connection_handlers.lock();
        let statistics = |(name, connections): &(Arc<str>, Arc<AtomicUsize>)| ConnectionHandlerStatistics {
            name: name.to_string(),
            connections: connections.load(Ordering::Relaxed),
        };
        handlers.iter().map(statistics).collect()
    }

    /// Where the connections of a new handler are counted.
    pub(crate) fn add_connection_handler(&self, name: Arc<str>) -> Arc<AtomicUsize> {
        let count = Arc::default();
        self.0.connection_handlers.lock().push((name, Arc::clone(&count)));
        count
    }

    /// How connections without a hub are told that the server stops.
    pub(crate) fn stops(&self) -> &Stops {
        &self.0.stops
    }

    /// An endpoint of this server, whose connections go to `handler`.
    pub(crate) fn endpoint(
        &self,
        name: &str,
        handler: Arc<dyn ConnectionHandler>,
        options: EndpointOptions,
    ) -> HubService {
        let (connections, tasks) = (self.0.connections.clone(), self.0.tasks.clone());
        HubService::new(Endpoint::new(name, handler, connections, options, tasks))
    }

    /// Routes for what is served at `path`.
    #[cfg(feature = "axum")]
    pub(crate) fn routes<S>(&self, path: &str, has_refresh: bool, service: HubService) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let path = path.trim_end_matches('/');
        let root = if path.is_empty() { "/" } else { path };
        let router = Router::new()
            .route_service(root, service.clone())
            .route_service(&format!("{path}/negotiate"), service.clone());
        self.0.paths.lock().push(root.to_owned());
        if has_refresh { router.route_service(&format!("{path}/refresh"), service) } else { router }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl ServerBuilder {
    /// Connects the instances of a fleet. Default: [`InProcess`], for a server of one instance.
    #[must_use]
    pub fn backplane(mut self, backplane: impl Backplane) -> Self {
        self.backplane = Arc::new(backplane);
        self
    }

    /// Sets the session directory, which hubs report their connections to and [`Directory`](crate::Directory) reads.
    /// It takes 200 to 300 bytes per connection. Default: none.
    #[must_use]
    pub fn directory(mut self, directory: impl SessionDirectory) -> Self {
        self.directory = Some(Arc::new(directory));
        self
    }

    /// Sets the options of hubs that [`Server::add_hub`] adds. Default: [`HubOptions::default`].
    #[must_use]
    pub fn hub_options(mut self, options: HubOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets the keys of connection tokens: the same ones in the same order on every instance of a fleet. The first key signs new
    /// tokens, the others are accepted too, so that a new key can be put in front. Default: the instances agree on one key
    /// through the backplane.
    #[must_use]
    pub fn token_keys(mut self, keys: impl Into<Vec<TokenKey>>) -> Self {
        self.token_keys = keys.into();
        self
    }

    /// Limits connections and negotiations per client address on this instance. The address is the request's extension
    /// [`axum::extract::ConnectInfo`]`<SocketAddr>`, which [`serve`](crate::serve) and [`Workers`](crate::Workers) set; behind proxies see
    /// [`HttpOptions::forwarded_headers`](crate::HttpOptions::forwarded_headers). Default: no limits.
    #[must_use]
    pub fn address_limits(mut self, limits: AddressLimits) -> Self {
        self.address_limits = limits;
        self
    }

    /// Lets this many clients in a second, so that those that are there are served while many come at once, as after an instance has
    /// gone. Others wait for their turn, in the order in which they came, and none is refused. A client
    /// counts at its negotiation, or at its WebSocket if it negotiates nothing. Zero, the default, is no limit.
    #[must_use]
    pub fn connections_per_second(mut self, connections: u32) -> Self {
        self.connections_per_second = connections;
        self
    }

    /// Builds the server. With a backplane to other instances it must be called within a tokio runtime.
    pub fn build(self) -> Server {
        let connections = match self.backplane.fleet() {
            Some(fleet) => Connections::in_fleet(fleet, self.token_keys),
            None => Connections::default(),
        };
        connections.limit_addresses(self.address_limits);
        connections.limit_rate(self.connections_per_second);
        if let Some(observer) = &self.options.lifecycle_observer {
            connections.observe(Arc::clone(observer));
        }
        Server(Arc::new(Shared {
            backplane: self.backplane,
            directory: self.directory,
            options: self.options,
            connections,
            tasks: TaskTracker::new(),
            hubs: Mutex::default(),
            connection_handlers: Mutex::default(),
            paths: Mutex::default(),
            stops: Stops::default(),
        }))
    }
}

/// A running hub of a [`Server`]. A clone is a handle to the same hub.
#[derive(Debug, Clone)]
pub struct HubHandle {
    server: Server,
    context: HubContext,
}

impl HubHandle {
    /// Where its connections run.
    #[cfg(feature = "testing")]
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.server.0.tasks
    }

    /// The hub's clients and groups, for code outside of its methods (ASP.NET Core's `IHubContext`).
    pub fn context(&self) -> &HubContext {
        &self.context
    }

    /// Routes for an axum application: `path`, its `/negotiate` and, where authentication refresh is on, its
    /// `/refresh`. Layers of the application see all their requests.
    ///
    /// Each mapping is an endpoint with a name, its path unless [`EndpointOptions::name`] is set. A connection token is valid at
    /// the endpoint alone that it was negotiated at.
    ///
    /// # Panics
    /// If axum does not accept `path` as a route: it must begin with a slash. If this server has an endpoint of that name
    /// already: set [`EndpointOptions::name`] where one path is mapped under several prefixes. If a method of the hub takes a part of its connection's request that the options do
    /// not keep ([`EndpointOptions::keep_headers`], [`EndpointOptions::keep_extensions`]).
    #[cfg(feature = "axum")]
    #[track_caller]
    pub fn map<S: Clone + Send + Sync + 'static>(&self, path: &str) -> Router<S> {
        self.map_with(path, EndpointOptions::default())
    }

    /// [`HubHandle::map`] with options for this path.
    ///
    /// # Panics
    /// As [`HubHandle::map`].
    #[cfg(feature = "axum")]
    #[track_caller]
    pub fn map_with<S>(&self, path: &str, options: EndpointOptions) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let has_refresh = options.enable_authentication_refresh;
        self.server.routes(path, has_refresh, self.service(path, options))
    }

    /// The hub as a tower service, for hosts other than axum. It ignores the path of a request but for its end: `/negotiate`
    /// negotiates, `/refresh` refreshes the authentication.
    ///
    /// `name` is the endpoint's name, the same on every instance: use the path that it is served at. [`EndpointOptions::name`]
    /// overrides it. The policies of [`Hub::authorize`] and of the options must both be met.
    ///
    /// # Panics
    /// If this server has an endpoint of that name already, or if the hub has a method that takes a part of its
    /// connection's request ([`Headers`](crate::Headers), [`Extension`](crate::Extension)) which the options do not keep.
    #[track_caller]
    pub fn service(&self, name: &str, options: EndpointOptions) -> HubService {
        let options = match self.context.authorization() {
            Some(required) => {
                let policy = options.authorization.clone();
                options.authorize(policy.map_or_else(|| required.clone(), |policy| policy.and_also(required)))
            }
            None => options,
        };
        if let Err(missing) = self.context.check_request_parts(options.kept_request_parts) {
            panic!("{missing}");
        }
        self.server.endpoint(name, Arc::new(self.context.clone()), options)
    }
}
