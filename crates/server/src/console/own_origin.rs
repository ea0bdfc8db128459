//! The console's hub is for the pages of its own server.

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Middleware: a page of another origin is refused, whatever `Cors:AllowedOrigins` lists.
pub(super) async fn require(State(()): State<()>, request: Request, next: Next) -> Response {
    match is_own(request.headers()) {
        true => next.run(request).await,
        false => {
            (StatusCode::FORBIDDEN, "The console speaks to pages of its own server alone.\n").into_response()
        }
    }
}

/// Whether no page of another origin sends this. Programs send no origin. A proxy in front may speak another scheme.
fn is_own(headers: &HeaderMap) -> bool {
    let text =
        |name| headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str().unwrap_or_default());
    let Some(origin) = text(ORIGIN) else { return true };
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    host.is_some_and(|named| text(HOST).is_some_and(|host| named.eq_ignore_ascii_case(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_others_stay_out() {
        for (origin, expected) in [
            (None, true),
            (Some("http://localhost:5000"), true),
            (Some("https://LOCALHOST:5000"), true),
            (Some("http://localhost:5001"), false),
            (Some("http://localhost:5000.evil.example"), false),
            (Some("null"), false),
            (Some("\u{80}"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "localhost:5000".parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(is_own(&headers), expected, "{origin:?}");
        }
    }
}
