use std::fmt;
use std::str::FromStr;

use super::{InvalidOrigin, Origin};

/// One origin, or those of all subdomains of a host: `https://*.example.org`.
///
/// A pattern has the rules of ASP.NET Core's `SetIsOriginAllowedToAllowWildcardSubdomains`: it stands for
/// `https://chat.example.org` and `https://a.b.example.org`, not for `https://example.org` itself; scheme and port have
/// to be the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginPattern {
    /// The origin, or that of the domain whose subdomains are meant.
    origin: Origin,
    stands_for: StandsFor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum StandsFor {
    Itself,
    Subdomains,
}

impl OriginPattern {
    /// Whether this origin is one of those.
    pub fn matches(&self, origin: &Origin) -> bool {
        match self.stands_for {
            StandsFor::Itself => *origin == self.origin,
            StandsFor::Subdomains => self.is_above(origin),
        }
    }

    fn is_above(&self, origin: &Origin) -> bool {
        let same = origin.scheme() == self.origin.scheme() && origin.port() == self.origin.port();
        let (Some(host), Some(domain)) = (origin.host(), self.origin.host()) else { return false };
        let subdomain = host.strip_suffix(domain).and_then(|start| start.strip_suffix('.'));
        same && subdomain.is_some_and(|subdomain| !subdomain.is_empty())
    }
}

impl From<Origin> for OriginPattern {
    fn from(origin: Origin) -> Self {
        Self { origin, stands_for: StandsFor::Itself }
    }
}

impl FromStr for OriginPattern {
    type Err = InvalidOrigin;

    /// Reads an origin, or `*.` in place of the first part of its host.
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let Some((scheme, domain)) = text.split_once("://*.") else {
            return text.parse().map(|origin: Origin| origin.into());
        };
        let origin: Origin = format!("{scheme}://{domain}").parse()?;
        match origin.host() {
            Some(_) => Ok(Self { origin, stands_for: StandsFor::Subdomains }),
            None => Err(InvalidOrigin),
        }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.origin.to_string();
        match self.stands_for {
            StandsFor::Itself => f.write_str(&origin),
            StandsFor::Subdomains => f.write_str(&origin.replacen("://", "://*.", 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, origin: &str) -> bool {
        pattern.parse::<OriginPattern>().unwrap().matches(&origin.parse().unwrap())
    }

    #[test]
    fn a_wildcard_stands_for_subdomains_alone() {
        for origin in [
            "https://chat.example.org",
            "https://a.b.example.org",
            "https://CHAT.Example.Org:443",
            "https://xn--bcher-kva.example.org",
        ] {
            assert!(matches("https://*.example.org", origin), "{origin}");
        }
        for origin in [
            "https://example.org",
            "https://evil-example.org",
            "https://evilexample.org",
            "https://example.org.evil.org",
            "https://chat.example.org.evil.org",
            "https://chat.example.org.",
            "http://chat.example.org",
            "https://chat.example.org:8443",
            "https://.example.org",
            "https://[::1]",
            "null",
            "file://",
        ] {
            assert!(!matches("https://*.example.org", origin), "{origin}");
        }
        assert!(matches("https://bücher.example:8443", "https://xn--bcher-kva.example:8443"));
        assert!(matches("https://*.Bücher.example", "https://a.xn--bcher-kva.example"));
        assert!(matches("http://*.example.org:8080", "http://chat.example.org:8080"));
        assert!(!matches("http://*.example.org:8080", "http://chat.example.org:8081"));
        assert!(!matches("http://*.example.org:8080", "http://chat.example.org"));
    }

    #[test]
    fn a_wildcard_is_the_first_part_of_a_host() {
        for text in [
            "https://*",
            "https://*.",
            "https://*:443",
            "*.example.org",
            "*://example.org",
            "https://a.*.example.org",
            "https://*.*.example.org",
            "https://*example.org",
            "https://*.me@example.org",
            "file://*.",
        ] {
            assert_eq!(text.parse::<OriginPattern>(), Err(InvalidOrigin), "{text}");
        }
        for text in
            ["https://*.example.org", "http://*.example.org:8080", "https://example.org", "null", "file://"]
        {
            assert_eq!(text.parse::<OriginPattern>().unwrap().to_string(), text);
        }
    }
}
