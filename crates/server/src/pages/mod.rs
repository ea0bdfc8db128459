//! The pages to try it, and the official client they use.

mod front_door;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderName;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub(crate) use front_door::{Access, FrontDoor, Offer};

/// What a page may do (W3C Content Security Policy Level 3) besides connecting: run files of this server and no text within the page, and
/// be framed by nobody.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; connect-src";

pub(crate) const HOME: &str = "/";
pub(crate) const CHAT: &str = "/chat";
pub(crate) const CALL: &str = "/call";
pub(crate) const CONSOLE: &str = "/console";
pub(crate) const TEST: &str = "/console/test";

/// What all pages share.
const LAYOUT: &str = include_str!("../../assets/layout.html");
/// Who has signed in, in the head of a page.
const ME: &str = include_str!("../../assets/me.html");
const SIGN_IN: &str = include_str!("../../assets/sign-in.html");

/// A page: what it does not share with the others. Its script and its style have its name.
#[derive(Debug, Clone, Copy)]
struct Page {
    path: &'static str,
    name: &'static str,
    title: &'static str,
    reach: Reach,
    /// What one signs in for, and a hint, on a page that one signs in to.
    sign_in: Option<[&'static str; 2]>,
    main: &'static str,
}

/// What a page may connect to.
#[derive(Debug, Clone, Copy)]
enum Reach {
    /// The instance it came from.
    Own,
    /// In Development any instance of the same machine too, as people try several there.
    Machine,
    /// Any instance that somebody names.
    Anywhere,
}

impl Reach {
    fn sources(self, is_development: bool) -> &'static str {
        match self {
            Self::Machine if is_development => {
                "'self' http://localhost:* ws://localhost:* https://localhost:* wss://localhost:* \
                 http://127.0.0.1:* ws://127.0.0.1:* https://127.0.0.1:* wss://127.0.0.1:*"
            }
            Self::Own | Self::Machine => "'self'",
            Self::Anywhere => "* ws: wss:",
        }
    }
}

const PAGES: [Page; 5] = [
    Page {
        path: HOME,
        name: "home",
        title: "Hubline",
        reach: Reach::Own,
        sign_in: None,
        main: include_str!("../../assets/home.html"),
    },
    Page {
        path: CHAT,
        name: "chat",
        title: "Chat – Hubline",
        reach: Reach::Machine,
        sign_in: Some(["Sign in to the chat", "Each tab may be somebody else."]),
        main: include_str!("../../assets/chat.html"),
    },
    Page {
        path: CALL,
        name: "call",
        title: "Calls – Hubline",
        reach: Reach::Machine,
        sign_in: Some([
            "Sign in to call somebody",
            "Open a second tab as somebody else, on another instance if you like.",
        ]),
        main: include_str!("../../assets/call.html"),
    },
    Page {
        path: CONSOLE,
        name: "console",
        title: "Console – Hubline",
        reach: Reach::Own,
        sign_in: None,
        main: include_str!("../../assets/console.html"),
    },
    Page {
        path: TEST,
        name: "test",
        title: "Test of several instances – Hubline",
        reach: Reach::Anywhere,
        sign_in: None,
        main: include_str!("../../assets/test.html"),
    },
];

impl Page {
    fn html(&self) -> String {
        let Self { path, name, title, sign_in, main, .. } = *self;
        let (me, sign_in) = match sign_in {
            Some([purpose, hint]) => (ME, SIGN_IN.replace("{purpose}", purpose).replace("{hint}", hint)),
            None => ("", String::new()),
        };
        let layout =
            LAYOUT.replace("{me}", me).replace("{sign_in}", &sign_in).replace("{links}", &links(path));
        layout.replace("{title}", title).replace("{name}", name).replace("{main}", main)
    }
}

/// Whether there is a page at this path.
pub(crate) fn is_page(path: &str) -> bool {
    PAGES.iter().any(|page| page.path == path)
}

/// What leads from each page to the others.
fn links(current: &str) -> String {
    let all = [(HOME, "Start"), (CHAT, "Chat"), (CALL, "Calls"), (CONSOLE, "Console"), (TEST, "Test")];
    all.into_iter()
        .filter(|(path, _)| is_page(path))
        .map(|(path, name)| {
            let mark = if path == current { " aria-current=\"page\"" } else { "" };
            format!("<a href=\"{path}\"{mark}>{name}</a>")
        })
        .collect()
}

/// A file that is served at a path.
#[derive(Debug, Clone)]
struct File {
    kind: Kind,
    text: Bytes,
    /// Of a page.
    policy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Page,
    Script,
    Style,
}

const FILES: [(&str, Kind, &str); 25] = [
    ("/home.js", Kind::Script, include_str!("../../assets/home.js")),
    ("/home.css", Kind::Style, include_str!("../../assets/home.css")),
    ("/chat.js", Kind::Script, include_str!("../../assets/chat.js")),
    ("/chat.css", Kind::Style, include_str!("../../assets/chat.css")),
    ("/call.js", Kind::Script, include_str!("../../assets/call.js")),
    ("/call.css", Kind::Style, include_str!("../../assets/call.css")),
    ("/console.js", Kind::Script, include_str!("../../assets/console.js")),
    ("/console-act.js", Kind::Script, include_str!("../../assets/console-act.js")),
    ("/console-charts.js", Kind::Script, include_str!("../../assets/console-charts.js")),
    ("/console-find.js", Kind::Script, include_str!("../../assets/console-find.js")),
    ("/console-fleet.js", Kind::Script, include_str!("../../assets/console-fleet.js")),
    ("/console-hour.js", Kind::Script, include_str!("../../assets/console-hour.js")),
    ("/console-link.js", Kind::Script, include_str!("../../assets/console-link.js")),
    ("/console-parts.js", Kind::Script, include_str!("../../assets/console-parts.js")),
    ("/console.css", Kind::Style, include_str!("../../assets/console.css")),
    ("/uplot.iife.min.js", Kind::Script, include_str!("../../assets/uPlot.iife.min.js")),
    ("/uplot.min.css", Kind::Style, include_str!("../../assets/uPlot.min.css")),
    ("/test.js", Kind::Script, include_str!("../../assets/test.js")),
    ("/test-instance.js", Kind::Script, include_str!("../../assets/test-instance.js")),
    ("/test-counts.js", Kind::Script, include_str!("../../assets/test-counts.js")),
    ("/test.css", Kind::Style, include_str!("../../assets/test.css")),
    ("/session.js", Kind::Script, include_str!("../../assets/session.js")),
    ("/page.css", Kind::Style, include_str!("../../assets/page.css")),
    ("/signalr.min.js", Kind::Script, include_str!("../../assets/signalr.min.js")),
    (
        "/signalr-protocol-msgpack.min.js",
        Kind::Script,
        include_str!("../../assets/signalr-protocol-msgpack.min.js"),
    ),
];

/// All of them. The first page says `front`, or `with_key` while `has_key`. `guard` stands before the test page, which is not for
/// everybody's server.
pub(crate) fn routes<F>(
    front: &FrontDoor,
    with_key: &FrontDoor,
    has_key: impl Fn() -> F + Clone + Send + Sync + 'static,
    guard: impl Fn(Router) -> Router,
) -> Router
where
    F: Future<Output = bool> + Send,
{
    let file = |page: Page, html: String| {
        let policy = format!("{POLICY} {}", page.reach.sources(front.is_development));
        File { kind: Kind::Page, text: html.into(), policy: Some(policy) }
    };
    let [home, others @ ..] = PAGES;
    let homes = [front, with_key].map(|front| file(home, front.fill(&home.html())));
    let home = get(move || async move {
        let [without, with] = homes;
        if has_key().await { with } else { without }
    });
    let pages = others.map(|page| (page.path, file(page, page.html())));
    let files = FILES.map(|(path, kind, text)| {
        (path, File { kind, text: Bytes::from_static(text.as_bytes()), policy: None })
    });
    pages.into_iter().chain(files).fold(Router::new().route(HOME, home), |router, (path, file)| {
        let route = Router::new().route(path, get(move || async move { file.clone() }));
        router.merge(if path == TEST { guard(route) } else { route })
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
        match self.policy {
            Some(policy) => {
                ([(CONTENT_SECURITY_POLICY, policy)], [(REFERRER_POLICY, "no-referrer")], headers, self.text)
                    .into_response()
            }
            None => (headers, self.text).into_response(),
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
            let html = if page.path == HOME { FrontDoor::default().fill(&html) } else { html };
            // The front door shows a program, which has braces.
            let html = html.replace("import { HubConnectionBuilder }", "");
            assert!(!html.contains('{') && !html.contains('}'), "{html}");
            assert_eq!(html.matches("aria-current=\"page\"").count(), 1, "{html}");
            assert!(html.contains(&format!("<script type=\"module\" src=\"/{}.js\">", page.name)));
            assert_eq!(html.contains("id=\"sign-in\""), page.sign_in.is_some());
        }
    }

    #[test]
    fn the_test_page_alone_connects_to_anything() {
        for page in PAGES {
            for is_development in [true, false] {
                let sources = page.reach.sources(is_development);
                assert_eq!(
                    sources.split(' ').any(|source| source == "*"),
                    page.path == TEST,
                    "{}",
                    page.path
                );
                assert_eq!(
                    sources.contains("localhost"),
                    is_development && [CHAT, CALL].contains(&page.path)
                );
            }
        }
    }
}
