//! What a request to a hub path wants.

use std::borrow::Cow;

use base64::alphabet;
use base64::engine::general_purpose::GeneralPurposeConfig;
use base64::engine::{Engine, GeneralPurpose};
use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};
use percent_encoding::percent_decode_str;

/// Brings the connection token of a refresh (.NET 11), which leaves no secret in anybody's log.
const CONNECTION_TOKEN: HeaderName = HeaderName::from_static("x-signalr-connection-token");

/// The request's intention, found as ASP.NET Core finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Negotiate,
    Refresh,
    Send,
    ServerSentEvents,
    WebSocket,
    Poll,
    Delete,
    NotAllowed,
    /// A refresh where that is off.
    NotThere,
}

impl RequestKind {
    /// What a request wants of an endpoint where authentication refresh is on, or not.
    pub(crate) fn of(request: &Parts, refresh_enabled: bool) -> Self {
        let post_only = |wanted| if request.method == Method::POST { wanted } else { Self::NotAllowed };
        if ends_with(request.uri.path(), "negotiate") {
            return post_only(Self::Negotiate);
        }
        if ends_with(request.uri.path(), "refresh") {
            return if refresh_enabled { post_only(Self::Refresh) } else { Self::NotThere };
        }
        match request.method {
            Method::POST => Self::Send,
            Method::DELETE => Self::Delete,
            Method::GET if has_item(&request.headers, header::ACCEPT, "text/event-stream") => {
                Self::ServerSentEvents
            }
            Method::GET if is_web_socket(&request.headers) => Self::WebSocket,
            Method::GET => Self::Poll,
            _ => Self::NotAllowed,
        }
    }
}

impl RequestKind {
    /// Whether this may be about a connection that has its transport.
    pub(crate) fn may_go_on(self, request: &Parts) -> bool {
        match self {
            Self::Send | Self::Poll | Self::Delete => true,
            Self::WebSocket => token_of(request).is_some(),
            Self::Negotiate | Self::Refresh | Self::ServerSentEvents | Self::NotAllowed | Self::NotThere => {
                false
            }
        }
    }
}

fn ends_with(path: &str, segment: &str) -> bool {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    percent_decode_str(last).decode_utf8_lossy().eq_ignore_ascii_case(segment)
}

fn is_web_socket(headers: &HeaderMap) -> bool {
    has_item(headers, header::CONNECTION, "upgrade")
        && has_item(headers, header::UPGRADE, "websocket")
        && has_item(headers, header::SEC_WEBSOCKET_VERSION, "13")
        && only_value(headers, header::SEC_WEBSOCKET_KEY).is_some_and(is_key)
}

/// Clients exist that leave bits in the last character of a key which stand for nothing.
const KEY: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// A key is 16 bytes in base64 (RFC 6455, section 4.1).
fn is_key(value: &HeaderValue) -> bool {
    KEY.decode(value.as_bytes()).is_ok_and(|key| key.len() == 16)
}

/// The value of a header that is there once.
fn only_value(headers: &HeaderMap, name: header::HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The entries of a comma-separated header, in one line or several.
pub(crate) fn items(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Whether a comma-separated header has this entry, without parameters, in any letter case.
fn has_item(headers: &HeaderMap, name: header::HeaderName, item: &str) -> bool {
    items(headers, name).any(|entry| entry.eq_ignore_ascii_case(item))
}

/// The values of a query parameter; its name counts in any letter case.
pub(crate) fn query_values<'a>(query: &'a str, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes())
        .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The token in the query parameter `id`; an empty one counts as absent. Several are joined by commas, as ASP.NET Core
/// reads them, which makes nobody's token.
pub(crate) fn token_of(request: &Parts) -> Option<String> {
    let ids = query_values(request.uri.query().unwrap_or_default(), "id");
    let token = ids.collect::<Vec<_>>().join(",");
    (!token.is_empty()).then_some(token)
}

/// The token in the header of a refresh; an empty one counts as absent.
pub(crate) fn refresh_token_of(request: &Parts) -> Option<String> {
    let values = request.headers.get_all(CONNECTION_TOKEN).iter().map(HeaderValue::as_bytes);
    let token = values.map(String::from_utf8_lossy).collect::<Vec<_>>().join(",");
    let token = token.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

/// Whether a query parameter is there once and says `true`, as .NET reads booleans.
pub(crate) fn is_true(query: &str, name: &str) -> bool {
    let mut values = query_values(query, name);
    values.next().is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) && values.next().is_none()
}

/// The query as an application may see it: the secrets that transports carry in it are left out.
pub(crate) fn public_query(query: &str) -> Box<str> {
    let secret = |key: &str| key.eq_ignore_ascii_case("id") || key.eq_ignore_ascii_case("access_token");
    let public = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| !secret(key));
    form_urlencoded::Serializer::new(String::new()).extend_pairs(public).finish().into()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn wanted(method: &str, path: &str, headers: &[(&str, &str)]) -> RequestKind {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        RequestKind::of(&request.body(()).unwrap().into_parts().0, false)
    }

    #[test]
    fn requests_are_told_apart_as_the_real_server_does() {
        let key = |key| ("sec-websocket-key", key);
        let upgrade = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            key("dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let with = |version| [&upgrade[..], &[("sec-websocket-version", version)]].concat();
        assert_eq!(wanted("POST", "/hub/negotiate", &[]), RequestKind::Negotiate);
        assert_eq!(wanted("POST", "/hub/Negotiate/", &[]), RequestKind::Negotiate);
        assert_eq!(wanted("POST", "/hub/negoti%61te", &[]), RequestKind::Negotiate);
        assert_eq!(wanted("GET", "/hub/negotiate", &[]), RequestKind::NotAllowed);
        assert_eq!(wanted("GET", "/hub", &with("13")), RequestKind::WebSocket);
        for several in ["13, 8", "8,13", ",13"] {
            assert_eq!(wanted("GET", "/hub", &with(several)), RequestKind::WebSocket, "{several}");
        }
        for other in ["12", "013", "13;x", "8, 1 3", ""] {
            assert_eq!(wanted("GET", "/hub", &with(other)), RequestKind::Poll, "{other}");
        }
        let two_lines = [&with("8")[..], &[("sec-websocket-version", "13")]].concat();
        assert_eq!(wanted("GET", "/hub", &two_lines), RequestKind::WebSocket);
        let two_keys = [&with("13")[..], &upgrade[2..]].concat();
        assert_eq!(wanted("GET", "/hub", &two_keys), RequestKind::Poll);
        let loose_key =
            [&upgrade[..2], &[("sec-websocket-version", "13"), key("dGhlIHNhbXBsZSBub25jZR==")]].concat();
        assert_eq!(wanted("GET", "/hub", &loose_key), RequestKind::WebSocket);
        let short_key = [&upgrade[..2], &[("sec-websocket-version", "13"), key("dGhl")]].concat();
        assert_eq!(wanted("GET", "/hub", &short_key), RequestKind::Poll);
        assert_eq!(
            wanted("GET", "/hub", &[("accept", "text/html, TEXT/event-stream")]),
            RequestKind::ServerSentEvents
        );
        assert_eq!(wanted("GET", "/hub", &[("accept", "text/event-stream;q=0.9")]), RequestKind::Poll);
        assert_eq!(wanted("PUT", "/hub", &[]), RequestKind::NotAllowed);
    }

    #[test]
    fn the_token_stays_out_of_what_applications_see() {
        assert_eq!(&*public_query("id=secret&name=a%20b&Access_Token=t"), "name=a+b");
        assert_eq!(query_values("ID=x", "id").next().as_deref(), Some("x"));
    }

    #[test]
    fn two_ids_are_no_token() {
        let token = |uri: &str| token_of(&Request::get(uri).body(()).unwrap().into_parts().0);
        assert_eq!(token("/?id=a%2Bb").as_deref(), Some("a+b"));
        assert_eq!(token("/?id=a&x=1&ID=a").as_deref(), Some("a,a"));
        assert_eq!((token("/?id="), token("/")), (None, None));
    }

    #[test]
    fn a_refresh_brings_its_token_in_one_header() {
        let token = |values: &[&str]| {
            let mut request = Request::builder();
            for value in values {
                request = request.header("X-SignalR-Connection-Token", *value);
            }
            refresh_token_of(&request.body(()).unwrap().into_parts().0)
        };
        assert_eq!(token(&[" abc "]).as_deref(), Some("abc"));
        assert_eq!(token(&["a", "a"]).as_deref(), Some("a,a"), "which is nobody's");
        for none in [&[][..], &[""], &["  "]] {
            assert_eq!(token(none), None, "{none:?}");
        }
    }

    #[test]
    fn booleans_are_words() {
        for (query, expected) in
            [("a=true", true), ("A=%20TRUE", true), ("a=1", false), ("a=true&a=true", false), ("", false)]
        {
            assert_eq!(is_true(query, "a"), expected, "{query}");
        }
    }
}
