//! The page at `/`, and the official client it uses.

use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse};

pub(crate) async fn page() -> Html<&'static str> {
    Html(include_str!("../assets/home.html"))
}

pub(crate) async fn client() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("../assets/signalr.min.js"))
}
