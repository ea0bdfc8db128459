//! `POST /dev/token`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hubline_auth::{AllowedOrigins, Origin};

use super::DevelopmentSignIn;
use super::token::Wanted;

/// More than any user and roles that are taken.
pub(crate) const LIMIT_BODY_BYTES: usize = 8 * 1024;

/// Issues a token for the user of the body, `{"user": "ada", "roles": ["Doctor"], "name": "Ada Lovelace"}`, of which only
/// `user` is needed: `{"token": "...", "expiresIn": 43200}`.
pub(crate) async fn issue(
    State(sign_in): State<DevelopmentSignIn>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if is_of_a_stranger(&headers, &sign_in.allowed_origins) {
        let why = "Pages of other sites get no tokens. Cors:AllowedOrigins names those that may.\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.trim_start().to_ascii_lowercase().starts_with("application/json") {
        let why = "The body has to be JSON, Content-Type: application/json.\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, why).into_response();
    }
    let wanted = match Wanted::parse(&body) {
        Ok(wanted) => wanted,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    match sign_in.keys.signing() {
        Some(key) => ([(CACHE_CONTROL, "no-store")], Json(wanted.issue(&key))).into_response(),
        None => {
            let why =
                "The instances have not agreed on a key yet: Redis has not been reached, or refuses it.\n";
            (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
        }
    }
}

/// Whether a page of another site asks. In Development pages of any origin may connect, and a page somewhere on the
/// internet that a developer happens to look at must not sign in at his machine. Origins that are listed may.
fn is_of_a_stranger(headers: &HeaderMap, allowed: &AllowedOrigins) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(ORIGIN.as_str()) else { return false };
    if !matches!(allowed, AllowedOrigins::Any) && allowed.contains(origin) {
        return false;
    }
    // W3C Fetch Metadata. Browsers send it to addresses they trust, such as those of this machine.
    match text("sec-fetch-site") {
        Some(site) => site == "cross-site",
        None => {
            let host = text(HOST.as_str()).unwrap_or_default();
            let own: Option<Origin> = format!("http://{host}").parse().ok();
            let theirs: Option<Origin> = origin.parse().ok();
            let [own, theirs] = [&own, &theirs].map(|origin| origin.as_ref().and_then(Origin::host));
            own.is_none() || own != theirs
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_are_strangers_unless_they_are_listed() {
        let stranger = |headers: &[(&'static str, &'static str)], allowed: &AllowedOrigins| {
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            is_of_a_stranger(&headers.collect(), allowed)
        };
        let evil = ("origin", "https://evil.example.org");
        let host = ("host", "localhost:5000");
        let listed = AllowedOrigins::List(vec!["https://evil.example.org".parse().unwrap()]);
        for (headers, expected) in [
            (&[host][..], false),
            (&[host, ("origin", "http://localhost:5001")], false),
            (&[host, evil], true),
            (&[host, ("origin", "null")], true),
            (&[host, ("origin", "http://localhost:5000"), ("sec-fetch-site", "same-origin")], false),
            (&[host, ("origin", "http://localhost:3000"), ("sec-fetch-site", "same-site")], false),
            (&[host, evil, ("sec-fetch-site", "cross-site")], true),
        ] {
            assert_eq!(stranger(headers, &AllowedOrigins::Any), expected, "{headers:?}");
        }
        assert!(!stranger(&[host, evil, ("sec-fetch-site", "cross-site")], &listed));
    }
}
