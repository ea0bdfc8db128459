//! The admin API at `/api/admin`: who may use it ([`access`]), and the routes that belong to no other application.

mod access;
mod browsers;
mod config;
mod keys;
mod wrong_keys;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use hubline_store::Store;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::api::with_problems;
use access::Access;
pub use access::AdminStatistics;
pub use config::{AdminConfig, ConfiguredKey};

/// Where the API is.
pub const PATH: &str = "/api/admin";

/// The admin API. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Admin {
    access: Arc<Access>,
    store: Store,
}

impl Admin {
    /// An API whose keys are those of the configuration and of the database.
    pub fn new(config: AdminConfig, store: Store) -> Self {
        Self { access: Arc::new(Access::new(config, store.clone())), store }
    }

    /// Serves the routes of this application, and those of others below [`PATH`], to who has a key. Each request has an `AdminPrincipal`, and
    /// what fails is a problem, unknown paths too. The second value describes all of them.
    pub fn serve(&self, others: OpenApiRouter) -> (Router, OpenApi) {
        let own = keys::routes().with_state(self.store.clone());
        let (routes, description) = own.merge(others).split_for_parts();
        let authenticated = from_fn_with_state(Arc::clone(&self.access), access::authenticate);
        (with_problems(routes, PATH).layer(authenticated), description)
    }

    /// What there is to count.
    pub fn statistics(&self) -> AdminStatistics {
        self.access.statistics()
    }
}
