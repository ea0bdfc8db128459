//! The token of a request to a hub, where SignalR's clients put it: the query's `access_token`, else the header.

use axum::extract::Request;
use axum::http::Uri;
use axum::http::header::AUTHORIZATION;

/// The query parameter of SignalR's clients.
const QUERY_PARAMETER: &str = "access_token";

/// The token of a request, from its query before its header.
pub(crate) fn presented(request: &Request) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    let in_query = form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name.eq_ignore_ascii_case(QUERY_PARAMETER))
        .map(|(_, token)| token.into_owned());
    let in_header = || {
        let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = header.split_at_checked("Bearer ".len())?;
        scheme.eq_ignore_ascii_case("Bearer ").then(|| token.trim().to_owned())
    };
    in_query.filter(|token| !token.is_empty()).or_else(in_header)
}

/// Takes the token out of a request whose sender is known, so that nobody else tries to make sense of it.
pub(crate) fn take(request: &mut Request) {
    request.headers_mut().remove(AUTHORIZATION);
    *request.uri_mut() = without_token(request.uri());
}

fn without_token(uri: &Uri) -> Uri {
    let Some(query) = uri.query() else { return uri.clone() };
    let is_other = |pair: &&str| {
        let name = form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name.into_owned());
        name.is_none_or(|name| !name.eq_ignore_ascii_case(QUERY_PARAMETER))
    };
    let rest = query.split('&').filter(is_other).collect::<Vec<_>>().join("&");
    let path_and_query =
        if rest.is_empty() { uri.path().to_owned() } else { [uri.path(), "?", &rest].concat() };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path_and_query.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_query_stays() {
        for (uri, expected) in [
            ("/chathub?id=a&access_token=b", "/chathub?id=a"),
            ("/chathub?ACCESS%5Ftoken=b&id=%26", "/chathub?id=%26"),
            ("/chathub?access_token=b", "/chathub"),
            ("/chathub", "/chathub"),
            ("http://h/c?access_token=b&x", "http://h/c?x"),
        ] {
            assert_eq!(without_token(&uri.parse().unwrap()).to_string(), expected);
        }
    }
}
