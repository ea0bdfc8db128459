//! Requests to hubs that are refused in front of them, for the timelines of the console.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::Extensions;
use hubline::{LifecycleObserver, RefusedRequest, UserId};

use crate::paths;

/// Who is told of them, if anybody is. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals(Option<Arc<dyn LifecycleObserver>>);

impl Refusals {
    pub(crate) fn new(observer: Option<Arc<dyn LifecycleObserver>>) -> Self {
        Self(observer)
    }

    /// Tells of a request, unless it was for something else than a hub of users. `extensions` are the request's.
    pub(crate) fn tell(
        &self,
        path: &str,
        extensions: &Extensions,
        reason: &'static str,
        user: Option<&UserId>,
    ) {
        let Some(observer) = &self.0 else { return };
        let Some(hub) = paths::hub_at(path) else { return };
        let client = extensions.get::<ConnectInfo<SocketAddr>>();
        let address = client.map(|client| client.0.ip().to_canonical());
        observer.refused(&RefusedRequest::new(hub, reason).user(user).address(address));
    }
}
