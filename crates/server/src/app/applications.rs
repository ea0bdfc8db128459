//! The applications and their hubs.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use hubline::{Hub, HubHandle};
use hubline_store::navigation::NavigationStore;
use utoipa::openapi::OpenApi;

use super::options::{chat_options, navigation_options};
use super::sign_in::SignIn;
use super::{Config, Parts};
use crate::admin::Admin;
use crate::calls::{Calls, CallsParts};
use crate::chat::{self, Chat};
use crate::consultations::NamedByTokens;
use crate::development::{self, DevelopmentSignIn};
use crate::navigation::Navigation;
use crate::paths::{CALLS, CHAT, DEVELOPMENT_TOKEN, NAVIGATION};

/// All that run, and what they keep.
pub(super) struct Applications {
    pub(super) chat: Chat,
    pub(super) calls: Calls,
    pub(super) navigation: Navigation,
    pub(super) mappings: NavigationStore,
    pub(super) development: Option<DevelopmentSignIn>,
    chat_hub: HubHandle,
    calls_hub: HubHandle,
}

impl Applications {
    /// Adds their hubs to the server and starts them.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(super) fn start(parts: &Parts) -> Self {
        let Parts { server, config, redis, channels, store, clinic, .. } = parts;
        let applications = &config.applications;
        let named_by_tokens = NamedByTokens::new(store.clone(), applications.consultations);

        let chat = Chat::new(store.clone(), applications.chat.clone(), applications.consultations);
        let hub = named(chat.hub(), config).filter(clinic.admission(CHAT));
        let chat_hub = server.add_hub(named_by_tokens.clone().serve(hub));
        chat.start(server, &chat_hub);

        let calls = Calls::start(CallsParts {
            options: applications.calls.clone(),
            redis: redis.clone().map(|client| (client, server.directory_status())),
            store: Some(store.clone()),
            consultations: applications.consultations,
        });
        let hub = named(calls.hub(), config).filter(clinic.admission(CALLS));
        let calls_hub = server.add_hub(named_by_tokens.serve(hub));
        calls.serve(calls_hub.context(), server.directory().map(AsRef::as_ref));

        let mappings = NavigationStore::new(store.clone());
        let navigation = Navigation::start(
            server,
            |hub| named(hub, config).filter(clinic.admission(NAVIGATION)),
            applications.navigation.clone(),
            mappings.clone(),
            channels.clone(),
        );
        let development = config.server.environment.is_development().then(|| {
            let origins = config.server.allowed_origins.clone();
            DevelopmentSignIn::start(redis.clone(), server.directory_status(), origins)
        });
        Self { chat, calls, navigation, mappings, development, chat_hub, calls_hub }
    }

    /// The paths of the hubs and of what belongs to them, each behind those who may come, and the description of what is part of the API.
    pub(super) fn routes(&self, parts: &Parts, sign_in: &SignIn, admin: &Admin) -> (Router, OpenApi) {
        let Parts { config, observed, .. } = parts;
        let of_users = Router::new()
            .merge(self.chat_hub.map_with(CHAT, chat_options(config, &observed.telemetry)))
            .merge(self.calls_hub.map_with(CALLS, chat_options(config, &observed.telemetry)));
        let (state, description) = self.navigation.state_routes().split_for_parts();
        let hub = self.navigation.hub();
        let of_keys = hub.map_with(NAVIGATION, navigation_options(config, &observed.telemetry));
        let of_keys = Router::new().merge(of_keys).merge(state);
        // Virtual keys are outside of what verifies users' tokens, which would refuse them.
        let routes = sign_in.before(of_users).merge(admin.identify(sign_in.before(of_keys)));
        let Some(development) = &self.development else { return (routes, description) };
        let issue = post(development::issue).layer(DefaultBodyLimit::max(development::LIMIT_BODY_BYTES));
        (routes.route(DEVELOPMENT_TOKEN, issue.with_state(development.clone())), description)
    }
}

/// The chat's name on Redis.
pub(crate) fn chat_name(config: &Config) -> String {
    named(Hub::new(chat::NAME), config).name().to_owned()
}

/// Gives a hub the name that the configuration has for it on Redis.
fn named<S>(hub: Hub<S>, config: &Config) -> Hub<S> {
    match config.redis.hub_names.get(hub.name()) {
        Some(name) => hub.named(name),
        None => hub,
    }
}
