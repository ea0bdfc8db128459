use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// The hub to load: `http://`, `ws://`, `https://` or `wss://`, a loopback address, a port and the hub's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) scheme: Scheme,
}

/// How the hub is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    const ALL: [(&str, Self); 4] =
        [("http://", Self::Http), ("ws://", Self::Http), ("https://", Self::Https), ("wss://", Self::Https)];

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Why a URL is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// None of `http://`, `ws://`, `https://` and `wss://`.
    #[error("the URL has to begin with http://, ws://, https:// or wss://")]
    Scheme,
    /// Not a loopback address. Names other than `localhost` are not looked up.
    #[error("{0:?} is refused: load goes to this machine only (127.0.0.1, [::1] or localhost)")]
    NotLoopback(String),
    /// The path has characters that do not belong into a request line.
    #[error("the path may only have visible ASCII characters")]
    Path,
}

impl Target {
    /// The hub's path with a suffix, and its query with one more parameter.
    pub(crate) fn path_with(&self, suffix: &str, parameter: &str) -> String {
        match self.path.split_once('?') {
            Some((path, query)) => format!("{path}{suffix}?{query}&{parameter}"),
            None => format!("{}{suffix}?{parameter}", self.path),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(url: &str) -> Result<Self, TargetError> {
        let begins = |(start, scheme): (&str, Scheme)| Some((url.strip_prefix(start)?, scheme));
        let (rest, scheme) = Scheme::ALL.into_iter().find_map(begins).ok_or(TargetError::Scheme)?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let address = socket_address(authority, scheme.default_port())
            .filter(|address| address.ip().is_loopback())
            .ok_or_else(|| TargetError::NotLoopback(authority.to_owned()))?;
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TargetError::Path);
        }
        Ok(Self { address, path: path.to_owned(), scheme })
    }
}

fn socket_address(authority: &str, default_port: u16) -> Option<SocketAddr> {
    if let Some(port) = authority.strip_prefix("localhost:") {
        return Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)));
    }
    let ip = |text: &str| text.parse::<IpAddr>().ok();
    authority
        .parse()
        .ok()
        .or_else(|| Some(SocketAddr::from((ip(authority.trim_matches(['[', ']']))?, default_port))))
        .or_else(|| (authority == "localhost").then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, default_port))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_urls_are_targets() {
        for (url, address, path) in [
            ("http://127.0.0.1:5000/benchhub", "127.0.0.1:5000", "/benchhub"),
            ("ws://localhost:81/hub?a=b", "127.0.0.1:81", "/hub?a=b"),
            ("http://[::1]:5000", "[::1]:5000", "/"),
            ("http://127.8.9.1", "127.8.9.1:80", "/"),
            ("http://localhost/x", "127.0.0.1:80", "/x"),
            ("https://localhost/x", "127.0.0.1:443", "/x"),
            ("wss://[::1]:5001", "[::1]:5001", "/"),
        ] {
            let target: Target = url.parse().unwrap();
            assert_eq!(target.address, address.parse().unwrap(), "{url}");
            assert_eq!(target.path, path, "{url}");
            assert_eq!(
                target.scheme == Scheme::Https,
                url.contains("s://") && !url.starts_with("ws:"),
                "{url}"
            );
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for url in [
            "http://10.0.0.1:5000/hub",
            "http://0.0.0.0:5000/hub",
            "http://[2001:db8::1]:80/hub",
            "http://example.org/hub",
            "http://127.0.0.1.example.org/hub",
            "http://127.0.0.1@example.org/hub",
            "http://localhost:port/hub",
        ] {
            let refused = url.parse::<Target>();
            assert!(matches!(refused, Err(TargetError::NotLoopback(_))), "{url}: {refused:?}");
        }
        assert_eq!("ftp://127.0.0.1/".parse::<Target>(), Err(TargetError::Scheme));
        assert_eq!("http://127.0.0.1/a b".parse::<Target>(), Err(TargetError::Path));
    }

    #[test]
    fn a_parameter_goes_behind_those_of_the_url() {
        let target: Target = "http://127.0.0.1/hub?a=b".parse().unwrap();
        assert_eq!(target.path_with("/negotiate", "c=d"), "/hub/negotiate?a=b&c=d");
        let target: Target = "http://127.0.0.1/hub".parse().unwrap();
        assert_eq!(target.path_with("", "c=d"), "/hub?c=d");
    }
}
