//! Which origins are allowed.

use std::fmt;
use std::sync::Arc;

use super::{Origin, OriginPattern};

/// The origins whose pages may use a server. Its own pages always may.
#[derive(Debug, Clone)]
pub enum AllowedOrigins {
    /// Any: for development, and for servers that know their callers by tokens alone.
    Any,
    /// These; `"https://*.example.org".parse()` stands for all subdomains.
    List(Vec<OriginPattern>),
    /// Origins for which a function returns true; made by [`AllowedOrigins::matching`].
    Matching(OriginPredicate),
}

/// The function of [`AllowedOrigins::Matching`].
#[derive(Clone)]
pub struct OriginPredicate(Arc<dyn Fn(&Origin) -> bool + Send + Sync>);

impl AllowedOrigins {
    /// Allows the origins for which `predicate` returns true, as ASP.NET Core's `SetIsOriginAllowed`.
    ///
    /// It is asked at every request that names an origin, on a thread that serves connections: it should not
    /// wait. It gets the origin taken apart, so that nothing but the host is compared with a host; a text that is no
    /// origin is refused without asking.
    ///
    /// ```
    /// use hubline_auth::AllowedOrigins;
    ///
    /// let tenants = ["ada", "grace"];
    /// let allowed = AllowedOrigins::matching(move |origin| {
    ///     let tenant = origin.host().and_then(|host| host.strip_suffix(".example.org"));
    ///     origin.scheme() == Some("https") && tenant.is_some_and(|tenant| tenants.contains(&tenant))
    /// });
    /// assert!(allowed.contains("https://ada.example.org"));
    /// assert!(!allowed.contains("https://ada.example.org.evil.org"));
    /// ```
    pub fn matching(predicate: impl Fn(&Origin) -> bool + Send + Sync + 'static) -> Self {
        Self::Matching(OriginPredicate(Arc::new(predicate)))
    }

    /// Whether pages of this origin, as a browser names it, are among those allowed.
    pub fn contains(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(patterns) => {
                origin.parse().is_ok_and(|origin| patterns.iter().any(|pattern| pattern.matches(&origin)))
            }
            Self::Matching(OriginPredicate(is_allowed)) => {
                origin.parse().is_ok_and(|origin| is_allowed(&origin))
            }
        }
    }
}

impl fmt::Debug for OriginPredicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OriginPredicate(..)")
    }
}

impl fmt::Display for AllowedOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::List(patterns) if patterns.is_empty() => f.write_str("none but its own"),
            Self::List(patterns) => {
                let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
                f.write_str(&patterns.join(", "))
            }
            Self::Matching(_) => f.write_str("those that a function lets in"),
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
            ("file://", "file://"),
            ("file:///", "file://"),
            ("file://", "file:///"),
            ("https://*.example.org", "https://chat.example.org"),
        ];
        for (listed, sent) in same {
            assert!(list(listed).contains(sent), "{listed} {sent}");
        }
        let different = [
            ("https://example.org", "http://example.org"),
            ("https://example.org", "https://evil.example.org"),
            ("https://example.org", "https://example.org.evil"),
            ("https://example.org", "https://example.org."),
            ("https://example.org", "https://example.org:8443"),
            ("https://example.org:80", "https://example.org"),
            ("https://example.org", "null"),
            ("null", "https://null"),
            ("null", "file://"),
            ("file://", "null"),
            ("file://", "file://a"),
            ("https://example.org", ""),
            ("https://*.example.org", "https://*.example.org"),
        ];
        for (listed, sent) in different {
            assert!(!list(listed).contains(sent), "{listed} {sent}");
            assert!(AllowedOrigins::Any.contains(sent));
        }
    }

    #[test]
    fn a_function_sees_origins_and_nothing_else() {
        let allowed = AllowedOrigins::matching(|origin| origin.host().is_none_or(|host| host != "evil.org"));
        for sent in ["https://example.org", "null", "file://"] {
            assert!(allowed.contains(sent), "{sent}");
        }
        for sent in ["https://evil.org", "HTTPS://EVIL.ORG:1", "evil.org", "", "https://me@example.org"] {
            assert!(!allowed.contains(sent), "{sent}");
        }
    }
}
