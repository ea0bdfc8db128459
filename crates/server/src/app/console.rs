//! The console, and what it needs of the other applications.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use futures_util::future::BoxFuture;
use hubline::Status;
use hubline_store::Timestamp;
use hubline_store::keys::{AdminScope, Key, KeyKind, KeyScope};

use super::options::operator_options;
use super::{Config, HUB_NAMES, Parts};
use crate::admin::{self, Admin};
use crate::api::{AdminPrincipal, Problem};
use crate::clinic::Clinic;
use crate::console::{Console, ConsoleParts, Host, Ring, Served, ShownKey, Stage};
use crate::drain::{self, Drain};
use crate::observe::Database;
use crate::observe::metrics::{Figure, Figures, RedisFigures};
use crate::paths::{CALLS, CHAT, NAVIGATION};

/// Keys of each kind that are listed.
const MOST_KEYS: u32 = 500;
/// 100 ns since 1970 in a millisecond.
const TICKS_PER_MS: i64 = 10_000;

/// Where is remembered what happens to connections, if it is.
pub(crate) fn timeline(config: &Config) -> Option<Ring> {
    let console = &config.applications.console;
    let is_on = console.is_enabled && console.timeline_bytes > 0;
    is_on.then(|| Ring::new(console.timeline_bytes))
}

/// Starts it, unless it is off.
pub(super) fn start(
    parts: &Parts,
    admin: &Admin,
    refusals: Figures,
    redis_figures: Option<RedisFigures>,
) -> Option<Served> {
    let Parts { config, server, store, redis, channels, ring, clinic, drain, observed, .. } = parts;
    let host = Around {
        admin: admin.clone(),
        clinic: clinic.clone(),
        drain: drain.clone(),
        refusals,
        redis_figures,
        database: observed.database.clone(),
    };
    config.applications.console.is_enabled.then(|| {
        Console::start(ConsoleParts {
            server: server.clone(),
            store: store.clone(),
            redis: redis.clone(),
            channels: channels.clone(),
            ring: ring.clone(),
            instance: instance_name(config),
            environment: config.server.environment.to_string(),
            hubs: hubs(config),
            host: Arc::new(host),
        })
    })
}

/// The paths of the hubs of users, with the names that the hubs have here.
fn hubs(config: &Config) -> Vec<(&'static str, String)> {
    let named = |name: &str| config.redis.hub_names.get(name).unwrap_or(name).to_owned();
    [CHAT, CALLS, NAVIGATION].into_iter().zip(HUB_NAMES.map(named)).collect()
}

pub(super) fn routes(parts: &Parts, console: Option<&Served>) -> Router {
    let options = operator_options(&parts.config, &parts.observed.telemetry);
    console.map_or_else(Router::new, |console| console.routes(options))
}

/// What is counted of the console's channel.
pub(super) fn figures(console: &Served) -> Figures {
    let console = console.clone();
    let help = "What came on the channels of consoles on Redis and is not understood: of another version, or of somebody who should not publish there.";
    Figures::new(move || {
        vec![Figure::counter("hubline_console_messages_not_understood", help, console.not_understood())]
    })
}

/// The application's name, if it has one, and else the machine's, with the first port.
fn instance_name(config: &Config) -> String {
    if let Some(name) = &config.server.application_name {
        return name.clone();
    }
    let named = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    let host = named.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    let host = host.unwrap_or_else(|| "localhost".to_owned());
    match config.server.urls.first() {
        Some(address) => format!("{host}:{}", address.port),
        None => host,
    }
}

/// The applications around the console.
struct Around {
    admin: Admin,
    clinic: Clinic,
    drain: Drain,
    refusals: Figures,
    redis_figures: Option<RedisFigures>,
    database: Database,
}

impl fmt::Debug for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Around").finish_non_exhaustive()
    }
}

impl Host for Around {
    fn sign_in<'a>(
        &'a self,
        client: Option<IpAddr>,
        key: Option<&'a str>,
        headers: &'a HeaderMap,
    ) -> BoxFuture<'a, Result<AdminPrincipal, Problem>> {
        Box::pin(async move {
            let signed_in = self.admin.sign_in(client, key, headers).await;
            // What the API says of itself is said of the console.
            signed_in.map_err(|problem| match (problem.status(), key) {
                (StatusCode::FORBIDDEN, _) if problem.detail().starts_with("the admin API is off") => {
                    Problem::new(
                        StatusCode::FORBIDDEN,
                        "the console is off, because no admin key is configured; Admin__ApiKey sets one",
                    )
                }
                (StatusCode::UNAUTHORIZED, None) => Problem::unauthorized("this needs an admin key"),
                _ => problem,
            })
        })
    }

    fn refusals(&self) -> Vec<(String, u64)> {
        let figures = self.refusals.read().into_iter();
        // As the metrics call them, without what all have.
        let named = figures.map(|figure| {
            let name = figure.name.trim_start_matches("hubline_").trim_end_matches("_refused");
            let reason = figure.label.map(|(_, reason)| format!("_{reason}")).unwrap_or_default();
            (format!("{name}{reason}"), figure.value)
        });
        // Those that only waited were let in.
        named.filter(|(reason, _)| reason != "connections_delayed").collect()
    }

    fn redis_round_trip(&self) -> Option<Duration> {
        self.redis_figures.as_ref()?.round_trip()
    }

    fn database(&self) -> Status {
        self.database.status.borrow().clone()
    }

    fn stage(&self) -> Stage {
        match *self.drain.stage().borrow() {
            drain::Stage::Serving => Stage::Up,
            drain::Stage::Draining => Stage::Draining,
            drain::Stage::Drained(_) => Stage::Drained,
        }
    }

    fn drain(&self) -> bool {
        let had_begun = *self.drain.stage().borrow() != drain::Stage::Serving;
        if !had_begun {
            tracing::info!("Asked to drain at a console");
            self.drain.request();
        }
        had_begun
    }

    fn ban(
        &self,
        who: AdminPrincipal,
        user: String,
        out_for: Duration,
        reason: String,
    ) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(self.clinic.ban(who, user, out_for, reason))
    }

    fn keys(&self, who: AdminPrincipal) -> BoxFuture<'_, Result<Vec<ShownKey>, Problem>> {
        Box::pin(async move {
            let mut all = Vec::new();
            for kind in [KeyKind::Admin, KeyKind::Virtual] {
                let keys = self.admin.keys().all(&who, kind, MOST_KEYS).await?;
                all.extend(keys.into_iter().map(shown));
            }
            Ok(all)
        })
    }

    fn revoke_key(&self, who: AdminPrincipal, id: String) -> BoxFuture<'_, Result<ShownKey, Problem>> {
        Box::pin(async move {
            let keys = self.keys(who.clone()).await?;
            let found = keys.into_iter().find(|key| key.id == id && !key.is_revoked);
            let kind = match found.ok_or_else(|| Problem::not_found("key that is not revoked"))?.kind {
                "admin" => KeyKind::Admin,
                _ => KeyKind::Virtual,
            };
            self.admin.keys().revoke(who, kind, id).await.map(shown)
        })
    }
}

fn shown(key: Key) -> ShownKey {
    let (kind, scope) = match &key.scope {
        KeyScope::Admin(scope) => ("admin", Some(word(*scope))),
        KeyScope::Models(_) => ("virtual", None),
    };
    let milliseconds = |Timestamp(ticks): Timestamp| u64::try_from(ticks / TICKS_PER_MS).unwrap_or_default();
    ShownKey {
        user: (kind == "virtual").then(|| admin::user_of(&key.id)),
        id: key.id,
        name: key.name,
        kind,
        scope,
        is_revoked: key.revoked_at.is_some(),
        expires_at: key.expires_at.map(milliseconds),
    }
}

fn word(scope: AdminScope) -> &'static str {
    match scope {
        AdminScope::Read => "read",
        AdminScope::Write => "write",
        AdminScope::Full => "full",
    }
}
