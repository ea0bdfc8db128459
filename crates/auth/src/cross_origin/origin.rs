//! Origins: RFC 6454.

use std::fmt;
use std::str::FromStr;

use crate::authority::{host_and_port, in_ascii};

/// The origin of a page (RFC 6454): scheme, host and port, or `null`.
///
/// Compares as browsers do: host and scheme without case, and the scheme's own port is the same as none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(Place);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    /// A page opened from a file, or in a sandbox.
    Null,
    /// `host` and `scheme` are in lower case. The host of `file://`, which Electron and microcontrollers send, is
    /// empty.
    Server { scheme: String, host: String, port: Option<u16> },
}

/// A text that is not what a browser sends as `Origin`, and no pattern of such texts either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an origin is a scheme, a host and perhaps a port, like https://chat.example.org, or null or file://; \
     https://*.example.org stands for all subdomains"
)]
pub struct InvalidOrigin;

impl Origin {
    /// The scheme in lower case, such as `https`; none of `null`.
    pub fn scheme(&self) -> Option<&str> {
        match &self.0 {
            Place::Null => None,
            Place::Server { scheme, .. } => Some(scheme),
        }
    }

    /// The host in lower case, an IPv6 address in brackets; none of `null` and `file://`.
    pub fn host(&self) -> Option<&str> {
        match &self.0 {
            Place::Server { host, .. } if !host.is_empty() => Some(host),
            Place::Null | Place::Server { .. } => None,
        }
    }

    /// The port, unless it is the scheme's own.
    pub fn port(&self) -> Option<u16> {
        match &self.0 {
            Place::Null => None,
            Place::Server { port, .. } => *port,
        }
    }

    /// Whether this origin is that of the server which the `Host` header names.
    ///
    /// A proxy in front changes what is compared. One that ends TLS makes another scheme of it, so schemes are not
    /// compared; one that passes on the host alone leaves out the port, and one that moves it puts its own there,
    /// so ports are compared only if both name one. `$host` of nginx has no dot at its end.
    pub(super) fn is_at(&self, host_header: &str) -> bool {
        let (Some(own), Some((host, port))) = (self.host(), host_and_port(host_header)) else {
            return false;
        };
        let is_same_port = match (self.port(), port) {
            (Some(own), Some(port)) => own == port,
            (None, _) | (_, None) => true,
        };
        is_same_port && without_dot(own).eq_ignore_ascii_case(without_dot(host))
    }
}

fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    /// Reads an origin; one slash at its end, as people write it into configurations, makes no difference.
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if text == "null" {
            return Ok(Self(Place::Null));
        }
        let (scheme, rest) = text.split_once("://").ok_or(InvalidOrigin)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let rest = in_ascii(rest).ok_or(InvalidOrigin)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "file" && rest.is_empty() {
            return Ok(Self(Place::Server { scheme, host: String::new(), port: None }));
        }
        // Other schemes, like those of browser extensions and mobile shells, are fine.
        if !is_scheme(&scheme) || rest.contains('*') {
            return Err(InvalidOrigin);
        }
        let (host, port) = host_and_port(&rest).ok_or(InvalidOrigin)?;
        let is_own = |port: &u16| matches!((scheme.as_str(), *port), ("http", 80) | ("https", 443));
        let port = port.filter(|port| !is_own(port));
        Ok(Self(Place::Server { host: host.to_ascii_lowercase(), scheme, port }))
    }
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(is_part)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Null => f.write_str("null"),
            Place::Server { scheme, host, port: Some(port) } => write!(f, "{scheme}://{host}:{port}"),
            Place::Server { scheme, host, port: None } => write!(f, "{scheme}://{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "*",
            "example.org",
            "https://",
            "https://a.example/path",
            "https://a.example//",
            "https://a.example?q",
            "https://a.example#b.example",
            "https://a.example\\b.example",
            "https://me@a.example",
            "https://*.a.example",
            "https://a b",
            "https://a:b",
            "https://a:99999",
            "https://a:",
            "https://:80",
            "/https://a.example",
            "://a.example",
            "1a://a.example",
            "a b://a.example",
            "NULL",
            "file:",
            "file:////",
            "https://a.example,https://b.example",
            // Full width: each means the letter of ASCII.
            "https://a.example／b",
            "https://a＠b.example",
            "https://＊.example",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(InvalidOrigin), "{text}");
        }
    }

    #[test]
    fn a_page_of_the_server_itself_is_known_by_the_host() {
        let at = |origin: &str, host: &str| origin.parse::<Origin>().unwrap().is_at(host);
        let own = [
            ("https://chat.example.org", "chat.example.org"),
            ("https://chat.example.org", "Chat.Example.org:443"),
            ("http://localhost:5000", "localhost:5000"),
            ("http://[::1]:5000", "[::1]:5000"),
            // Behind nginx with `proxy_set_header Host $host`.
            ("https://chat.example.org:8443", "chat.example.org"),
            ("https://chat.example.org.", "chat.example.org"),
            ("http://[::1]:8080", "[::1]"),
            // Behind a proxy that adds its own port.
            ("http://chat.example.org", "chat.example.org:5000"),
            ("http://chat.example.org", "chat.example.org:443"),
        ];
        for (origin, host) in own {
            assert!(at(origin, host), "{origin} {host}");
        }
        let foreign = [
            ("http://localhost:5000", "localhost:5001"),
            ("https://chat.example.org:8443", "chat.example.org:443"),
            ("http://[::1]:5000", "[::1]:5001"),
            ("http://[::1]", "[::2]"),
            ("https://evil-example.org", "example.org"),
            ("https://example.org.evil.org", "example.org"),
            ("https://evil.example.org", "example.org"),
            ("https://example.org", "evil.example.org"),
            ("https://example.org", "example.org@evil.org"),
            ("https://example.org", "evil.org@example.org"),
            ("https://example.org", "example.org, evil.org"),
            ("https://example.org", "example.org:80x"),
            ("https://example.org", "example.org.."),
            ("https://example.org", ""),
            ("https://example.org", ":443"),
            ("null", "null"),
            ("file://", ""),
        ];
        for (origin, host) in foreign {
            assert!(!at(origin, host), "{origin} {host}");
        }
    }
}
