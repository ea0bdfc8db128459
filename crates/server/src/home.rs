//! The page at `/`, and the official client it uses.

use axum::http::HeaderName;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::IntoResponse;

/// What the page may do (W3C Content Security Policy Level 3): run files of this server, no text within the page,
/// connect to any instance, as people may name one, and be framed by nobody.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
                      connect-src * ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

pub(crate) async fn page() -> impl IntoResponse {
    let policies = [(CONTENT_SECURITY_POLICY, POLICY), (REFERRER_POLICY, "no-referrer")];
    (policies, file("text/html; charset=utf-8", include_str!("../assets/home.html")))
}

pub(crate) async fn script() -> impl IntoResponse {
    file(JAVASCRIPT, include_str!("../assets/home.js"))
}

pub(crate) async fn style() -> impl IntoResponse {
    file("text/css; charset=utf-8", include_str!("../assets/home.css"))
}

pub(crate) async fn client() -> impl IntoResponse {
    file(JAVASCRIPT, include_str!("../assets/signalr.min.js"))
}

type File = ([(HeaderName, &'static str); 2], &'static str);

fn file(content_type: &'static str, text: &'static str) -> File {
    ([(CONTENT_TYPE, content_type), (X_CONTENT_TYPE_OPTIONS, "nosniff")], text)
}
