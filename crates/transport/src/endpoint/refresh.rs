//! `POST {path}/refresh`: a connection goes on with a newer principal.
//!
//! Source: ASP.NET Core 11's `EnableAuthenticationRefresh`; its wire is not recorded.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::request::Parts;
use http::{Response, StatusCode};
use hubline_pipe::{Accepted, Access};
use hubline_protocol::negotiate;

use super::{Shared, principal};
use crate::Body;
use crate::connections::{Attachment, Known};
use crate::refresh::{Refresh, RefreshError, refreshed};
use crate::relay::{Answer, Reached, Wish};
use crate::request::token_of;
use crate::response::json;

/// How long another instance may take.
const REFRESH_PATIENCE: Duration = Duration::from_secs(10);

/// Status and code.
type Refusal = (StatusCode, &'static str);

const NOT_FOUND: Refusal = (StatusCode::NOT_FOUND, "connection_not_found");

impl Shared {
    pub(super) async fn refresh(&self, parts: &Parts) -> Response<Body> {
        let (status, body) = match self.try_refresh(parts).await {
            Ok(lifetime) => (StatusCode::OK, negotiate::refreshed_json(lifetime)),
            Err((status, code)) => (status, negotiate::refresh_error_json(code)),
        };
        json(status, body)
    }

    /// Seconds until the new authentication ends, or the status and code of a refusal.
    async fn try_refresh(&self, parts: &Parts) -> Result<Option<i32>, Refusal> {
        let token = token_of(parts).ok_or((StatusCode::BAD_REQUEST, "missing_connection_token"))?;
        let refresh = self.connections.refresh(&token);
        let elsewhere = match (&refresh, self.connections.find(&token)) {
            (Some(_), _) => None,
            (None, Some(Known::Attached(_))) => return Err(refusal(RefreshError::Disabled)),
            (None, Some(Known::Negotiated)) => return Err(NOT_FOUND),
            (None, None) => Some(self.elsewhere(&token).await.ok_or(NOT_FOUND)?),
        };
        let newer = principal(parts).ok_or((StatusCode::UNAUTHORIZED, "invalid_token"))?;
        if self.access(parts) != Access::Granted {
            return Err((StatusCode::FORBIDDEN, "permission_change_rejected"));
        }
        if let Some(refresh) = refresh {
            refresh.renew(Arc::clone(newer), self.expires(parts)).map_err(refusal)?;
        } else if let Some((relay, elsewhere)) = elsewhere {
            let wish = Wish::Refresh { principal: (&**newer).into(), expires_ms: self.expires_ms(parts) };
            match Box::pin(relay.request(&elsewhere, wish, Some(REFRESH_PATIENCE))).await.0 {
                Reached::Answered(Answer::Refreshed(renewed)) => renewed.map_err(refusal)?,
                Reached::Unknown => return Err(NOT_FOUND),
                _ => return Err((StatusCode::SERVICE_UNAVAILABLE, "connection_unreachable")),
            }
        }
        Ok(self.token_lifetime_seconds(parts))
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

fn refusal(error: RefreshError) -> Refusal {
    match error {
        RefreshError::Disabled => (StatusCode::NOT_FOUND, "refresh_disabled"),
        RefreshError::UnsupportedVersion => (StatusCode::BAD_REQUEST, "unsupported_negotiate_version"),
        RefreshError::UserChanged => (StatusCode::FORBIDDEN, "permission_change_rejected"),
    }
}
