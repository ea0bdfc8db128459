//! What a request to a hub path wants.

use std::borrow::Cow;

use http::{HeaderMap, Method, Request, header};

/// The request's intention, found as ASP.NET Core finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Negotiate,
    Send,
    ServerSentEvents,
    WebSocket,
    Poll,
    Delete,
    NotAllowed,
}

impl Wanted {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let method = request.method();
        if is_negotiate(request.uri().path()) {
            return if method == Method::POST { Self::Negotiate } else { Self::NotAllowed };
        }
        match *method {
            Method::POST => Self::Send,
            Method::DELETE => Self::Delete,
            Method::GET if has_item(request.headers(), header::ACCEPT, "text/event-stream") => {
                Self::ServerSentEvents
            }
            Method::GET if is_web_socket(request.headers()) => Self::WebSocket,
            Method::GET => Self::Poll,
            _ => Self::NotAllowed,
        }
    }
}

fn is_negotiate(path: &str) -> bool {
    let last = path.trim_end_matches('/').rsplit('/').next();
    last.is_some_and(|segment| segment.eq_ignore_ascii_case("negotiate"))
}

fn is_web_socket(headers: &HeaderMap) -> bool {
    has_item(headers, header::CONNECTION, "upgrade")
        && has_item(headers, header::UPGRADE, "websocket")
        && headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13")
        && headers.contains_key(header::SEC_WEBSOCKET_KEY)
}

/// Whether a comma-separated header has this entry, without parameters, in any letter case.
fn has_item(headers: &HeaderMap, name: header::HeaderName, item: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|entry| entry.trim().eq_ignore_ascii_case(item))
}

/// The values of a query parameter; its name counts in any letter case.
pub(crate) fn query_values<'a>(query: &'a str, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes())
        .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The query as an application may see it: the secrets that transports carry in it are left out.
pub(crate) fn public_query(query: &str) -> Box<str> {
    let secret = |key: &str| key.eq_ignore_ascii_case("id") || key.eq_ignore_ascii_case("access_token");
    let public = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| !secret(key));
    form_urlencoded::Serializer::new(String::new()).extend_pairs(public).finish().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(method: &str, path: &str, headers: &[(&str, &str)]) -> Wanted {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Wanted::of(&request.body(()).unwrap())
    }

    #[test]
    fn requests_are_told_apart_as_the_real_server_does() {
        let upgrade =
            [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket"), ("sec-websocket-key", "x")];
        let with = |version| [&upgrade[..], &[("sec-websocket-version", version)]].concat();
        assert_eq!(wanted("POST", "/hub/negotiate", &[]), Wanted::Negotiate);
        assert_eq!(wanted("POST", "/hub/Negotiate/", &[]), Wanted::Negotiate);
        assert_eq!(wanted("GET", "/hub/negotiate", &[]), Wanted::NotAllowed);
        assert_eq!(wanted("GET", "/hub", &with("13")), Wanted::WebSocket);
        assert_eq!(wanted("GET", "/hub", &with("12")), Wanted::Poll);
        assert_eq!(
            wanted("GET", "/hub", &[("accept", "text/html, TEXT/event-stream")]),
            Wanted::ServerSentEvents
        );
        assert_eq!(wanted("GET", "/hub", &[("accept", "text/event-stream;q=0.9")]), Wanted::Poll);
        assert_eq!(wanted("PUT", "/hub", &[]), Wanted::NotAllowed);
    }

    #[test]
    fn the_token_stays_out_of_what_applications_see() {
        assert_eq!(&*public_query("id=secret&name=a%20b&Access_Token=t"), "name=a+b");
        assert_eq!(query_values("ID=x", "id").next().as_deref(), Some("x"));
    }
}
