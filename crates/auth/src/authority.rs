//! The authority of a request: a host and optionally a port, as in a `Host` header.

use std::borrow::Cow;

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Request};

/// Splits a host that is not empty, an IPv6 address in brackets, from its port; `None` if there is anything else.
pub(crate) fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let authority: Authority = text.parse().ok()?;
    let (host, rest) = text.split_at_checked(authority.host().len())?;
    if host.is_empty() || host != authority.host() {
        return None;
    }
    match rest.strip_prefix(':') {
        None => rest.is_empty().then_some((host, None)),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((host, Some(port.parse().ok()?)))
        }
        Some(_) => None,
    }
}

/// Writes letters beyond ASCII as browsers do, `xn--`; `None` if there is no such host.
pub(crate) fn in_ascii(host: &str) -> Option<Cow<'_, str>> {
    match host.is_ascii() {
        true => Some(Cow::Borrowed(host)),
        false => idna::domain_to_ascii(host).ok().map(Cow::Owned),
    }
}

/// The authorities that a request names, in `Host` and in its target. More than one contradicts the standard.
pub(crate) fn named<B>(request: &Request<B>) -> impl Iterator<Item = &[u8]> {
    let in_target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes).chain(in_target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        let cases = [
            ("example.org", Some(("example.org", None))),
            ("Example.org:8080", Some(("Example.org", Some(8080)))),
            ("[::1]", Some(("[::1]", None))),
            ("[::1]:0", Some(("[::1]", Some(0)))),
            ("", None),
            (":80", None),
            ("a:", None),
            ("a:b", None),
            ("a:+80", None),
            ("a:65536", None),
            ("[::1]x", None),
            ("::1", None),
            ("me@a", None),
            ("a@a", None),
            ("a:1@a:1", None),
            ("a, b", None),
            ("a/b", None),
            ("a?b", None),
            ("a#b", None),
        ];
        for (text, expected) in cases {
            assert_eq!(host_and_port(text), expected, "{text}");
        }
    }
}
