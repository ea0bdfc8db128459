//! `POST {path}/refresh`: a connection goes on with a newer principal (.NET 11).
//!
//! Source: ASP.NET Core 11 answered so; the recorded cases `refresh`.

use std::time::{Duration, SystemTime};

use http::request::Parts;
use http::{Response, StatusCode};
use hubline_protocol::negotiate;

use super::{Admitted, Shared};
use crate::Body;
use crate::refusal::Refusal;
use crate::relay::{Operation, Relay, RelayOutcome, RemoteConnection, Reply};
use crate::request::refresh_token_of;
use crate::requester::Purpose;
use crate::response::{json, refused};

/// How long another instance may take: its application has 10 s.
const REFRESH_PATIENCE: Duration = Duration::from_secs(12);

impl Shared {
    pub(super) async fn refresh(&self, parts: &Parts) -> Response<Body> {
        let error = |status, code| json(status, negotiate::refresh_error_json(code));
        let Some(token) = refresh_token_of(parts) else {
            return error(StatusCode::BAD_REQUEST, "missing_connection_token");
        };
        let refreshed = match self.admit(parts, Purpose::Refresh, &token).await {
            Ok(Admitted::Here(_)) => Ok(()),
            Ok(Admitted::Remote(relay, remote)) => match Box::pin(refresh_remotely(relay, &remote)).await {
                Some(refreshed) => refreshed,
                None => return error(StatusCode::SERVICE_UNAVAILABLE, "connection_unreachable"),
            },
            Err(refusal) => Err(refusal),
        };
        match refreshed {
            Ok(()) => json(StatusCode::OK, negotiate::refreshed_json(self.token_lifetime_seconds(parts))),
            Err(refusal) => refused(refusal, Purpose::Refresh),
        }
    }

    /// How long the authentication of this request lasts, if clients may refresh it. Rounded down.
    pub(super) fn token_lifetime_seconds(&self, parts: &Parts) -> Option<i32> {
        self.refresh_rules.as_ref()?;
        let left = self.authentication_end(parts)?.duration_since(SystemTime::now()).ok()?;
        Some(i32::try_from(left.as_secs()).unwrap_or(i32::MAX))
    }
}

/// `None`: the instance with the connection cannot be asked, or has not said what became of it.
async fn refresh_remotely(relay: &Relay, remote: &RemoteConnection) -> Option<Result<(), Refusal>> {
    match relay.request(remote, Operation::Refresh, Some(REFRESH_PATIENCE)).await.0 {
        RelayOutcome::Replied(Reply::Refreshed) => Some(Ok(())),
        RelayOutcome::Refused(refusal) => Some(Err(refusal)),
        RelayOutcome::Unknown => Some(Err(Refusal::Unknown)),
        RelayOutcome::Replied(_) | RelayOutcome::HandedOver(_) | RelayOutcome::Unreachable => None,
    }
}
