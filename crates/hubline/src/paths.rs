//! Paths as ASP.NET Core matches them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;
use tower::ServiceExt;

/// Matches these paths of an application as ASP.NET Core does: in any letter case, with or without a slash at the end, and with
/// characters percent-encoded. axum distinguishes all of these.
///
/// `paths` are the paths as they are routed; [`Server::paths`](crate::Server::paths) returns those of hubs. `/negotiate` and
/// `/refresh` below them are included. All other paths are matched by axum's rule.
///
/// ```
/// # use axum::Router;
/// # use axum::routing::get;
/// # use hubline::{Hub, Server};
/// let server = Server::new();
/// let chat = server.add_hub(Hub::new("Chat"));
/// let app = Router::new().route("/health", get(|| async { "Healthy" })).merge(chat.map("/chatHub"));
/// let app = hubline::ignore_case(app, server.paths());
/// // With a path of the application's own:
/// let app = hubline::ignore_case(app, ["/health"]);
/// ```
pub fn ignore_case(app: Router, paths: impl IntoIterator<Item: AsRef<str>>) -> Router {
    let known: HashMap<String, String> = paths
        .into_iter()
        .flat_map(|path| {
            let path = path.as_ref().trim_end_matches('/').to_owned();
            ["", "/negotiate", "/refresh"].map(|end| format!("{path}{end}"))
        })
        .map(|path| (folded(&path), path))
        .collect();
    let known = Arc::new(known);
    let rewritten = app.map_request(move |mut request: Request| {
        if let Some(uri) = as_routed(request.uri(), &known) {
            *request.uri_mut() = uri;
        }
        request
    });
    Router::new().fallback_service(rewritten)
}

/// The path in lower case, as .NET's `OrdinalIgnoreCase` compares: no letter outside of ASCII becomes one of ASCII. So the Kelvin
/// sign is no `k`, and a rule of a proxy for both cases of each letter holds.
fn folded(path: &str) -> String {
    let fold = |letter: char| {
        let mut lower = letter.to_lowercase();
        match (lower.next(), lower.next()) {
            (Some(lower), None) if letter.is_ascii() == lower.is_ascii() => lower,
            _ => letter,
        }
    };
    path.chars().map(fold).collect()
}

/// The URI with the path as it is routed; `None` if that is how it is spelled, or if it is none of these paths.
fn as_routed(uri: &Uri, known: &HashMap<String, String>) -> Option<Uri> {
    let spelled = uri.path();
    // An encoded slash is part of a name, not between two.
    if spelled.to_ascii_lowercase().contains("%2f") {
        return None;
    }
    let decoded = percent_decode_str(spelled).decode_utf8_lossy();
    let path = known.get(&folded(decoded.strip_suffix('/').unwrap_or(&decoded)))?;
    if path == spelled || path.is_empty() {
        return None;
    }
    let mut routed = path.clone();
    if let Some(query) = uri.query() {
        routed.push('?');
        routed.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(routed).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::routing::get;

    use super::*;

    async fn status(app: &Router, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn given_paths_match_in_any_case_and_others_as_axum_has_them() {
        let app = Router::new()
            .route("/", get(|| async {}))
            .route("/chatHub", get(|| async {}))
            .route("/chatHub/negotiate", get(|| async {}))
            .route("/Küche", get(|| async {}))
            .route("/Other", get(|| async {}));
        let app = ignore_case(app, ["/chatHub", "/Küche"]);
        for path in [
            "/",
            "/chatHub",
            "/CHATHUB?id=Aa",
            "/chathub/",
            "/chathub/Negotiate/",
            "/Other",
            "/%63hatHub",
            "/ch%41thub/negoti%61te",
            "/k%C3%9Cche",
        ] {
            assert_eq!(status(&app, path).await, StatusCode::OK, "{path}");
        }
        for path in [
            "/other",
            "/chathub/nowhere",
            "/chathub2",
            "/chathub%32",
            "/chathub%2Fnegotiate",
            "/chathub%2f",
            "/%2Fchathub",
            "/%2563hathub",
            "/chathub//",
            "//chathub",
            "/x/../chathub",
            "/%E2%84%AA%C3%BCche",
        ] {
            assert_eq!(status(&app, path).await, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
