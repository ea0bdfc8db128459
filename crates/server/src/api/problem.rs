use std::collections::BTreeMap;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hubline_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

/// Content type of a problem, RFC 9457.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// What a request failed for, as RFC 9457 has it, with the fields at fault as ASP.NET Core's `ValidationProblemDetails` names them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// What kind of problem it is; `about:blank` for one that its status tells enough of.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The reason phrase of the status.
    #[schema(example = "Bad Request")]
    title: &'static str,
    /// The status of the response.
    #[schema(value_type = u16, minimum = 400, maximum = 599)]
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    /// What is wrong, and what would be right.
    detail: String,
    /// What is wrong with each field of the body or parameter of the query, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    errors: BTreeMap<String, Vec<String>>,
    #[serde(skip)]
    retry_after_seconds: Option<u64>,
    #[serde(skip)]
    asks_for_key: bool,
}

impl Problem {
    /// A problem of this status.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: detail.into(),
            errors: BTreeMap::new(),
            retry_after_seconds: None,
            asks_for_key: false,
        }
    }

    /// 400: this field, or parameter, is at fault.
    pub(crate) fn field(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(StatusCode::BAD_REQUEST, format!("{name}: {detail}")).naming(name, detail)
    }

    /// 422: what this field says contradicts something else.
    pub(crate) fn contradiction(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{name}: {detail}")).naming(name, detail)
    }

    /// 404: there is nothing with this id.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no {what} with this id"))
    }

    /// 409.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// Names a field that is at fault.
    #[must_use]
    pub(crate) fn naming(mut self, field: &str, detail: impl Into<String>) -> Self {
        self.errors.entry(field.to_owned()).or_default().push(detail.into());
        self
    }

    /// Tells when to come again.
    #[must_use]
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds.max(1));
        self
    }

    /// 401, which says how a key is brought.
    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self { asks_for_key: true, ..Self::new(StatusCode::UNAUTHORIZED, detail) }
    }

    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong, as the client reads it.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }
}

/// What clients are told of the database is that it cannot be used; why is for the log.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(_) => {
                tracing::error!(%error, "A request to the API failed in the database");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the database refused what was asked; the server's log says why",
                )
            }
            error => {
                tracing::debug!(%error, "A request to the API failed for want of the database");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the database cannot be used now; nothing is known to be changed",
                )
                .retry_after(5)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.asks_for_key {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
