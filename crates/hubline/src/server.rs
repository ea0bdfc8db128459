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
use hubline_transport::{AddressLimits, Connections, Endpoint, EndpointOptions, TokenKey};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{ConnectionHandlerStatistics, HubService, ServerStatistics};

/// The hubs of a process, their connections and their backplane. Cloning shares them.
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
    /// Ends the connections without a hub.
    stopping: CancellationToken,
}

/// Puts a [`Server`] together.
#[derive(Debug)]
pub struct ServerBuilder {
    backplane: Arc<dyn Backplane>,
    directory: Option<Arc<dyn SessionDirectory>>,
    options: HubOptions,
    token_keys: Vec<TokenKey>,
    address_limits: AddressLimits,
}

impl Server {
    /// A server of one instance, with default options.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A server with a backplane or options of its own.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            backplane: Arc::new(InProcess),
            directory: None,
            options: HubOptions::default(),
            token_keys: Vec::new(),
            address_limits: AddressLimits::default(),
        }
    }

    /// Starts a hub. Map it on one or several paths next; all of them share its groups and targets.
    ///
    /// # Panics
    /// If the server has a hub of this name: both would get each other's messages.
    #[track_caller]
    pub fn add_hub<S>(&self, hub: Hub<S>) -> HubHandle {
        self.add_hub_with(hub, self.0.options.clone())
    }

    /// [`Server::add_hub`] with options of its own instead of the server's.
    ///
    /// # Panics
    /// As [`Server::add_hub`].
    #[track_caller]
    pub fn add_hub_with<S>(&self, hub: Hub<S>, options: HubOptions) -> HubHandle {
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

    /// Whether other instances can be reached, and every change of that.
    pub fn backplane_status(&self) -> watch::Receiver<Status> {
        self.0.backplane.status()
    }

    /// Who is connected anywhere in the fleet, if a directory was given.
    pub fn directory(&self) -> Option<&Arc<dyn SessionDirectory>> {
        self.0.directory.as_ref()
    }

    /// What the backplane has done so far, and what waits in it.
    pub fn backplane_statistics(&self) -> Statistics {
        self.0.backplane.statistics()
    }

    /// How many connections this instance has, over all hubs and connection handlers.
    pub fn connection_count(&self) -> usize {
        let hubs = self.hubs().iter().map(HubContext::connection_count).sum::<usize>();
        hubs + self.connection_handlers().iter().map(|handler| handler.connections).sum::<usize>()
    }

    /// The paths that hubs and connection handlers were mapped on, as they were given: without the prefix of a router
    /// that they are nested in. For [`ignore_case`](crate::ignore_case).
    pub fn paths(&self) -> Vec<String> {
        self.0.paths.lock().clone()
    }

    /// What this instance has counted so far, and how many connections there are.
    pub fn statistics(&self) -> ServerStatistics {
        ServerStatistics {
            hubs: self.hubs().iter().map(HubContext::statistics).collect(),
            connection_handlers: self.connection_handlers(),
            connections: self.0.connections.statistics(),
            backplane: self.backplane_statistics(),
        }
    }

    /// Tells every client to reconnect and waits until all have gone and all hub methods have ended, for
    /// `grace` at most. Returns whether they did. Then takes this instance out of the directory, if there is one.
    ///
    /// This ends no HTTP server. One that ends gracefully waits for its event streams and polls, so let both
    /// go on side by side, and stop accepting first: a connection made from now on is told to reconnect as
    /// soon as it has shaken hands.
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
    /// Dropped early, clients have been told all the same; it may be called again.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.0.connections.stopping();
        self.0.stopping.cancel();
        for hub in self.hubs() {
            hub.close_all();
        }
        self.0.tasks.close();
        let ended = async {
            self.0.tasks.wait().await;
            for hub in self.hubs() {
                hub.flush().await;
            }
        };
        let all_gone = tokio::time::timeout(grace, ended).await.is_ok();
        if let Some(directory) = &self.0.directory {
            directory.close().await;
        }
        all_gone
    }

    fn hubs(&self) -> Vec<HubContext> {
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

    /// Cancelled when the server stops.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
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
    /// How instances reach each other. Default: [`InProcess`], there is one instance.
    #[must_use]
    pub fn backplane(mut self, backplane: impl Backplane) -> Self {
        self.backplane = Arc::new(backplane);
        self
    }

    /// Where hubs report their connections, for [`Directory`](crate::Directory) to answer for all instances.
    /// Default: nowhere, which saves each connection 200 to 300 bytes.
    #[must_use]
    pub fn directory(mut self, directory: impl SessionDirectory) -> Self {
        self.directory = Some(Arc::new(directory));
        self
    }

    /// Options for every hub that is added without its own.
    #[must_use]
    pub fn hub_options(mut self, options: HubOptions) -> Self {
        self.options = options;
        self
    }

    /// What signs connection tokens, so that every instance of a fleet can read them: the same keys in the same
    /// order on all of them. The first signs; put a new one there to change it. Default: the instances agree on
    /// one through the backplane.
    #[must_use]
    pub fn token_keys(mut self, keys: impl Into<Vec<TokenKey>>) -> Self {
        self.token_keys = keys.into();
        self
    }

    /// What each address may have and do on this instance. Addresses are those of requests' extensions
    /// [`axum::extract::ConnectInfo`]`<SocketAddr>`, which [`serve`](crate::serve) and [`Workers`](crate::Workers) provide; behind proxies see
    /// [`HttpOptions::forwarded_headers`](crate::HttpOptions::forwarded_headers). Default: no limits.
    #[must_use]
    pub fn address_limits(mut self, limits: AddressLimits) -> Self {
        self.address_limits = limits;
        self
    }

    /// The server. With a backplane to other instances this needs a tokio runtime.
    pub fn build(self) -> Server {
        let connections = match self.backplane.fleet() {
            Some(fleet) => Connections::in_fleet(fleet, self.token_keys),
            None => Connections::default(),
        };
        connections.limit_addresses(self.address_limits);
        Server(Arc::new(Shared {
            backplane: self.backplane,
            directory: self.directory,
            options: self.options,
            connections,
            tasks: TaskTracker::new(),
            hubs: Mutex::default(),
            connection_handlers: Mutex::default(),
            paths: Mutex::default(),
            stopping: CancellationToken::new(),
        }))
    }
}

/// A hub that runs. Cloning shares it.
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

    /// Sending from outside of the hub's methods.
    pub fn context(&self) -> &HubContext {
        &self.context
    }

    /// Routes for an axum application: `path`, its `/negotiate` and, where authentication refresh is on, its
    /// `/refresh`. Layers of the application see all their requests.
    ///
    /// What is mapped is an endpoint. Its connections belong to it: their tokens open no other one.
    ///
    /// # Panics
    /// If axum does not take `path` as a route: it begins with a slash. If an endpoint of this server is called so
    /// already: an endpoint's name is its path, unless [`EndpointOptions::name`] is another, as it has to be for the same
    /// path under several prefixes. If a method of the hub takes a part of its connection's request that the options do
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

    /// The hub as a tower service, for hosts other than axum. It answers any path as the hub's own; one that
    /// ends with `/negotiate` is a negotiation, one that ends with `/refresh` a refresh.
    ///
    /// `name` is what the endpoint is called, on every instance alike: the path that it is served at. The options may
    /// name it otherwise. What [`Hub::authorize`] requires is required beside what the options do.
    ///
    /// # Panics
    /// If an endpoint of this server is called so already, or if the hub has a method that takes a part of its
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
