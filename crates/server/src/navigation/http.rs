//! The state and its trigger over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hubline::Principal;
use hubline_store::clinic::Party;
use hubline_store::clinic::audit::{self, AuditEntry};
use hubline_store::keys::AdminScope;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Navigation;
use super::scope::Scope;
use super::shared::NoState;
use super::view::{NavigationState, NavigationStateSchema, UnixSeconds};
use crate::api::{AdminPrincipal, Problem};

/// Where the state is.
pub(crate) const STATE: &str = "/api/navigation-state";
/// Where anybody may have it sent, outside Production.
pub(crate) const TEST_TRIGGER: &str = "/api/test/trigger-navigation-update";

/// What a trigger has done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Triggered {
    /// The version that is sent, or an earlier one than that.
    version: i64,
    /// The timestamp of the state that is sent: Unix seconds with fraction.
    #[schema(value_type = f64)]
    timestamp: UnixSeconds,
    /// How many instances send it to their clients.
    #[schema(minimum = 1)]
    instances: u64,
}

impl Navigation {
    /// `GET /api/navigation-state`, for whoever may use the hub.
    pub fn state_routes(&self) -> OpenApiRouter {
        OpenApiRouter::new().routes(routes!(state)).with_state(self.clone())
    }

    /// `POST /api/test/trigger-navigation-update`, for anybody.
    pub fn test_routes(&self) -> OpenApiRouter {
        OpenApiRouter::new().routes(routes!(test_trigger)).with_state(self.clone())
    }

    /// What the admin API has of it: `POST /api/admin/trigger-navigation-update`.
    pub fn admin_routes(&self) -> OpenApiRouter {
        OpenApiRouter::new().routes(routes!(admin_trigger)).with_state(self.clone())
    }

    /// What cannot be audited is not done.
    async fn triggered(&self, who: Party) -> Result<Json<Triggered>, Problem> {
        let version = self.current(&Scope::default()).await?.version();
        let entry = AuditEntry::now(who, "navigation.trigger", Party::new("navigation-state", ""));
        let entry = entry.details(format!("version {version}"));
        let store = self.shared.store.store();
        store.write(move |db| Box::pin(async move { audit::record(db, &entry).await })).await?;
        // Behind the database, whose time is none of what clients measure.
        let timestamp = UnixSeconds::now();
        match self.trigger_at(timestamp).await {
            Ok(instances) => Ok(Json(Triggered { version, timestamp, instances })),
            Err(error) => {
                tracing::debug!(%error, "The navigation state is sent to the clients of this instance alone");
                let detail = "the state is sent to the clients of this instance; the other instances cannot be told, since Redis \
                              cannot be reached or does not take it";
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(5))
            }
        }
    }

    async fn current(&self, scope: &Scope) -> Result<NavigationState, NoState> {
        self.shared.refresh().await?;
        self.shared.state(scope)
    }
}

impl From<NoState> for Problem {
    fn from(error: NoState) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).retry_after(5)
    }
}

/// Shows the navigation state
///
/// Its version is the `ETag`. Whoever comes with a key that has a model scope sees its models alone.
#[utoipa::path(
    get,
    path = "/api/navigation-state",
    tag = "navigation state",
    params(("If-None-Match" = Option<String>, Header, description = "The ETag of the state that is known already")),
    responses(
        (status = 200, body = NavigationStateSchema, headers(("ETag" = String, description = "The version"))),
        (status = 304, description = "The state is the one that is known"),
    ),
)]
async fn state(
    State(navigation): State<Navigation>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Response, Problem> {
    let principal = extensions.get::<Arc<Principal>>();
    let scope = Scope::of(principal.map(|principal| &**principal));
    let state = navigation.current(&scope).await?;
    let tag = match scope.digest() {
        Some(digest) => format!("\"{}-{digest}\"", state.version()),
        None => format!("\"{}\"", state.version()),
    };
    // The timestamp is another one each time, so the tag is a weak one.
    let weak = HeaderValue::from_str(&format!("W/{tag}")).unwrap_or(HeaderValue::from_static("W/\"\""));
    let described = [
        (header::ETAG, weak),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
        (header::VARY, HeaderValue::from_static("Authorization")),
    ];
    Ok(match is_known(&headers, &tag) {
        true => (StatusCode::NOT_MODIFIED, described).into_response(),
        false => (described, Json(state)).into_response(),
    })
}

/// Sends the navigation state, for tests
///
/// As the trigger of the admin API, without a key; the audit calls whoever does it `test:`. Not in Production.
#[utoipa::path(
    post,
    path = "/api/test/trigger-navigation-update",
    tag = "navigation state",
    responses((status = 200, body = Triggered)),
)]
async fn test_trigger(State(navigation): State<Navigation>) -> Result<Json<Triggered>, Problem> {
    navigation.triggered(Party::new("test", "")).await
}

/// Sends the navigation state
///
/// Every instance sends `NavigationStateChanged` to its clients, whether the state has changed or not. A body is not read.
#[utoipa::path(
    post,
    path = "/api/admin/trigger-navigation-update",
    tag = "navigation state",
    responses((status = 200, body = Triggered)),
)]
async fn admin_trigger(
    State(navigation): State<Navigation>,
    who: AdminPrincipal,
) -> Result<Json<Triggered>, Problem> {
    who.require(AdminScope::Write)?;
    navigation.triggered(who.party()).await
}

/// Whether one of the tags of `If-None-Match` is this one, weak or not.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly() {
        let known = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            is_known(&headers, "\"7\"")
        };
        for value in ["\"7\"", "W/\"7\"", "*", "\"6\", W/\"7\""] {
            assert!(known(value), "{value}");
        }
        for value in ["\"77\"", "7", "", "\"6\""] {
            assert!(!known(value), "{value}");
        }
        assert!(!is_known(&HeaderMap::new(), "\"7\""));
    }
}
