//! What people are told when the server starts.

use hubline_auth::AllowedOrigins;

use super::{HUB_NAMES, http_api};
use crate::config::{Config, ListenAddress, Scheme};
use crate::observe::health;
use crate::paths::{CALLS, CHAT, DEVELOPMENT_TOKEN, HEALTH, TRIGGER};

/// What lets users in who have not signed in.
const ANONYMOUS: &str = "Authentication:AllowAnonymous";

/// What a person sees when the server has started.
pub(crate) fn banner(config: &Config) -> String {
    let management = match &config.management.urls[..] {
        [] => String::new(),
        urls => format!("{HEALTH} and metrics for operators on {}\n", joined(urls)),
    };
    let backplane = match &config.redis.options {
        Some(redis) => format!(
            "SignalR configured with Redis backplane for horizontal scaling ({redis})\n\
             Session directory in Redis, {keys}; connection-token keys {agreement}",
            keys = match redis.key_prefix() {
                "" => "its keys without a prefix".to_owned(),
                prefix => format!("its keys behind '{prefix}'"),
            },
            agreement = match &config.signalr.token_keys[..] {
                [] => "agreed through Redis",
                _ => "configured",
            },
        ),
        None => "SignalR configured with the in-process backplane: this instance serves alone".to_owned(),
    };
    let application =
        config.server.application_name.as_ref().map(|name| format!("[{name}] ")).unwrap_or_default();
    let backplane = format!("{backplane}\nDatabase: {}", config.database.options);
    let open = config.server.urls.first().map(browser_address).unwrap_or_default();
    format!(
        "Hubline {version} in environment {environment}\n\
         {application}{backplane}\n\
         Hubs /chathub, /videocallhub and /hubs/navigation-state on {urls}\n\
         {management}\
         {closed}\
         {sign_in}\
         Open {open}/ in a browser to see messages cross between two connections\n",
        version = env!("CARGO_PKG_VERSION"),
        sign_in = match config.server.environment.is_development() {
            true =>
                format!("For development: POST {DEVELOPMENT_TOKEN} signs anybody in as whoever he says\n"),
            false => String::new(),
        },
        environment = config.server.environment,
        urls = joined(&config.server.urls),
        closed = closed(config).into_iter().map(|line| format!("Closed: {line}\n")).collect::<String>(),
    )
}

fn joined(urls: &[ListenAddress]) -> String {
    urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// What is not open because nobody opened it, each with how to.
fn closed(config: &Config) -> Vec<String> {
    let mut closed = Vec::new();
    if matches!(&config.server.allowed_origins, AllowedOrigins::List(listed) if listed.is_empty()) {
        closed.push(
            "pages of other origins. Cors:AllowedOrigins lists those that may connect; --dev lets in any"
                .to_owned(),
        );
    }
    if !config.authentication.anonymous_may_chat() {
        closed.push(format!(
            "{CHAT} and {CALLS} for whoever brings no token. {ANONYMOUS}=true lets anonymous users in"
        ));
    }
    if config.server.environment.is_production() {
        closed.push(format!("POST {TRIGGER}. --dev serves it, and so does any --environment but Production"));
    }
    if !config.server.environment.is_development()
        && config.management.key.is_none()
        && config.management.urls.is_empty()
    {
        closed.push(format!(
            "what {HEALTH} says besides its status. Management:Key or Management:Urls shows it to operators, --dev to all"
        ));
    }
    closed.extend(http_api::closed(config));
    closed
}

fn browser_address(address: &ListenAddress) -> String {
    format!("{}://localhost:{}", address.scheme, address.port)
}

/// Settings that are understood and have no effect in this version, and what is open because nothing was set, each with
/// what that means.
pub(crate) fn notes(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    if config.redis.options.is_some() && !config.database.options.is_shared() {
        notes.push(health::ONE_HISTORY_PER_MACHINE.to_owned());
    }
    if config.signalr.maximum_authentication_expiration.is_some() && config.authentication.bearer.is_none() {
        notes.push(
            "SignalR:MaximumAuthenticationExpiration is set, but there are no keys to verify tokens with (Jwt:Key, \
             Authentication:Schemes:Bearer:SigningKeys and others)"
                .to_owned(),
        );
    }
    if config.server.environment.is_production()
        && config.authentication.bearer.is_none()
        && config.authentication.allow_anonymous.is_none()
    {
        notes.push(format!(
            "anybody may use {CHAT} and {CALLS}: there are no keys to verify tokens with. Set Jwt:Key, Jwt:JwksUrl or \
             Authentication:Schemes:Bearer, or {ANONYMOUS}=true if that is meant"
        ));
    }
    let has_https =
        config.server.urls.iter().chain(&config.management.urls).any(|url| url.scheme == Scheme::Https);
    if config.server.tls.is_some() && !has_https {
        notes.push(
            "Kestrel:Certificates:Default is set, but no address is served with it; name one with --urls https://+:5001"
                .to_owned(),
        );
    }
    if config.redis.instance_name.is_some() && config.redis.options.is_none() {
        notes.push("Redis:InstanceName is set, but there is no Redis to keep keys in".to_owned());
    }
    for (hub, _) in config
        .redis
        .hub_names
        .iter()
        .filter(|(hub, _)| !HUB_NAMES.iter().any(|known| known.eq_ignore_ascii_case(hub)))
    {
        notes.push(format!(
            "SignalR:HubNames:{hub} names a hub that is not served; there are {}",
            HUB_NAMES.join(" and ")
        ));
    }
    notes.extend(http_api::notes(config));
    notes
}
