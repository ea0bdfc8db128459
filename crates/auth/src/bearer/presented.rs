//! Reads the token of a request.

use http::header::AUTHORIZATION;
use http::{HeaderMap, Uri};

/// The query parameter of SignalR's clients, and of RFC 6750, section 2.3.
const QUERY_PARAMETER: &str = "access_token";

/// The token of a request: from its query if that is enabled and has one, else from its header.
pub(super) fn token(uri: &Uri, headers: &HeaderMap, from_query: bool) -> Option<String> {
    let in_query = if from_query { of_query(uri.query().unwrap_or_default()) } else { None };
    in_query.or_else(|| of_header(headers))
}

/// Reads a query as ASP.NET Core does: names are case-insensitive, and several values are joined with commas, which is
/// no token.
fn of_query(query: &str) -> Option<String> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let values = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(QUERY_PARAMETER));
    let values: Vec<_> = values.map(|(_, value)| value).collect();
    Some(values.join(",")).filter(|token| !token.is_empty())
}

/// Reads the header as ASP.NET Core does: a case-insensitive scheme, then a space. Several headers are joined with commas.
fn of_header(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(AUTHORIZATION).iter().map(|value| value.to_str().ok());
    let header = values.collect::<Option<Vec<_>>>()?.join(",");
    let (scheme, token) = header.split_at_checked("Bearer ".len())?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("Bearer ") && !token.is_empty()).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::request::Parts;

    use super::*;

    fn of(uri: &str, headers: &[&str]) -> Option<String> {
        let request = headers
            .iter()
            .fold(Request::builder().uri(uri), |request, header| request.header(AUTHORIZATION, *header));
        let (Parts { uri, headers, .. }, ()) = request.body(()).unwrap().into_parts();
        token(&uri, &headers, true)
    }

    /// Each as the real server took it.
    #[test]
    fn tokens_are_found_where_aspnet_core_finds_them() {
        let cases: [(&str, &[&str], Option<&str>); 17] = [
            ("/", &[], None),
            ("/", &["Bearer a"], Some("a")),
            ("/", &["bEARER a"], Some("a")),
            ("/", &["Bearer    a  "], Some("a")),
            ("/", &["Bearer "], None),
            ("/", &["Bearer"], None),
            ("/", &["Bearer\ta"], None),
            ("/", &["Basic a"], None),
            ("/", &["Basic a", "Bearer b"], None),
            ("/", &["Bearer a", "Basic b"], Some("a,Basic b")),
            ("/?access_token=q", &[], Some("q")),
            ("/?id=1&ACCESS_TOKEN=q", &["Bearer a"], Some("q")),
            ("/?access_token=q%2Er", &[], Some("q.r")),
            ("/?access_token=%20q", &[], Some(" q")),
            ("/?access_token=", &["Bearer a"], Some("a")),
            ("/?access_token=q&access_token=r", &["Bearer a"], Some("q,r")),
            ("/?id=1&access_tokens=q", &["Bearer a"], Some("a")),
        ];
        for (uri, headers, expected) in cases {
            assert_eq!(of(uri, headers).as_deref(), expected, "{uri} {headers:?}");
        }
    }

    #[test]
    fn the_query_is_left_alone_unless_it_is_asked_for() {
        let uri = "/?access_token=q".parse().unwrap();
        assert_eq!(token(&uri, &HeaderMap::new(), false), None);
    }
}
