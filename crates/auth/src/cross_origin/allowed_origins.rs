//! Origins (RFC 6454), and which of them are allowed.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::Authority;

/// Pages of which origins may use a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Any: for development, and for servers that know their callers by tokens alone.
    Any,
    /// These, and pages of the server itself.
    List(Vec<Origin>),
}

/// Where a page comes from: scheme, host and port, or `null`.
///
/// Compares as browsers do: host and scheme without case, and the scheme's own port is the same as none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(Place);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    /// A page opened from a file, or in a sandbox.
    Null,
    /// `host` and `scheme` are in lower case.
    Server { scheme: String, host: String, port: Option<u16> },
}

/// A text that is not what a browser sends as `Origin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an origin is a scheme, a host and perhaps a port, like https://chat.example.org, or null")]
pub struct InvalidOrigin;

impl AllowedOrigins {
    /// Whether pages of this origin, as a browser names it, are among those allowed.
    pub fn contains(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(origins) => origin.parse().is_ok_and(|origin| origins.contains(&origin)),
        }
    }
}

impl Origin {
    /// Whether this is where a request with this `Host` header goes. The scheme is not compared: behind a
    /// proxy that ends TLS, it is not the one the browser sees.
    pub(super) fn is_at(&self, host_header: &str) -> bool {
        let (Place::Server { scheme, host, port }, Ok(authority)) = (&self.0, host_header.parse()) else {
            return false;
        };
        let authority: Authority = authority;
        authority.host().eq_ignore_ascii_case(host) && port_of(&authority, scheme) == Ok(*port)
    }
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
        let scheme = scheme.to_ascii_lowercase();
        // Other schemes, like those of browser extensions and mobile shells, are fine.
        let parsed: Uri = format!("{scheme}://{rest}").parse().map_err(|_| InvalidOrigin)?;
        let authority: Authority = rest.parse().map_err(|_| InvalidOrigin)?;
        if parsed.query().is_some() || rest.contains(['@', '/', '*']) || authority.host().is_empty() {
            return Err(InvalidOrigin);
        }
        let port = port_of(&authority, &scheme)?;
        Ok(Self(Place::Server { host: authority.host().to_ascii_lowercase(), scheme, port }))
    }
}

/// The port, unless it is the scheme's own.
fn port_of(authority: &Authority, scheme: &str) -> Result<Option<u16>, InvalidOrigin> {
    let after_host = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    let port = match after_host.strip_prefix(':') {
        Some(port) => Some(port.parse().map_err(|_| InvalidOrigin)?),
        None => None,
    };
    Ok(port.filter(|port| !matches!((scheme, port), ("http", 80) | ("https", 443))))
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

impl fmt::Display for AllowedOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::List(origins) if origins.is_empty() => f.write_str("none but its own"),
            Self::List(origins) => {
                let origins: Vec<_> = origins.iter().map(ToString::to_string).collect();
                f.write_str(&origins.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_compare_as_browsers_name_them() {
        let list = |origin: &str| AllowedOrigins::List(vec![origin.parse().unwrap()]);
        let same = [
            ("https://chat.example.org", "https://chat.example.org"),
            ("https://chat.example.org/", "https://chat.example.org"),
            ("HTTPS://Chat.Example.org:443", "https://chat.example.org"),
            ("http://localhost:5000", "http://localhost:5000"),
            ("http://[::1]:5000", "http://[::1]:5000"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("null", "null"),
        ];
        for (listed, sent) in same {
            assert!(list(listed).contains(sent), "{listed} {sent}");
        }
        let different = [
            ("https://example.org", "http://example.org"),
            ("https://example.org", "https://evil.example.org"),
            ("https://example.org", "https://example.org.evil"),
            ("https://example.org", "https://example.org:8443"),
            ("https://example.org:80", "https://example.org"),
            ("https://example.org", "null"),
            ("null", "https://null"),
            ("https://example.org", ""),
        ];
        for (listed, sent) in different {
            assert!(!list(listed).contains(sent), "{listed} {sent}");
            assert!(AllowedOrigins::Any.contains(sent));
        }
    }

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
            "https://me@a.example",
            "https://*.a.example",
            "https://a b",
            "https://a:b",
            "https://a:99999",
            "https://a:",
            "NULL",
            "https://a.example,https://b.example",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(InvalidOrigin), "{text}");
        }
    }

    #[test]
    fn a_page_of_the_server_itself_is_known_by_the_host() {
        let at = |origin: &str, host: &str| origin.parse::<Origin>().unwrap().is_at(host);
        assert!(at("https://chat.example.org", "chat.example.org"));
        assert!(at("https://chat.example.org", "Chat.Example.org:443"));
        assert!(at("http://localhost:5000", "localhost:5000"));
        assert!(at("http://[::1]:5000", "[::1]:5000"));
        assert!(!at("http://localhost:5000", "localhost:5001"));
        assert!(!at("http://localhost:5000", "localhost"));
        assert!(!at("http://example.org", "example.org:443"));
        assert!(!at("null", "null"));
        assert!(!at("http://example.org", ""));
    }
}
