//! `GET /health`.

use axum::Json;
use axum::extract::State;
use hubline::{Server, Statistics, Status};
use serde::Serialize;
use tokio::sync::watch;

use crate::config::Config;

/// What the report is made from.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    server: Server,
    environment: String,
    backplane: watch::Receiver<Status>,
}

impl Health {
    pub(crate) fn new(server: &Server, config: &Config) -> Self {
        Self {
            server: server.clone(),
            environment: config.environment.to_string(),
            backplane: server.backplane_status(),
        }
    }
}

/// How the instance is. Degraded still serves its own clients, so the status code stays 200 and load
/// balancers keep it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    status: &'static str,
    environment: String,
    connections: usize,
    backplane: BackplaneReport,
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

pub(crate) async fn report(State(health): State<Health>) -> Json<Report> {
    let (kind, connected, reason) = match health.backplane.borrow().clone() {
        Status::Alone => ("in-process", true, None),
        Status::Connected => ("redis", true, None),
        Status::Disconnected(reason) => ("redis", false, Some(reason)),
    };
    let messages = (kind == "redis").then(|| health.server.backplane_statistics().into());
    Json(Report {
        status: if connected { "Healthy" } else { "Degraded" },
        environment: health.environment,
        connections: health.server.connection_count(),
        backplane: BackplaneReport { kind, connected, reason, messages },
    })
}
