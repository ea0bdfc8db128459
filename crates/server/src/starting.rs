//! What is served before everything is there that the instance serves: that it lives, and that nobody is to come yet. Migrations may take
//! minutes, and whoever watches over processes would end one that does not answer.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower::{ServiceExt, service_fn};

use crate::api::Problem;
use crate::app::Door;
use crate::observe::{Readiness, health};
use crate::paths::{HEALTH, HEALTH_LIVE, HEALTH_READY};

/// When a client may try again, in seconds.
const RETRY_AFTER: u64 = 2;

/// Says that nobody is served yet, until something takes its place.
#[derive(Debug, Clone)]
pub(crate) struct Starting {
    not_yet: Router,
    served: Arc<OnceLock<Router>>,
}

impl Starting {
    pub(crate) fn new(readiness: &Readiness, door: &Door) -> Self {
        Self { not_yet: door.hosts(routes(readiness, door)), served: Arc::default() }
    }

    /// What is served all the time: this, and then the other, to those who are connected already too.
    pub(crate) fn app(&self) -> Router {
        let this = self.clone();
        Router::new().fallback_service(service_fn(move |request: Request| {
            this.served.get().unwrap_or(&this.not_yet).clone().oneshot(request)
        }))
    }

    /// Everything is there: serves this from now on.
    pub(crate) fn end(&self, served: Router) {
        // Only the first one takes the place.
        _ = self.served.set(served);
    }
}

fn routes(readiness: &Readiness, door: &Door) -> Router {
    let routes = Router::new()
        .route(HEALTH, get(health::ready).with_state(readiness.clone()))
        .merge(health::probes(readiness))
        .fallback_service(not_yet.with_state(readiness.clone()));
    hubline::ignore_case(door.origins(routes), [HEALTH, HEALTH_LIVE, HEALTH_READY])
}

async fn not_yet(State(readiness): State<Readiness>) -> Response {
    let why = readiness.reason().map_or_else(|| "it has just started".to_owned(), |why| why.to_string());
    let detail = format!("this instance does not serve yet: {why}");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(RETRY_AFTER).into_response()
}
