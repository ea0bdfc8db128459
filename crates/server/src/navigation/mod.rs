//! Navigation state: what every client of every instance is to know.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hubline::{Clients, Hub, HubContext, SendError};
use serde::Serialize;

/// What the hub is called on Redis unless configured otherwise.
pub(crate) const NAME: &str = "NavigationStateHub";

/// The hub `/hubs/navigation-state`.
///
/// From clients: `RequestCurrentState()`, which returns the state and sends it too. To clients:
/// `NavigationStateChanged(state)`.
pub(crate) fn hub() -> Hub {
    Hub::new(NAME).method("RequestCurrentState", request_current_state)
}

/// The state as clients get it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NavigationState {
    /// When it was made: Unix seconds with fraction, so that a receiver can subtract it from its clock.
    timestamp: f64,
}

impl NavigationState {
    fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { timestamp: since_epoch.as_secs_f64() }
    }
}

async fn request_current_state(clients: Clients) -> Result<NavigationState, SendError> {
    let state = NavigationState::now();
    clients.caller().send("NavigationStateChanged", (&state,)).await?;
    Ok(state)
}

/// `POST /api/test/trigger-navigation-update`: sends the state to every client of every instance.
pub(crate) async fn trigger(
    State(hub): State<HubContext>,
) -> Result<Json<NavigationState>, (StatusCode, String)> {
    let state = NavigationState::now();
    match hub.clients().all().send("NavigationStateChanged", (&state,)).await {
        Ok(()) => Ok(Json(state)),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}
