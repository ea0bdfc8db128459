//! The callback for refreshed authentications.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_identity::Principal;
use hubline_protocol::ConnectionId;

use crate::request::query_values;

/// Error of a callback that could not decide about a principal.
pub type RefreshError = Box<dyn std::error::Error + Send + Sync>;

/// A principal that is to replace that of a connection (ASP.NET Core's `HttpAuthenticationRefreshContext`).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuthenticationRefresh {
    /// Id of the connection.
    pub connection_id: ConnectionId,
    /// The principal in force; `None` for an anonymous user. At the first refresh before the connection has a transport this
    /// is the newer principal too, since a negotiation leaves none on the server; the user is the same.
    pub previous: Option<Arc<Principal>>,
    /// The newer principal, of the same user; `None` for an anonymous user.
    pub principal: Option<Arc<Principal>>,
    /// When the new authentication ends, at the latest after the endpoint's maximum; `None` if it never does.
    pub expires: Option<SystemTime>,
    /// Query of the request that brings the new principal, without the question mark and without the token parameters
    /// `id` and `access_token`.
    pub query: Box<str>,
}

impl AuthenticationRefresh {
    /// The first value of a query parameter, decoded.
    pub fn query_value(&self, name: &str) -> Option<String> {
        query_values(&self.query, name).next().map(Cow::into_owned)
    }
}

type Callback = dyn Fn(AuthenticationRefresh) -> BoxFuture<'static, Result<bool, RefreshError>> + Send + Sync;

/// The application's answer, without its types.
#[derive(Clone)]
pub(crate) struct RefreshCallback(Arc<Callback>);

impl RefreshCallback {
    pub(crate) fn new<F, Fut, E>(callback: F) -> Self
    where
        F: Fn(AuthenticationRefresh) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<bool, E>> + Send + 'static,
        E: Into<RefreshError>,
    {
        Self(Arc::new(move |refresh| callback(refresh).map(|answer| answer.map_err(Into::into)).boxed()))
    }

    pub(crate) async fn call(&self, refresh: AuthenticationRefresh) -> Result<bool, RefreshError> {
        (self.0)(refresh).await
    }
}

impl fmt::Debug for RefreshCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshCallback(..)")
    }
}
