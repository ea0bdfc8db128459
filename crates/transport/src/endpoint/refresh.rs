//! `POST {path}/refresh`: a connection goes on with a newer principal.
//!
//! Source: ASP.NET Core 11's `EnableAuthenticationRefresh`; its wire is not recorded.

use std::sync::Arc;
use std::time::SystemTime;

use http::request::Parts;
use http::{Response, StatusCode};
use hubline_pipe::{Accepted, Access};
use hubline_protocol::negotiate;

use super::{Shared, principal};
use crate::Body;
use crate::connections::{Attachment, Known};
use crate::refresh::{Refresh, RefreshError, refreshed};
use crate::request::token_of;
use crate::response::json;

impl Shared {
    pub(super) fn refresh(&self, parts: &Parts) -> Response<Body> {
        let (status, body) = match self.try_refresh(parts) {
            Ok(lifetime) => (StatusCode::OK, negotiate::refreshed_json(lifetime)),
            Err((status, code)) => (status, negotiate::refresh_error_json(code)),
        };
        json(status, body)
    }

    /// Seconds until the new authentication ends, or the status and code of a refusal.
    fn try_refresh(&self, parts: &Parts) -> Result<Option<i32>, (StatusCode, &'static str)> {
        let token = token_of(parts).ok_or((StatusCode::BAD_REQUEST, "missing_connection_token"))?;
        let Some(refresh) = self.connections.refresh(&token) else {
            return Err(match self.connections.find(&token) {
                Some(Known::Attached(_)) => (StatusCode::NOT_FOUND, "refresh_disabled"),
                Some(Known::Negotiated) | None => (StatusCode::NOT_FOUND, "connection_not_found"),
            });
        };
        let newer = principal(parts).ok_or((StatusCode::UNAUTHORIZED, "invalid_token"))?;
        if self.access(parts) != Access::Granted {
            return Err((StatusCode::FORBIDDEN, "permission_change_rejected"));
        }
        match refresh.renew(Arc::clone(newer), self.expires(parts)) {
            Ok(()) => Ok(self.token_lifetime_seconds(parts)),
            Err(RefreshError::UnsupportedVersion) => {
                Err((StatusCode::BAD_REQUEST, "unsupported_negotiate_version"))
            }
            Err(RefreshError::UserChanged) => Err((StatusCode::FORBIDDEN, "permission_change_rejected")),
        }
    }

    /// How long the authentication of this request lasts, if clients shall refresh it.
    pub(super) fn token_lifetime_seconds(&self, parts: &Parts) -> Option<i32> {
        if !self.options.enable_authentication_refresh {
            return None;
        }
        let left = principal(parts)?.expires?.duration_since(SystemTime::now()).unwrap_or_default();
        Some(i32::try_from(left.as_secs()).unwrap_or(i32::MAX))
    }

    /// Makes a connection that has just attached refreshable, if that is on.
    pub(super) fn make_refreshable(&self, accepted: Accepted, place: &Attachment) -> Accepted {
        if !self.options.enable_authentication_refresh {
            return accepted;
        }
        let token_is_secret = !place.is_public(&accepted.info.id);
        let refresh = Arc::new(Refresh::new(accepted.info.principal.as_deref(), token_is_secret));
        place.refresh_by(Arc::clone(&refresh));
        refreshed(accepted, refresh)
    }
}
