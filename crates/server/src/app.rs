//! What is served where.

mod applications;
mod console;
mod door;
mod figures;
mod front_door;
mod http_api;
mod options;
mod sign_in;
mod told;

use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use hubline::{LifecycleObserver, Server};
use hubline_redis::{RawChannels, RedisClient};
use hubline_store::Store;

use crate::admin::{Admin, KeysConfig};
use crate::calls::{self, CallsOptions};
use crate::chat::{self, Chat, ChatConfig};
use crate::check::Check;
use crate::clinic::{Clinic, RetentionConfig};
use crate::config::{Config, Reader, Section};
use crate::console::{ConsoleConfig, Ring, Served};
use crate::consultations::ConsultationRule;
use crate::drain::Drain;
use crate::navigation::{self, NavigationConfig};
use crate::observe::health::{self, Health};
use crate::observe::metrics::{self, Metrics, RedisFigures};
use crate::observe::{Database, Output, Readiness, Telemetry};
use crate::paths::{self, HEALTH, HEALTH_LIVE, HEALTH_READY};
use crate::refused::Refusals;
use crate::{management, pages};
use applications::Applications;
pub(crate) use applications::chat_name;
pub(crate) use console::timeline;
pub(crate) use door::Door;
pub(crate) use options::{http_options, hub_options};
use sign_in::SignIn;
pub(crate) use told::{banner, notes};

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
    pub(crate) console: ConsoleConfig,
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
            console: reader.section(),
        }
    }
}

/// What everything that is served is made from.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) server: Server,
    /// `None` without Redis, and so is the next.
    pub(crate) redis: Option<RedisClient>,
    pub(crate) channels: Option<RawChannels>,
    pub(crate) store: Store,
    pub(crate) clinic: Clinic,
    pub(crate) observed: Observed,
    pub(crate) door: Door,
    pub(crate) drain: Drain,
    /// What happens to connections; `None` if it is not remembered.
    pub(crate) ring: Option<Ring>,
}

/// What operators are told besides what the server counts.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) database: Database,
    pub(crate) readiness: Readiness,
    pub(crate) log: Output,
    pub(crate) telemetry: Telemetry,
}

/// What is served to whom.
#[derive(Debug)]
pub(crate) struct Routers {
    /// At `Urls`.
    pub(crate) public: Router,
    /// At `Management:Urls`.
    pub(crate) management: Router,
    /// What has to be closed when the process ends.
    pub(crate) chat: Chat,
    /// `None` if there is none.
    pub(crate) console: Option<Served>,
}

/// Everything the binary serves, its paths as ASP.NET Core matches them, except for the metrics, whose path is matched
/// byte by byte: a proxy in front that keeps strangers out of it knows one spelling.
///
/// # Errors
/// The keys of tokens cannot be fetched, because this is no thread of a Tokio runtime.
pub(crate) fn routers(parts: &Parts) -> Result<Routers> {
    let Parts { config, clinic, ring, .. } = parts;
    let told = Refusals::new(ring.clone().map(|ring| Arc::new(ring) as Arc<dyn LifecycleObserver>));
    let door = parts.door.clone().telling(&told);
    let applications = Applications::start(parts);
    let admin = http_api::admin(parts, applications.mappings.clone()).telling(told.clone());
    let sign_in = SignIn::new(config, clinic, applications.development.clone(), told)?;
    let check = Check::start(&parts.server, config, parts.redis.clone());
    let check = admin.protect(check.routes(options::operator_options(config, &parts.observed.telemetry)));
    let (hubs, described) = applications.routes(parts, &sign_in, &admin);
    let (api, api_paths) = http_api::serve(&admin, http_api::parts(parts, &applications, described), config);
    let redis_figures = parts.redis.clone().map(RedisFigures::start);
    let refusals = figures::refusals(parts, &sign_in, &admin);
    let console = console::start(parts, &admin, refusals.clone(), redis_figures.clone());
    let front = [Some(refusals), console.as_ref().map(console::figures)].into_iter().flatten();
    let (metrics_of_all, metrics_of_operators) =
        metrics_routes(config, figures::metrics(parts, &applications, front, redis_figures));
    let (health_of_all, health_of_operators) = health_routes(parts);

    let public = Router::new()
        .merge(pages(config, &admin))
        .merge(health_of_all)
        .merge(hubs)
        .merge(api)
        .merge(check)
        .merge(console::routes(parts, console.as_ref()))
        .merge(metrics_of_all);
    let paths = paths::spelt_freely().map(str::to_owned).chain(api_paths);
    let public = hubline::ignore_case(door.origins(public), paths);
    let management = health_of_operators.merge(metrics_of_operators);
    let management = hubline::ignore_case(management, [HEALTH, HEALTH_LIVE, HEALTH_READY]);
    Ok(Routers {
        public: door.hosts(public),
        management: door.hosts(management),
        chat: applications.chat,
        console,
    })
}

/// The pages, the first of which says what is open: a key in the database may have opened more since the start.
fn pages(config: &Config, admin: &Admin) -> Router {
    let [front, with_key] = [false, true].map(|has_key| front_door::front_door(config, has_key));
    let asked = admin.clone();
    let has_key = move || {
        let asked = asked.clone();
        // What is not known is not called off: the database, which would know, is away.
        async move { asked.has_keys().await.unwrap_or(true) }
    };
    pages::routes(&front, &with_key, has_key, |page| admin.serve_unless_off(page))
}

/// At `Urls`, and at `Management:Urls`.
fn health_routes(parts: &Parts) -> (Router, Router) {
    let Parts { config, server, redis, observed, .. } = parts;
    let health =
        Health::new(server, config, redis.clone(), observed.database.clone(), observed.readiness.clone());
    let probes = health::probes(&observed.readiness);
    let public = probes.clone().route(HEALTH, get(health::report).with_state(health.clone()));
    (public, probes.route(HEALTH, get(health::whole_report).with_state(health)))
}

/// At `Urls`, and at `Management:Urls`: at one of the two, if at all.
fn metrics_routes(config: &Config, metrics: Metrics) -> (Router, Router) {
    let (nowhere, management) = (Router::new(), &config.management);
    let Some(path) = &management.metrics_path else { return (nowhere.clone(), nowhere) };
    let page = get(metrics::page).with_state(metrics);
    match (&management.urls[..], &management.key) {
        ([_, ..], _) => (nowhere.clone(), nowhere.route(path, page)),
        ([], None) => (nowhere.clone().route(path, page), nowhere),
        ([], Some(key)) => {
            let page = page.route_layer(from_fn_with_state(key.clone(), management::require));
            (nowhere.clone().route(path, page), nowhere)
        }
    }
}
