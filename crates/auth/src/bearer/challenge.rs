//! `WWW-Authenticate`, as ASP.NET Core's `JwtBearerHandler` writes it.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Response, StatusCode};

use crate::TokenError;

/// Adds `WWW-Authenticate` to a 401 that has none.
pub(super) fn add<B>(response: &mut Response<B>, error: Option<&TokenError>, include_details: bool) {
    if response.status() == StatusCode::UNAUTHORIZED && !response.headers().contains_key(WWW_AUTHENTICATE) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge(error.filter(|_| include_details)));
    }
}

fn challenge(error: Option<&TokenError>) -> HeaderValue {
    let Some(error) = error else {
        return HeaderValue::from_static("Bearer");
    };
    let invalid = HeaderValue::from_static("Bearer error=\"invalid_token\"");
    match error.description() {
        Some(description) => {
            let text = format!("Bearer error=\"invalid_token\", error_description=\"{description}\"");
            HeaderValue::try_from(text).unwrap_or(invalid)
        }
        None => invalid,
    }
}
