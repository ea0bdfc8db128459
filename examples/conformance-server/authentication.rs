//! Bearer tokens as the reference server accepts them. Not an example of how to keep a key.

use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hubline::Principal;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

const KEY: &[u8] = b"conformance-signing-key-of-32-bytes-or-more";

#[derive(Deserialize)]
struct Claims {
    #[serde(alias = "nameid")]
    sub: Option<String>,
}

/// Adds the principal that the request's token names, if it is a good one.
pub(crate) async fn authenticate(mut request: Request, next: Next) -> Response {
    if let Some(principal) = token(&request).and_then(|token| principal(&token)) {
        request.extensions_mut().insert(principal);
    }
    next.run(request).await
}

/// Refuses requests without a principal.
pub(crate) async fn require(request: Request, next: Next) -> Response {
    if request.extensions().get::<Principal>().is_some() {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))]).into_response()
}

/// The query's token wins over the header's.
fn token(request: &Request) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    let from_query = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("access_token="))
        .filter(|token| !token.is_empty());
    let from_header = || request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ");
    from_query.or_else(from_header).map(str::to_owned)
}

fn principal(token: &str) -> Option<Principal> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = 0;
    validation.validate_nbf = true;
    validation.validate_aud = false;
    let claims =
        jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(KEY), &validation).ok()?.claims;
    Some(Principal { name_identifier: claims.sub.map(Into::into) })
}
