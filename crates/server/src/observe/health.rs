//! `GET /health`, `/health/live` and `/health/ready`.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hubline::{Server, Statistics, Status};
use hubline_redis::RedisClient;
use serde::Serialize;
use tokio::sync::watch;

use crate::config::{Config, HostEnvironment};
use crate::management::{ManagementKey, Presented};
use crate::observe::{Database, Readiness};
use crate::paths::{HEALTH_LIVE, HEALTH_READY};

/// What the report is made from.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    server: Server,
    environment: HostEnvironment,
    management_key: Option<ManagementKey>,
    backplane: watch::Receiver<Status>,
    directory: watch::Receiver<Status>,
    key_agreement: watch::Receiver<Status>,
    database: Database,
    redis: Option<RedisClient>,
    readiness: Readiness,
}

impl Health {
    /// `readiness` waits for Redis and the database from now on.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(
        server: &Server,
        config: &Config,
        redis: Option<RedisClient>,
        database: Database,
        readiness: Readiness,
    ) -> Self {
        let (redis_status, named_by) = (server.backplane_status(), config.redis.named_by.clone());
        readiness.need("Redis (ConnectionStrings:RedisSignalR)", Some(named_by), redis_status);
        readiness.need("the database (ConnectionStrings:Database)", None, database.status.clone());
        Self {
            server: server.clone(),
            environment: config.server.environment.clone(),
            management_key: config.management.key.clone(),
            backplane: server.backplane_status(),
            directory: server.directory_status(),
            key_agreement: server.key_agreement_status(),
            database,
            redis,
            readiness,
        }
    }
}

/// What SQLite means beside Redis.
pub(crate) const ONE_HISTORY_PER_MACHINE: &str = "the database is SQLite, which is this machine's alone: instances on other machines \
    keep histories, mappings and keys of their own. Set ConnectionStrings:Database to PostgreSQL for all of them";

/// How the instance is. Degraded still serves its own clients, so the status code stays 200 and load
/// balancers keep it. Unhealthy, with 503, is who serves nobody: because it drains, or has not started yet.
///
/// Everybody sees what has no `Option`: words, neither hosts nor numbers nor errors.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<usize>,
    backplane: BackplaneReport,
    /// With Redis only, and so is the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<PartReport>,
    /// Absent where token keys are configured.
    #[serde(rename = "tokenKeys", skip_serializing_if = "Option::is_none")]
    token_keys: Option<PartReport>,
    database: DatabaseReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

#[derive(Debug, Serialize)]
struct DatabaseReport {
    kind: &'static str,
    connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A part of the server that needs Redis.
#[derive(Debug, Serialize)]
struct PartReport {
    connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl PartReport {
    fn of(status: &watch::Receiver<Status>) -> Option<Self> {
        match &*status.borrow() {
            Status::Alone => None,
            Status::Connected => Some(Self { connected: true, reason: None }),
            Status::Disconnected(reason) => Some(Self { connected: false, reason: Some(reason.clone()) }),
        }
    }

    fn brief(self) -> Self {
        Self { reason: None, ..self }
    }
}

#[derive(Debug, Serialize)]
struct BackplaneReport {
    kind: &'static str,
    connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<MessagesReport>,
}

const HEALTHY: &str = "Healthy";
const UNHEALTHY: &str = "Unhealthy";

impl IntoResponse for Report {
    fn into_response(self) -> Response {
        let code = if self.status == UNHEALTHY { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        (code, Json(self)).into_response()
    }
}

/// What became of messages for other instances since the start; see [`Statistics`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MessagesReport {
    published: u64,
    queued: u64,
    replayed: u64,
    expired: u64,
    overflowed: u64,
    unknown: u64,
    refused: u64,
    waiting: u64,
    waiting_bytes: u64,
    reconnects: u64,
    garbage: u64,
}

impl From<Statistics> for MessagesReport {
    fn from(statistics: Statistics) -> Self {
        Self {
            published: statistics.published,
            queued: statistics.queued,
            replayed: statistics.replayed,
            expired: statistics.expired,
            overflowed: statistics.overflowed,
            unknown: statistics.unknown,
            refused: statistics.refused,
            waiting: statistics.waiting,
            waiting_bytes: statistics.waiting_bytes,
            reconnects: statistics.reconnects,
            garbage: statistics.garbage,
        }
    }
}

impl Health {
    fn brief(&self) -> Report {
        let Report { status, backplane, directory, token_keys, database, .. } = self.whole();
        let BackplaneReport { kind, connected, .. } = backplane;
        let backplane = BackplaneReport { kind, connected, reason: None, messages: None };
        Report {
            status,
            environment: None,
            connections: None,
            backplane,
            directory: directory.map(PartReport::brief),
            token_keys: token_keys.map(PartReport::brief),
            database: DatabaseReport { reason: None, ..database },
            warning: None,
        }
    }

    fn whole(&self) -> Report {
        let (kind, connected, reason) = match self.backplane.borrow().clone() {
            Status::Alone => ("in-process", true, None),
            Status::Connected => ("redis", true, None),
            Status::Disconnected(reason) => ("redis", false, Some(reason)),
        };
        let (directory, token_keys) = (PartReport::of(&self.directory), PartReport::of(&self.key_agreement));
        let parts = [&directory, &token_keys];
        let database = match PartReport::of(&self.database.status) {
            Some(PartReport { connected: false, reason }) => (false, reason),
            _ => (true, None),
        };
        let is_healthy = connected && database.0 && parts.into_iter().flatten().all(|part| part.connected);
        let messages = (kind == "redis").then(|| self.server.backplane_statistics().into());
        Report {
            status: match (self.readiness.unhealthy(), is_healthy) {
                (Some(_), _) => UNHEALTHY,
                (None, true) => HEALTHY,
                (None, false) => "Degraded",
            },
            environment: Some(self.environment.to_string()),
            connections: Some(self.server.connection_count()),
            backplane: BackplaneReport { kind, connected, reason, messages },
            directory,
            token_keys,
            database: DatabaseReport { kind: self.database.kind, connected: database.0, reason: database.1 },
            warning: self.redis.as_ref().and_then(|redis| warning(redis, self.database.kind)),
        }
    }
}

/// What is not as it was meant: a setting that Redis does not allow, a database that is not the fleet's.
fn warning(redis: &RedisClient, database: &str) -> Option<String> {
    let asked = redis.options().default_database;
    let not_used = (redis.database() != asked).then(|| {
        format!("defaultDatabase={asked} is not used, keys are in database 0: a Redis Cluster has no other")
    });
    let apart = (database == "sqlite").then(|| ONE_HISTORY_PER_MACHINE.to_owned());
    let warnings: Vec<String> = not_used.into_iter().chain(apart).collect();
    (!warnings.is_empty()).then(|| warnings.join("; "))
}

/// For everybody; all of it in Development, and for who has the management key.
pub(crate) async fn report(State(health): State<Health>, headers: HeaderMap) -> Response {
    let presented = match &health.management_key {
        _ if health.environment.is_development() => Presented::Right,
        Some(key) => key.presented(&headers),
        None => Presented::Nothing,
    };
    match (presented, &health.management_key) {
        (Presented::Right, _) => health.whole().into_response(),
        (Presented::Wrong, Some(key)) => key.refusal(),
        _ => health.brief().into_response(),
    }
}

/// All of it, where only operators come.
pub(crate) async fn whole_report(State(health): State<Health>) -> Response {
    health.whole().into_response()
}

/// What probes of Kubernetes and load balancers ask for, alike for everybody.
pub(crate) fn probes(readiness: &Readiness) -> Router {
    Router::new().route(HEALTH_LIVE, get(live)).route(HEALTH_READY, get(ready).with_state(readiness.clone()))
}

/// Whether the process answers at all: restart it if it does not.
async fn live() -> Response {
    answer(StatusCode::OK, HEALTHY, None)
}

/// Whether new clients may be sent here. Words alone, so everybody may ask.
pub(crate) async fn ready(State(readiness): State<Readiness>) -> Response {
    match readiness.reason() {
        Some(reason) => answer(StatusCode::SERVICE_UNAVAILABLE, UNHEALTHY, Some(reason.to_string())),
        None => answer(StatusCode::OK, HEALTHY, None),
    }
}

fn answer(code: StatusCode, status: &'static str, reason: Option<String>) -> Response {
    #[derive(Serialize)]
    struct Answer {
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
    (code, Json(Answer { status, reason })).into_response()
}
