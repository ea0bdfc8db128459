//! The admin API at `/api/admin`: who may use it ([`access`]), and the routes that belong to no other application.

mod access;
mod browsers;
mod config;
mod keys;
mod mappings;
mod names;
mod virtual_keys;
mod wrong_keys;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::middleware::from_fn_with_state;
use futures_util::future::BoxFuture;
use hubline_store::navigation::NavigationStore;
use hubline_store::{Store, Timestamp};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::api::{AdminPrincipal, Problem, with_known_parameters, with_problems};
use crate::refused::Refusals;
use access::Access;
pub use access::AdminStatistics;
pub(crate) use config::KeysConfig;
pub use config::{AdminConfig, ConfiguredKey};
use keys::KeepOut;
pub(crate) use keys::KeyManagement;
use virtual_keys::VirtualKeys;
pub(crate) use virtual_keys::user_of;

/// Where the API is.
pub const PATH: &str = "/api/admin";

/// The admin API, and the virtual keys of hubs. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Admin {
    access: Arc<Access>,
    virtual_keys: Arc<VirtualKeys>,
    told: Refusals,
    keys: KeyManagement,
    navigation: NavigationStore,
}

impl Admin {
    /// An API whose keys are those of the configuration and of the database. Changes of mappings and providers are made through `navigation`, which
    /// tells who follows it.
    pub fn new(config: AdminConfig, store: Store, navigation: NavigationStore) -> Self {
        Self {
            virtual_keys: Arc::new(VirtualKeys::new(store.clone(), &config)),
            told: Refusals::default(),
            access: Arc::new(Access::new(config, store.clone())),
            keys: KeyManagement::new(store),
            navigation,
        }
    }

    /// Has `keep_out` called when a virtual key is revoked, with its user and a time: whoever knows the connections closes those of the
    /// user on all instances, and lets the user in on none of them before that time.
    #[must_use]
    pub fn keeping_out(
        mut self,
        keep_out: impl Fn(String, Timestamp) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        self.keys.keep_out = Some(KeepOut(Arc::new(keep_out)));
        self
    }

    /// Lets who brings a virtual key use these routes as its user, and nobody else where one is required. It stands in front of what
    /// verifies other tokens.
    pub fn identify(&self, routes: Router) -> Router {
        let state = (Arc::clone(&self.virtual_keys), self.told.clone());
        routes.route_layer(from_fn_with_state(state, virtual_keys::authenticate))
    }

    /// Serves the routes of this application, and those of others below [`PATH`], to who has a key. Each request has an `AdminPrincipal`, and
    /// what fails is a problem, unknown paths and parameters too. The second value describes all of them.
    pub fn serve(&self, others: OpenApiRouter) -> (Router, OpenApi) {
        let keys = keys::routes().with_state(self.keys.clone());
        let mappings = mappings::routes().with_state(self.navigation.clone());
        let (routes, description) = mappings.merge(keys).merge(others).split_for_parts();
        let routes = with_known_parameters(routes, &description);
        (self.protect(with_problems(routes, PATH)), description)
    }

    /// Lets routes be used by who has a key, as those of [`serve`](Self::serve).
    pub fn protect(&self, routes: Router) -> Router {
        // Not around the fallback, which would be everybody's once the router is merged.
        routes.route_layer(from_fn_with_state(Arc::clone(&self.access), access::authenticate))
    }

    /// Who an admin key belongs to that was brought in another way than by a request to the API, from this address. Without a key: who may
    /// use the API without one. `headers` are those of the request that the connection was opened with.
    ///
    /// # Errors
    /// As the API refuses it.
    pub(crate) async fn sign_in(
        &self,
        client: Option<IpAddr>,
        key: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<AdminPrincipal, Problem> {
        self.access.sign_in(client, key, headers).await
    }

    /// The management of keys, for who does not come by HTTP.
    pub(crate) fn keys(&self) -> &KeyManagement {
        &self.keys
    }

    /// Has somebody told of requests to hubs that are refused.
    #[must_use]
    pub(crate) fn telling(self, told: Refusals) -> Self {
        Self { told, ..self }
    }

    /// Whether there is a key that opens the API, or was one in the database.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub(crate) async fn has_keys(&self) -> Result<bool, Problem> {
        self.access.has_keys().await
    }

    /// Serves what belongs to administrators and holds no secret, such as a page, unless the API is off for want of any key.
    pub fn serve_unless_off(&self, routes: Router) -> Router {
        routes.route_layer(from_fn_with_state(Arc::clone(&self.access), access::unless_off))
    }

    /// What there is to count.
    pub fn statistics(&self) -> AdminStatistics {
        AdminStatistics { virtual_keys: self.virtual_keys.refused(), ..self.access.statistics() }
    }
}
