//! Who gets in at all.

use axum::Router;
use hubline_auth::{CrossOrigin, HostFilter, LayerRefusal};

use crate::config::Config;
use crate::refused::Refusals;

/// What every request goes past before it is routed: its host, and the origin of the page that sends it.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(super) cross_origin: CrossOrigin,
    /// `None` if any host is served.
    pub(super) host_filter: Option<HostFilter>,
}

impl Door {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            cross_origin: CrossOrigin::new(config.server.allowed_origins.clone()),
            host_filter: config.server.allowed_hosts.clone().map(HostFilter::new),
        }
    }

    /// Has somebody told of each request that does not get in.
    pub(crate) fn telling(self, told: &Refusals) -> Self {
        let [of_origin, of_host] = [told, told].map(|told| {
            let told = told.clone();
            move |refusal: &LayerRefusal<'_>| {
                told.tell(refusal.path, refusal.extensions, refusal.reason, None)
            }
        });
        Self {
            cross_origin: self.cross_origin.on_refusal(of_origin),
            host_filter: self.host_filter.map(|filter| filter.on_refusal(of_host)),
        }
    }

    /// Lets in pages of allowed origins alone.
    pub(crate) fn origins(&self, routes: Router) -> Router {
        routes.layer(self.cross_origin.clone())
    }

    /// Lets in requests for allowed hosts alone.
    pub(crate) fn hosts(&self, routes: Router) -> Router {
        match &self.host_filter {
            Some(host_filter) => routes.layer(host_filter.clone()),
            None => routes,
        }
    }
}
