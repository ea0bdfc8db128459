//! The HTTP API at `/api`, joined from the parts that each application has of it.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use hubline_store::navigation::NavigationStore;

use super::applications::Applications;
use super::{Config, Parts};
use crate::admin::{self, Admin, AdminConfig};
use crate::api::{describe, with_problems};
use crate::paths::{API, OPENAPI};
use crate::{drain, navigation};

/// What applications have of the API.
pub(super) struct ApiParts {
    /// Below `/api/admin`, for who has an admin key.
    pub(super) guarded: OpenApiRouter,
    /// For everybody, or for whomever the routes let in.
    pub(super) open: OpenApiRouter,
    /// What is served beside these.
    pub(super) described: OpenApi,
}

/// Who may use `/api/admin`. The connections of a virtual key that is revoked are closed as those of any user who is to stay out.
pub(super) fn admin(parts: &Parts, mappings: NavigationStore) -> Admin {
    let clinic = parts.clinic.clone();
    let admin = Admin::new(access(&parts.config), parts.store.clone(), mappings);
    admin.keeping_out(move |user, until| {
        let clinic = clinic.clone();
        Box::pin(async move { clinic.keep_out(&user, until).await })
    })
}

fn access(config: &Config) -> AdminConfig {
    AdminConfig {
        keys: config.applications.admin.keys.clone(),
        is_open_without_keys: config.server.environment.is_development(),
        origins: match config.server.origins_are_listed {
            true => config.server.allowed_origins.clone(),
            false => AdminConfig::default().origins,
        },
        wrong_keys_per_minute: config.applications.admin.wrong_keys_per_minute,
        requires_virtual_key: config.applications.admin.requires_virtual_key,
        model_scope_claim: navigation::MODEL_SCOPE,
        hosts_are_filtered: config.server.allowed_hosts.is_some(),
    }
}

/// What there is of it, with what is `described` and served elsewhere.
pub(super) fn parts(parts: &Parts, applications: &Applications, described: OpenApi) -> ApiParts {
    let navigation = &applications.navigation;
    let own = drain::routes(parts.drain.clone(), parts.store.clone());
    let guarded = parts.clinic.routes().merge(navigation.admin_routes()).merge(own);
    let open = match parts.config.server.environment.is_production() {
        true => OpenApiRouter::new(),
        false => navigation.test_routes(),
    };
    ApiParts { guarded, open, described }
}

/// Serves the API and its description, which is open where anybody may look at everything. The second value are the paths without
/// parameters, which may be spelt freely.
pub(super) fn serve(admin: &Admin, parts: ApiParts, config: &Config) -> (Router, Vec<String>) {
    let (guarded, guarded_description) = admin.serve(parts.guarded);
    let (open, open_description) = parts.open.split_for_parts();
    let described = guarded_description.paths.paths.keys().chain(open_description.paths.paths.keys());
    let paths = described.filter(|path| !path.contains('{')).cloned().collect();
    let document = (
        [(CONTENT_TYPE, "application/json")],
        describe([guarded_description, open_description, parts.described], admin::PATH),
    );
    let document = Router::new().route(OPENAPI, get(document));
    let is_open = config.server.environment.is_development();
    let document = if is_open { document } else { admin.protect(document) };
    (guarded.merge(with_problems(open, API)).merge(document), paths)
}

/// What there is to say of the API before anybody uses it.
pub(super) fn notes(config: &Config) -> Vec<String> {
    let keys = &config.applications.admin.keys;
    let mut notes = Vec::new();
    if keys.is_empty() && config.server.environment.is_development() {
        notes.push(format!(
            "anybody may use {} and /console, unless there are keys in the database: no key is configured, and the environment is Development. Set \
             Admin__ApiKey",
            admin::PATH
        ));
    }
    for key in keys.iter().filter(|key| !key.is_strong && !config.server.environment.is_development()) {
        notes.push(format!(
            "{} is shorter than 32 characters; openssl rand -base64 32 prints one that nobody guesses",
            key.setting
        ));
    }
    notes
}

/// What is closed of the API because nobody opened it.
pub(super) fn closed(config: &Config) -> Option<String> {
    let is_off = config.applications.admin.keys.is_empty() && !config.server.environment.is_development();
    is_off.then(|| {
        format!("{} and /console, unless there are keys in the database. Admin__ApiKey sets one", admin::PATH)
    })
}
