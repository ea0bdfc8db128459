//! `POST /api/admin/drain`.

use axum::extract::State;
use axum::http::StatusCode;
use hubline_store::Store;
use hubline_store::clinic::Party;
use hubline_store::clinic::audit::{self, AuditEntry};
use hubline_store::keys::AdminScope;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Drain, Stage};
use crate::api::{AdminPrincipal, Json, Problem};

#[derive(Debug, Clone)]
struct Api {
    drain: Drain,
    store: Store,
}

/// How far draining is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DrainState {
    state: DrainStage,
    /// Once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Left>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum DrainStage {
    /// New clients are refused, and those that are here are handed over.
    Draining,
    /// That is over. The process serves no clients until it is stopped.
    Drained,
}

/// What was left when time was over.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Left {
    #[schema(minimum = 0)]
    connections: usize,
    #[schema(minimum = 0)]
    calls: usize,
    #[schema(minimum = 0)]
    streams: usize,
    #[schema(minimum = 0)]
    unsent_messages: u64,
}

impl From<Stage> for DrainState {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Serving | Stage::Draining => Self { state: DrainStage::Draining, left: None },
            Stage::Drained(left) => {
                let hubline::Drained { connections, calls, streams, messages, .. } = left;
                let left = Left { connections, calls, streams, unsent_messages: messages };
                Self { state: DrainStage::Drained, left: Some(left) }
            }
        }
    }
}

/// Below `/api/admin`, for who has an admin key.
pub(crate) fn routes(drain: Drain, store: Store) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(begin)).with_state(Api { drain, store })
}

/// Drains this instance
///
/// The instance that answers, so ask it at its own address: it refuses new clients for `Drain:Delay`, then hands those it has over to the
/// others. Asked again, it says how far it is. It is not ready from now on, and the process has to be stopped and started to serve
/// clients again.
#[utoipa::path(post, path = "/api/admin/drain", tag = "instance", responses((status = 202, body = DrainState)))]
async fn begin(
    State(api): State<Api>,
    who: AdminPrincipal,
) -> Result<(StatusCode, Json<DrainState>), Problem> {
    who.require(AdminScope::Full)?;
    let stage = *api.drain.stage().borrow();
    if stage == Stage::Serving {
        tracing::info!(by = who.name, "Asked to drain by the admin API");
        api.drain.request();
        api.audit(who).await;
    }
    Ok((StatusCode::ACCEPTED, Json(stage.into())))
}

impl Api {
    /// An instance has to be drained whether or not its database is there.
    async fn audit(&self, who: AdminPrincipal) {
        let entry = AuditEntry::now(who.party(), "instance.drain", Party::new("instance", ""));
        let written =
            self.store.write(move |db| Box::pin(async move { audit::record(db, &entry).await })).await;
        if let Err(error) = written {
            tracing::warn!(%error, by = who.name, "That this instance was asked to drain is missing in the audit");
        }
    }
}
