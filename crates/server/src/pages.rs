//! The pages to try it, and the official client they use.

use axum::Router;
use axum::body::Bytes;
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

/// What all pages share.
const LAYOUT: &str = include_str!("../assets/layout.html");
/// Who has signed in, in the head of a page.
const ME: &str = include_str!("../assets/me.html");
const SIGN_IN: &str = include_str!("../assets/sign-in.html");

/// A page: what it does not share with the others. Its script and its style have its name.
#[derive(Debug, Clone, Copy)]
struct Page {
    path: &'static str,
    name: &'static str,
    title: &'static str,
    /// What one signs in for, and a hint, on a page that one signs in to.
    sign_in: Option<[&'static str; 2]>,
    main: &'static str,
}

const PAGES: [Page; 3] = [
    Page {
        path: HOME,
        name: "home",
        title: "Hubline",
        sign_in: None,
        main: include_str!("../assets/home.html"),
    },
    Page {
        path: CHAT,
        name: "chat",
        title: "Chat – Hubline",
        sign_in: Some(["Sign in to the chat", "Each tab may be somebody else."]),
        main: include_str!("../assets/chat.html"),
    },
    Page {
        path: CALL,
        name: "call",
        title: "Calls – Hubline",
        sign_in: Some([
            "Sign in to call somebody",
            "Open a second tab as somebody else, on another instance if you like.",
        ]),
        main: include_str!("../assets/call.html"),
    },
];

impl Page {
    fn html(&self) -> String {
        let Self { path, name, title, sign_in, main } = *self;
        let link = format!("<a href=\"{path}\"");
        let layout = LAYOUT.replace(&link, &format!("{link} aria-current=\"page\""));
        let (me, sign_in) = match sign_in {
            Some([purpose, hint]) => (ME, SIGN_IN.replace("{purpose}", purpose).replace("{hint}", hint)),
            None => ("", String::new()),
        };
        let layout = layout.replace("{me}", me).replace("{sign_in}", &sign_in);
        layout.replace("{title}", title).replace("{name}", name).replace("{main}", main)
    }
}

/// A file that is served at a path.
#[derive(Debug, Clone)]
struct File {
    kind: Kind,
    text: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Page,
    Script,
    Style,
}

const FILES: [(&str, Kind, &str); 9] = [
    ("/home.js", Kind::Script, include_str!("../assets/home.js")),
    ("/home.css", Kind::Style, include_str!("../assets/home.css")),
    ("/chat.js", Kind::Script, include_str!("../assets/chat.js")),
    ("/chat.css", Kind::Style, include_str!("../assets/chat.css")),
    ("/call.js", Kind::Script, include_str!("../assets/call.js")),
    ("/call.css", Kind::Style, include_str!("../assets/call.css")),
    ("/session.js", Kind::Script, include_str!("../assets/session.js")),
    ("/page.css", Kind::Style, include_str!("../assets/page.css")),
    ("/signalr.min.js", Kind::Script, include_str!("../assets/signalr.min.js")),
];

/// All of them.
pub(crate) fn routes() -> Router {
    let pages = PAGES.map(|page| (page.path, File { kind: Kind::Page, text: page.html().into() }));
    let files =
        FILES.map(|(path, kind, text)| (path, File { kind, text: Bytes::from_static(text.as_bytes()) }));
    pages.into_iter().chain(files).fold(Router::new(), |router, (path, file)| {
        router.route(path, get(move || async move { file.clone() }))
    })
}

/// Where they are.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|page| page.path).chain(FILES.iter().map(|(path, ..)| *path))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_layout_is_left_open_and_each_page_names_itself() {
        for page in PAGES {
            let html = page.html();
            assert!(!html.contains('{') && !html.contains('}'), "{html}");
            assert_eq!(html.matches("aria-current=\"page\"").count(), 1, "{html}");
            assert!(html.contains(&format!("<script type=\"module\" src=\"/{}.js\">", page.name)));
            assert_eq!(html.contains("id=\"sign-in\""), page.sign_in.is_some());
        }
    }
}
