use std::fmt;
use std::str::FromStr;

use crate::authority::{host_and_port, in_ascii};

/// A host name or IP address, or all subdomains of one: `*.example.org`, which is not `example.org` itself.
///
/// Compares without case and without ports, as entries of ASP.NET Core's `AllowedHosts`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AllowedHost {
    /// In lower case, an IPv6 address in brackets.
    host: String,
    stands_for: StandsFor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum StandsFor {
    Itself,
    Subdomains,
}

/// A text that is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a host is a name or an address without a port, like chat.example.org, 10.0.0.1 or [::1], or *.example.org for all \
     subdomains"
)]
pub struct InvalidHost;

impl AllowedHost {
    /// Whether a `Host` header with this host, without its port, goes there.
    pub fn matches(&self, host: &str) -> bool {
        match self.stands_for {
            StandsFor::Itself => host.eq_ignore_ascii_case(&self.host),
            StandsFor::Subdomains => {
                let start = host.len().checked_sub(self.host.len()).and_then(|at| host.split_at_checked(at));
                start.is_some_and(|(start, end)| {
                    end.eq_ignore_ascii_case(&self.host) && start.len() > 1 && start.ends_with('.')
                })
            }
        }
    }
}

impl FromStr for AllowedHost {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let (host, stands_for) = match text.strip_prefix("*.") {
            Some(domain) => (domain, StandsFor::Subdomains),
            None => (text, StandsFor::Itself),
        };
        let host = in_ascii(host).ok_or(InvalidHost)?;
        match host_and_port(&host) {
            Some((host, None)) if !host.contains('*') => {
                Ok(Self { host: host.to_ascii_lowercase(), stands_for })
            }
            _ => Err(InvalidHost),
        }
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stands_for {
            StandsFor::Itself => f.write_str(&self.host),
            StandsFor::Subdomains => write!(f, "*.{}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As ASP.NET Core 11 answers with these `AllowedHosts`.
    #[test]
    fn hosts_match_as_in_aspnet_core() {
        let matches = |allowed: &str, host: &str| allowed.parse::<AllowedHost>().unwrap().matches(host);
        for (allowed, host) in [
            ("example.org", "EXAMPLE.org"),
            ("[::1]", "[::1]"),
            ("10.0.0.1", "10.0.0.1"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("*.sub.example.org", "a.sub.example.org"),
            ("*.Sub.example.org", "a.b.SUB.example.org"),
        ] {
            assert!(matches(allowed, host), "{allowed} {host}");
        }
        for (allowed, host) in [
            ("example.org", "example.org."),
            ("example.org", "evil-example.org"),
            ("example.org", "example.org.evil.org"),
            ("*.sub.example.org", "sub.example.org"),
            ("*.sub.example.org", ".sub.example.org"),
            ("*.sub.example.org", "xsub.example.org"),
            ("*.sub.example.org", "é"),
            ("[::1]", "[0:0:0:0:0:0:0:1]"),
        ] {
            assert!(!matches(allowed, host), "{allowed} {host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in
            ["", "*", "*.", "a.*.b", "example.org:80", "http://example.org", "a b", "a/b", "a＊b", "::1"]
        {
            assert_eq!(text.parse::<AllowedHost>(), Err(InvalidHost), "{text}");
        }
        for text in ["example.org", "*.example.org", "[::1]"] {
            assert_eq!(text.parse::<AllowedHost>().unwrap().to_string(), text);
        }
    }
}
