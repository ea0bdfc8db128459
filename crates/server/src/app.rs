//! What is served where.

use axum::Router;
use axum::routing::{get, post};
use hubline::{DetailedErrors, Hub, HubOptions, Server};

use crate::config::{Config, ListenAddress};
use crate::{health, home, hubs};

/// The hubs' own names, which `SignalR:HubNames` maps to others.
const HUBS: [&str; 2] = [hubs::chat::NAME, hubs::navigation_state::NAME];

/// Everything the binary serves.
pub(crate) fn router(server: &Server, config: &Config) -> Router {
    let chat = server.add_hub(named(hubs::chat::hub(), config));
    let navigation = server.add_hub(named(hubs::navigation_state::hub(), config));
    let mut app = Router::new()
        .route("/", get(home::page))
        .route("/signalr.min.js", get(home::client))
        .route("/health", get(health::report).with_state(health::Health::new(server, config)))
        .merge(chat.map("/chathub"))
        .merge(navigation.map("/hubs/navigation-state"));
    if !config.environment.is_production() {
        let trigger = post(hubs::navigation_state::trigger).with_state(navigation.context().clone());
        app = app.route("/api/test/trigger-navigation-update", trigger);
    }
    app
}

/// The hubs' options.
pub(crate) fn hub_options(config: &Config) -> HubOptions {
    let mut options = HubOptions::default();
    options.keep_alive_interval = config.keep_alive_interval;
    options.client_timeout_interval = config.client_timeout_interval;
    options.handshake_timeout = config.handshake_timeout;
    options.maximum_receive_message_size = Some(config.maximum_message_size_bytes);
    options.detailed_errors = DetailedErrors::from(config.enable_detailed_errors);
    options
}

/// What a person sees when the server has started.
pub(crate) fn banner(config: &Config) -> String {
    let urls: Vec<_> = config.urls.iter().map(ToString::to_string).collect();
    let backplane = match &config.redis {
        Some(redis) => format!("SignalR configured with Redis backplane for horizontal scaling ({redis})"),
        None => "SignalR configured with the in-process backplane: this instance serves alone".to_owned(),
    };
    let open = config.urls.first().map(browser_address).unwrap_or_default();
    format!(
        "Hubline {version} in environment {environment}\n\
         {backplane}\n\
         Hubs /chathub and /hubs/navigation-state on {urls}\n\
         Open {open}/ in a browser to see messages cross between two connections\n",
        version = env!("CARGO_PKG_VERSION"),
        environment = config.environment,
        urls = urls.join(" and "),
    )
}

fn browser_address(address: &ListenAddress) -> String {
    format!("http://localhost:{}", address.port)
}

/// Settings that are understood and have no effect in this version, each with what that means.
pub(crate) fn without_effect(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    if config.database.is_some() || config.skip_database_init {
        notes.push("a database is configured, but nothing is stored in one yet".to_owned());
    }
    if config.redis_instance_name.is_some() {
        notes.push("Redis:InstanceName is set, but no keys are kept in Redis yet".to_owned());
    }
    for (hub, _) in
        config.hub_names.iter().filter(|(hub, _)| !HUBS.iter().any(|known| known.eq_ignore_ascii_case(hub)))
    {
        notes.push(format!(
            "SignalR:HubNames:{hub} names a hub that is not served; there are {}",
            HUBS.join(" and ")
        ));
    }
    notes
}

/// Gives a hub the name that the configuration has for it on Redis.
fn named(hub: Hub, config: &Config) -> Hub {
    match config.hub_names.get(hub.name()) {
        Some(name) => hub.named(name),
        None => hub,
    }
}
