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
    /// Whether the pattern includes this origin.
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
    use proptest::prelude::*;
    use proptest::{collection, sample};

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

    /// Texts made of what an attacker would put together.
    fn crafted() -> impl Strategy<Value = String> {
        let pieces = [
            "https://",
            "http://",
            "://",
            "example.org",
            "evil.org",
            "evil",
            ".",
            "*.",
            ":443",
            ":8443",
            ":",
            "/",
            "\\",
            "@",
            "#",
            "?",
            "%2e",
            "[",
            "]",
            "::1",
            "xn--",
            "null",
            "file",
            " ",
            ",",
            "\u{ff0e}",
            "K",
            "\0",
        ];
        collection::vec(sample::select(pieces.to_vec()), 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_but_a_subdomain_matches(crafted in crafted(), prefix in prop_oneof![Just(""), Just("https://")]) {
            let sent = format!("{prefix}{crafted}");
            let Ok(origin) = sent.parse::<Origin>() else { return Ok(()) };
            let pattern: OriginPattern = "https://*.example.org".parse().unwrap();
            let shown = origin.to_string();
            let is_subdomain = shown.strip_prefix("https://").and_then(|host| host.strip_suffix(".example.org"));
            prop_assert_eq!(pattern.matches(&origin), is_subdomain.is_some_and(|start| !start.is_empty()), "{}", sent);
            prop_assert!(!shown.contains(['/', '@', '#', '?', '\\', ' ', ',', '\0', '*']) || shown.matches('/').count() == 2);
            prop_assert_eq!(shown.parse::<Origin>(), Ok(origin), "{}", sent);
        }

        #[test]
        fn nothing_but_the_host_is_the_server_itself(crafted in crafted()) {
            let own: Origin = "https://example.org".parse().unwrap();
            let host = crafted.to_ascii_lowercase();
            let (name, port) = host.split_once(':').map_or((host.as_str(), ""), |(name, port)| (name, port));
            let is_own = ["example.org", "example.org."].contains(&name) && (host == name || !port.is_empty());
            prop_assert!(!own.is_at(&crafted) || is_own && port.bytes().all(|byte| byte.is_ascii_digit()), "{}", crafted);
        }
    }
}
