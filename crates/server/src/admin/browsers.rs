//! Pages in browsers, while the API is open to everybody who reaches it: a page of any site could use it through the browser of
//! somebody who may.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName};

use super::AdminConfig;

/// Where a browser says a request comes from, also where it names no origin.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request is not answered without a key, as far as the page is concerned that it may come from; `None` if it is. It is, if it comes
/// from no page, as with `curl`, from one that this server has served, or from one of an origin that is listed.
pub(super) fn refusal(config: &AdminConfig, headers: &HeaderMap) -> Option<&'static str> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(HOST).unwrap_or_default();
    let is_own_page = match text(ORIGIN) {
        None => text(SEC_FETCH_SITE).is_none_or(|site| site == "none" || site == "same-origin"),
        Some(origin) => config.origins.contains(origin) || is_at(origin, host),
    };
    if !is_own_page {
        return Some(
            "without an admin key, pages of other origins may not use this API; Cors:AllowedOrigins lists those that may",
        );
    }
    match config.hosts_are_filtered || is_no_site(host) {
        true => None,
        false => Some(
            "without an admin key, this API is served under localhost, an address, or a host that AllowedHosts lists; \
             any other name might be a site's that made it lead here",
        ),
    }
}

fn is_at(origin: &str, host: &str) -> bool {
    let host_of_origin = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    host_of_origin.is_some_and(|named| named.eq_ignore_ascii_case(host))
}

/// Whether no site can have this host as its own: the name of a site may be made to lead to this machine (DNS rebinding), and then its
/// pages look like the server's own.
fn is_no_site(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.to_ascii_lowercase();
    name.ends_with(".localhost") || !name.contains('.') || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use hubline_auth::AllowedOrigins;

    use super::*;

    fn is_open(hosts_are_filtered: bool, pairs: &[(&'static str, &str)]) -> bool {
        let origins = ["null", "https://ops.example.org"].map(|origin| origin.parse().unwrap());
        let origins = AllowedOrigins::List(origins.to_vec());
        let config = AdminConfig { origins, hosts_are_filtered, ..AdminConfig::default() };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        refusal(&config, &headers).is_none()
    }

    #[test]
    fn pages_of_other_sites_stay_out_whatever_name_leads_them_here() {
        for (open, pairs) in [
            (true, &[][..]),
            (true, &[("host", "api-1:5000")]),
            (true, &[("host", "10.0.0.7:5000")]),
            (true, &[("origin", "null"), ("host", "localhost:5000")]),
            (true, &[("origin", "https://ops.example.org"), ("host", "localhost:5000")]),
            (true, &[("origin", "http://localhost:5000"), ("host", "localhost:5000")]),
            (true, &[("origin", "http://[::1]:5000"), ("host", "[::1]:5000")]),
            (true, &[("sec-fetch-site", "none"), ("host", "localhost:5000")]),
            (false, &[("origin", "http://localhost:3000"), ("host", "localhost:5000")]),
            (false, &[("origin", "https://evil.example"), ("host", "localhost:5000")]),
            (false, &[("origin", "http://evil.example:5000"), ("host", "evil.example:5000")]),
            (false, &[("host", "evil.example:5000")]),
            (false, &[("origin", "http://127.0.0.1.evil.example"), ("host", "127.0.0.1.evil.example")]),
            (false, &[("origin", "file://"), ("host", "localhost:5000")]),
            (false, &[("origin", "\u{80}"), ("host", "localhost:5000")]),
            (false, &[("sec-fetch-site", "cross-site"), ("host", "localhost:5000")]),
        ] {
            assert_eq!(is_open(false, pairs), open, "{pairs:?}");
        }
        assert!(is_open(true, &[("host", "dev.example.org")]), "somebody else has looked at the host");
    }
}
