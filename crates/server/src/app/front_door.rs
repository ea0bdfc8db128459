//! What the page at `/` says is served, and to whom.

use hubline_auth::AllowedOrigins;

use crate::admin;
use crate::config::Config;
use crate::pages::{Access, FrontDoor, Offer};
use crate::paths::{
    CALLS, CHAT, DEVELOPMENT_TOKEN, HEALTH, HEALTH_LIVE, HEALTH_READY, NAVIGATION, OPENAPI, STATE, TRIGGER,
};

/// Reads it off the configuration, and whether there is an admin key, there or in the database.
pub(super) fn front_door(config: &Config, has_key: bool) -> FrontDoor {
    let is_development = config.server.environment.is_development();
    let is_off = !is_development && !has_key;
    FrontDoor {
        environment: config.server.environment.to_string(),
        is_development,
        version: env!("CARGO_PKG_VERSION"),
        operators_are_shut_out: is_off.then(|| {
            "Needs an admin key: Admin__ApiKey sets one, and a key in the database is as good. --dev needs none.".to_owned()
        }),
        offers: hubs(config).into_iter().chain(of_operators(config, has_key)).chain(of_trial(config)).collect(),
    }
}

fn offer(path: impl Into<String>, purpose: &'static str, access: Access) -> Offer {
    Offer { path: path.into(), purpose, access, is_document: false }
}

/// Something that a browser can show.
fn document(path: impl Into<String>, purpose: &'static str, access: Access) -> Offer {
    Offer { is_document: true, ..offer(path, purpose, access) }
}

fn hubs(config: &Config) -> Vec<Offer> {
    let of_users = || match config.authentication.anonymous_may_chat() {
        true if config.authentication.bearer.is_none() => Access::Open(
            "Without keys to verify tokens with, everybody may come; Jwt:Key and others set them.",
        ),
        true => Access::Open("With a token or without one."),
        false => Access::Key(
            "A token of a key that is configured; Authentication:AllowAnonymous=true lets others in too.",
        ),
    };
    let of_models = || match config.applications.admin.requires_virtual_key {
        true => Access::Key("A virtual key, as bearer token or access_token (Navigation:RequireVirtualKey)."),
        false => Access::Everybody,
    };
    let origins = match &config.server.allowed_origins {
        AllowedOrigins::Any => Access::Open("Cors:AllowedOrigins names those that may."),
        AllowedOrigins::List(listed) if listed.is_empty() => {
            Access::Off("Cors:AllowedOrigins lists those that may; --dev lets in any.".to_owned())
        }
        _ => Access::Key("Those that Cors:AllowedOrigins lists."),
    };
    vec![
        offer(CHAT, "The hub of the chat: users, rooms, history, what was missed.", of_users()),
        offer(CALLS, "The hub of calls: the signalling of WebRTC.", of_users()),
        offer(NAVIGATION, "The hub of the navigation state: models, providers, changes.", of_models()),
        document(STATE, "The navigation state over HTTP.", of_models()),
        offer("other origins", "Pages of other sites may connect to all of these.", origins),
    ]
}

fn of_operators(config: &Config, has_key: bool) -> Vec<Offer> {
    let is_development = config.server.environment.is_development();
    let management = &config.management;
    let of_admins = || match (has_key, is_development) {
        (true, _) => Access::Key("An admin key, as Authorization: Bearer."),
        (false, true) => Access::Open("Until there is an admin key (Admin__ApiKey), which is then needed."),
        (false, false) => Access::Off("Needs an admin key: Admin__ApiKey sets one.".to_owned()),
    };
    let description = match is_development {
        true => Access::Everybody,
        false => of_admins(),
    };
    let is_told = is_development || management.key.is_some() || !management.urls.is_empty();
    let health = match is_told {
        true => Access::Open("Hosts, errors and counts are for operators, and for all in Development."),
        false => {
            Access::Open("Hosts, errors and counts are told nobody; Management:Key shows them to operators.")
        }
    };
    let mut offers = vec![
        document(HEALTH, "How this instance is: Redis, database, clients.", health),
        document(HEALTH_LIVE, "For probes: the process answers.", Access::Everybody),
        document(HEALTH_READY, "For probes: new clients may be sent here.", Access::Everybody),
    ];
    if let Some(path) = &management.metrics_path {
        let access = match (&management.urls[..], &management.key) {
            ([_, ..], _) => Access::Off("Served at Management:Urls alone.".to_owned()),
            ([], Some(_)) => Access::Key("Management:Key, as Authorization: Bearer."),
            ([], None) => Access::Open("Management:Key or Management:Urls keeps others away."),
        };
        offers.push(document(path, "Figures for Prometheus.", access));
    }
    offers.push(document(OPENAPI, "The description of the HTTP API, as OpenAPI 3.1.", description));
    offers.push(offer(admin::PATH, "Models, keys, consultations, bans, audit, draining.", of_admins()));
    offers
}

fn of_trial(config: &Config) -> Vec<Offer> {
    let environment = &config.server.environment;
    let token = match environment.is_development() {
        true => Access::Open("In Development alone."),
        false => Access::Off("--dev serves it.".to_owned()),
    };
    let trigger = match environment.is_production() {
        true => Access::Off(
            "--dev serves it, and so does any --environment but Production. With an admin key there is \
             /api/admin/trigger-navigation-update."
                .to_owned(),
        ),
        false => Access::Open("Not in Production."),
    };
    vec![
        offer(
            format!("POST {TRIGGER}"),
            "Has every instance send the navigation state to its clients.",
            trigger,
        ),
        offer(format!("POST {DEVELOPMENT_TOKEN}"), "Signs in whoever is asked for, to try things.", token),
    ]
}
