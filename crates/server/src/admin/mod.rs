//! The admin API at `/api/admin`: who may use it ([`access`]), and the routes that belong to no other application.

mod access;
mod browsers;
mod config;
mod keys;
mod mappings;
mod wrong_keys;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use hubline_store::Store;
use hubline_store::navigation::NavigationStore;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::api::with_problems;
use access::Access;
pub use access::AdminStatistics;
pub(crate) use config::AdminKeysConfig;
pub use config::{AdminConfig, ConfiguredKey};

/// Where the API is.
pub const PATH: &str = "/api/admin";

/// The admin API. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Admin {
    access: Arc<Access>,
    store: Store,
    navigation: NavigationStore,
}

impl Admin {
    /// An API whose keys are those of the configuration and of the database. Changes of mappings and providers are made through `navigation`, which
    /// tells who follows it.
    pub fn new(config: AdminConfig, store: Store, navigation: NavigationStore) -> Self {
        Self { access: Arc::new(Access::new(config, store.clone())), store, navigation }
    }

    /// Serves the routes of this application, and those of others below [`PATH`], to who has a key. Each request has an `AdminPrincipal`, and
    /// what fails is a problem, unknown paths too. The second value describes all of them.
    pub fn serve(&self, others: OpenApiRouter) -> (Router, OpenApi) {
        let keys = keys::routes().with_state(self.store.clone());
        let mappings = mappings::routes().with_state(self.navigation.clone());
        let (routes, description) = mappings.merge(keys).merge(others).split_for_parts();
        (self.protect(with_problems(routes, PATH)), description)
    }

    /// Lets routes be used by who has a key, as those of [`serve`](Self::serve).
    pub fn protect(&self, routes: Router) -> Router {
        // Not around the fallback, which would be everybody's once the router is merged.
        routes.route_layer(from_fn_with_state(Arc::clone(&self.access), access::authenticate))
    }

    /// What there is to count.
    pub fn statistics(&self) -> AdminStatistics {
        self.access.statistics()
    }
}
