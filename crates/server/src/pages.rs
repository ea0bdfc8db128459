//! The pages to try it, and the official client they use.

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// What a page may do (W3C Content Security Policy Level 3): run files of this server, no text within the page,
/// connect to any instance, as people may name one, and be framed by nobody.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
                      connect-src * ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) const HOME: &str = "/";
pub(crate) const CHAT: &str = "/chat";
pub(crate) const CALL: &str = "/call";

/// A file that is served at a path.
#[derive(Debug, Clone, Copy)]
struct File {
    path: &'static str,
    kind: Kind,
    text: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Page,
    Script,
    Style,
}

const FILES: [File; 12] = [
    File { path: HOME, kind: Kind::Page, text: include_str!("../assets/home.html") },
    File { path: "/home.js", kind: Kind::Script, text: include_str!("../assets/home.js") },
    File { path: "/home.css", kind: Kind::Style, text: include_str!("../assets/home.css") },
    File { path: CHAT, kind: Kind::Page, text: include_str!("../assets/chat.html") },
    File { path: "/chat.js", kind: Kind::Script, text: include_str!("../assets/chat.js") },
    File { path: "/chat.css", kind: Kind::Style, text: include_str!("../assets/chat.css") },
    File { path: CALL, kind: Kind::Page, text: include_str!("../assets/call.html") },
    File { path: "/call.js", kind: Kind::Script, text: include_str!("../assets/call.js") },
    File { path: "/call.css", kind: Kind::Style, text: include_str!("../assets/call.css") },
    File { path: "/session.js", kind: Kind::Script, text: include_str!("../assets/session.js") },
    File { path: "/page.css", kind: Kind::Style, text: include_str!("../assets/page.css") },
    File { path: "/signalr.min.js", kind: Kind::Script, text: include_str!("../assets/signalr.min.js") },
];

/// All of them.
pub(crate) fn routes() -> Router {
    FILES.into_iter().fold(Router::new(), |router, file| {
        router.route(file.path, get(move || async move { file.into_response() }))
    })
}

/// Where they are.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|file| file.path)
}

impl IntoResponse for File {
    fn into_response(self) -> Response {
        let content_type = match self.kind {
            Kind::Page => "text/html; charset=utf-8",
            Kind::Script => "text/javascript; charset=utf-8",
            Kind::Style => "text/css; charset=utf-8",
        };
        let headers: [(HeaderName, &str); 2] =
            [(CONTENT_TYPE, content_type), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
        match self.kind {
            Kind::Page => {
                let policies = [(CONTENT_SECURITY_POLICY, POLICY), (REFERRER_POLICY, "no-referrer")];
                (policies, headers, self.text).into_response()
            }
            Kind::Script | Kind::Style => (headers, self.text).into_response(),
        }
    }
}
