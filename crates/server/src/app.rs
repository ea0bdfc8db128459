//! What is served where.

mod figures;
mod http_api;
mod sign_in;

use anyhow::Result;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use hubline::{EndpointOptions, ExpiredPrincipals, HttpOptions, Hub, HubOptions, Policy, Server};
use hubline_auth::{AllowedOrigins, CrossOrigin, HostFilter};
use hubline_redis::{RawChannels, RedisClient};
use hubline_store::Store;
use hubline_store::navigation::NavigationStore;

use crate::admin::{Admin, KeysConfig};
use crate::calls::{self, Calls, CallsOptions, CallsParts};
use crate::chat::{Chat, ChatConfig};
use crate::clinic::{Clinic, RetentionConfig};
use crate::config::{Config, ListenAddress, Reader, Scheme, Section};
use crate::consultations::{ConsultationRule, NamedByTokens};
use crate::development::{self, DevelopmentSignIn};
use crate::navigation::{Navigation, NavigationConfig};
use crate::observe::health::{self, Health};
use crate::observe::metrics::RedisFigures;
use crate::observe::{Database, Output, Readiness, Telemetry, metrics};
use crate::paths::{
    self, CALLS, CHAT, DEVELOPMENT_TOKEN, HEALTH, HEALTH_LIVE, HEALTH_READY, NAVIGATION, TRIGGER,
};
use crate::{chat, management, navigation, pages};
use sign_in::SignIn;

/// The hubs' own names, which `SignalR:HubNames` maps to others.
pub(crate) const HUB_NAMES: [&str; 3] = [chat::NAME, calls::NAME, navigation::NAME];

/// What each application reads of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct ApplicationsConfig {
    pub(crate) calls: CallsOptions,
    pub(crate) navigation: NavigationConfig,
    pub(crate) retention: RetentionConfig,
    pub(crate) admin: KeysConfig,
    pub(crate) chat: ChatConfig,
    pub(crate) consultations: ConsultationRule,
}

impl Section for ApplicationsConfig {
    const TITLE: &'static str = "Applications";

    fn read(reader: &mut Reader) -> Self {
        Self {
            calls: reader.section(),
            navigation: reader.section(),
            retention: reader.section(),
            admin: reader.section(),
            chat: reader.section(),
            consultations: reader.section(),
        }
    }
}

/// What lets users in who have not signed in.
const ANONYMOUS: &str = "Authentication:AllowAnonymous";

/// What is served to whom.
#[derive(Debug)]
pub(crate) struct Routers {
    /// At `Urls`.
    pub(crate) public: Router,
    /// At `Management:Urls`.
    pub(crate) management: Router,
    /// What has to be closed when the process ends.
    pub(crate) chat: Chat,
}

/// Everything the binary serves, its paths as ASP.NET Core matches them, except for the metrics, whose path is matched
/// byte by byte: a proxy in front that keeps strangers out of it knows one spelling.
///
/// # Errors
/// The keys of tokens cannot be fetched, because this is no thread of a Tokio runtime.
pub(crate) fn routers(
    server: &Server,
    config: &Config,
    redis: Option<RedisClient>,
    channels: Option<RawChannels>,
    store: &Store,
    clinic: &Clinic,
    observed: Observed,
    door: &Door,
) -> Result<Routers> {
    let applications = &config.applications;
    let chat = Chat::new(store.clone(), applications.chat.clone(), applications.consultations);
    let named_by_tokens = NamedByTokens::new(store.clone(), applications.consultations);
    let chat_hub = named(chat.hub(), config).filter(clinic.admission(CHAT));
    let chat_hub = server.add_hub(named_by_tokens.clone().serve(chat_hub));
    chat.start(server, &chat_hub);
    let calls = start_calls(server, config, redis.clone(), store);
    let calls_hub = named(calls.hub(), config).filter(clinic.admission(CALLS));
    let calls_hub = server.add_hub(named_by_tokens.serve(calls_hub));
    calls.serve(calls_hub.context(), server.directory().map(AsRef::as_ref));
    let mappings = NavigationStore::new(store.clone());
    let navigation = Navigation::start(
        server,
        |hub| named(hub, config).filter(clinic.admission(NAVIGATION)),
        applications.navigation.clone(),
        mappings.clone(),
        channels,
    );
    let (state, state_description) = navigation.state_routes().split_for_parts();
    let admin = Admin::new(http_api::access(config), store.clone(), mappings);
    let admin = http_api::keeping_out(admin, clinic);
    let development = config.server.environment.is_development().then(|| {
        let origins = config.server.allowed_origins.clone();
        DevelopmentSignIn::start(redis.clone(), server.directory_status(), origins)
    });
    let sign_in = SignIn::new(config, clinic, development.clone())?;
    let of_users = Router::new()
        .merge(chat_hub.map_with(CHAT, chat_options(config, &observed.telemetry)))
        .merge(calls_hub.map_with(CALLS, chat_options(config, &observed.telemetry)));
    let of_keys = Router::new()
        .merge(navigation.hub().map_with(NAVIGATION, navigation_options(config, &observed.telemetry)))
        .merge(state);
    // Virtual keys are outside of what verifies users' tokens, which would refuse them.
    let mut paths = sign_in.before(of_users).merge(admin.identify(sign_in.before(of_keys)));
    if let Some(development) = development {
        let issue = post(development::issue).layer(DefaultBodyLimit::max(development::LIMIT_BODY_BYTES));
        paths = paths.route(DEVELOPMENT_TOKEN, issue.with_state(development));
    }
    let redis_figures = redis.clone().map(RedisFigures::start);
    let health = Health::new(server, config, redis, observed.database.clone(), observed.readiness.clone());
    let mut app = Router::new()
        .merge(pages::routes())
        .route(HEALTH, get(health::report).with_state(health.clone()))
        .merge(health::probes(&observed.readiness))
        .merge(paths);
    let mut parts = http_api::Parts {
        guarded: clinic.routes().merge(navigation.admin_routes()),
        described: state_description,
        ..http_api::Parts::default()
    };
    if !config.server.environment.is_production() {
        parts.open = parts.open.merge(navigation.test_routes());
    }
    let (api, api_paths) = http_api::serve(&admin, parts, config.server.environment.is_development());
    app = app.merge(api);
    let mut management = Router::new()
        .merge(health::probes(&observed.readiness))
        .route(HEALTH, get(health::whole_report).with_state(health));
    let refusals = metrics::RefusalCollector {
        server: server.clone(),
        cross_origin: door.cross_origin.clone(),
        host_filter: door.host_filter.clone(),
        management_key: config.management.key.clone(),
        token_refusals: sign_in.refusals(),
        calls: calls.clone(),
        clinic: clinic.clone(),
        tls: config.server.tls.clone(),
        admin,
    };
    let metrics = metrics::Metrics::new(
        server,
        &observed.log,
        refusals,
        redis_figures,
        figures::all(&observed, store, &chat, &navigation),
    );
    observed.telemetry.export(&metrics);
    if let Some(path) = &config.management.metrics_path {
        let page = get(metrics::page).with_state(metrics);
        match (&config.management.urls[..], &config.management.key) {
            ([_, ..], _) => management = management.route(path, page),
            ([], None) => app = app.route(path, page),
            ([], Some(key)) => {
                app = app.route(path, page.route_layer(from_fn_with_state(key.clone(), management::require)));
            }
        }
    }
    let paths = paths::spelt_freely().map(str::to_owned).chain(api_paths);
    let public = hubline::ignore_case(door.origins(app), paths);
    let management = hubline::ignore_case(management, [HEALTH, HEALTH_LIVE, HEALTH_READY]);
    Ok(Routers { public: door.hosts(public), management: door.hosts(management), chat })
}

/// What every request goes past before it is routed: its host, and the origin of the page that sends it.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    cross_origin: CrossOrigin,
    /// `None` if any host is served.
    host_filter: Option<HostFilter>,
}

impl Door {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            cross_origin: CrossOrigin::new(config.server.allowed_origins.clone()),
            host_filter: config.server.allowed_hosts.clone().map(HostFilter::new),
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

/// What operators are told besides what the server counts.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) database: Database,
    pub(crate) readiness: Readiness,
    pub(crate) log: Output,
    pub(crate) telemetry: Telemetry,
}

fn start_calls(server: &Server, config: &Config, redis: Option<RedisClient>, store: &Store) -> Calls {
    Calls::start(CallsParts {
        options: config.applications.calls.clone(),
        redis: redis.map(|client| (client, server.directory_status())),
        store: Some(store.clone()),
        consultations: config.applications.consultations,
    })
}

/// The options of the paths of chat and calls, which let nobody in who is not signed in, unless anonymous users may come.
fn chat_options(config: &Config, telemetry: &Telemetry) -> EndpointOptions {
    match config.authentication.anonymous_may_chat() {
        true => endpoint_options(config, telemetry),
        false => endpoint_options(config, telemetry).authorize(Policy::authenticated()),
    }
}

/// The options of the navigation state's path: where it needs a key, a connection ends with its key.
fn navigation_options(config: &Config, telemetry: &Telemetry) -> EndpointOptions {
    let mut options = endpoint_options(config, telemetry);
    options.close_on_authentication_expiration |= config.applications.admin.requires_virtual_key;
    options
}

/// The options of the hubs' paths.
fn endpoint_options(config: &Config, telemetry: &Telemetry) -> EndpointOptions {
    let mut options = EndpointOptions::default().transports(config.signalr.transports.clone());
    options.minimum_protocol_version = config.signalr.minimum_protocol_version;
    options.allow_stateful_reconnects = config.signalr.allow_stateful_reconnects;
    options.close_on_authentication_expiration = config.signalr.close_on_authentication_expiration;
    options.enable_authentication_refresh =
        config.signalr.authentication_refresh && config.authentication.bearer.is_some();
    options.maximum_authentication_expiration = config.signalr.maximum_authentication_expiration;
    options.long_polling_poll_timeout = config.signalr.long_polling_poll_timeout;
    // Tokens that are not believed are refused, so one that is merely expired may not come as nobody either.
    options.expired_principals = ExpiredPrincipals::KeepOwnConnections;
    if telemetry.has_traces() { options.keep_trace_parent() } else { options }
}

/// How HTTP is served.
pub(crate) fn http_options(config: &Config) -> HttpOptions {
    HttpOptions::default()
        .keep_alive_timeout(config.server.keep_alive_timeout)
        .request_headers_timeout(config.server.request_headers_timeout)
        .forwarded_headers(config.server.forwarded.headers())
}

/// The hubs' options.
pub(crate) fn hub_options(config: &Config) -> HubOptions {
    HubOptions::default()
        .keep_alive_interval(config.signalr.keep_alive_interval)
        .backplane_failure_mode(config.signalr.backplane_failure_mode)
        .client_timeout_interval(config.signalr.client_timeout_interval)
        .handshake_timeout(config.signalr.handshake_timeout)
        .maximum_receive_message_size(Some(config.signalr.maximum_message_size_bytes))
        .detailed_errors(config.signalr.enable_detailed_errors)
        .maximum_parallel_invocations_per_client(config.signalr.maximum_parallel_invocations_per_client)
        .stream_buffer_capacity(config.signalr.stream_buffer_capacity)
        .sender_hold_timeout(config.signalr.sender_hold_timeout)
        .stalled_reader_timeout(config.signalr.stalled_reader_timeout)
        .limits(config.limits.clients.clone())
        .stateful_reconnect_buffer_size(config.signalr.stateful_reconnect_buffer_size_bytes)
        .supported_protocols(config.signalr.supported_protocols.clone())
}

/// The chat's name on Redis.
pub(crate) fn chat_name(config: &Config) -> String {
    named(Hub::new(chat::NAME), config).name().to_owned()
}

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

/// Gives a hub the name that the configuration has for it on Redis.
fn named<S>(hub: Hub<S>, config: &Config) -> Hub<S> {
    match config.redis.hub_names.get(hub.name()) {
        Some(name) => hub.named(name),
        None => hub,
    }
}
