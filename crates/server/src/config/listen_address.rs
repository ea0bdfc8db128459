//! Addresses to listen on, with Kestrel's rules.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// One address to listen on: `http://host:port` or `https://host:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    /// Whether with TLS.
    pub(crate) scheme: Scheme,
    /// Which of the machine's addresses.
    pub(crate) host: ListenHost,
    /// The TCP port; 0 picks a free one. Default 80, and 443 for https.
    pub(crate) port: u16,
}

/// What is spoken at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// HTTP without TLS.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// Which of the machine's addresses to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListenHost {
    /// `*` or `+`: every address.
    Any,
    /// `localhost`: 127.0.0.1 and ::1.
    Localhost,
    /// This address; `0.0.0.0` is every IPv4 address.
    Ip(IpAddr),
}

impl ListenAddress {
    /// Listens on every address at this port.
    pub(crate) fn any(scheme: Scheme, port: u16) -> Self {
        Self { scheme, host: ListenHost::Any, port }
    }

    /// `http://localhost:5000`.
    pub(crate) const DEFAULT: Self = Self { scheme: Scheme::Http, host: ListenHost::Localhost, port: 5000 };

    /// What to listen on, as far as the machine has it: it may be without IPv6, or without IPv4. Of the two for
    /// [`ListenHost::Any`] the first that is there is all, since `[::]` takes IPv4 too; of localhost's both are wanted.
    pub(crate) fn socket_addresses(&self) -> Vec<SocketAddr> {
        let ips: &[IpAddr] = match &self.host {
            ListenHost::Any => &[IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
            ListenHost::Localhost => &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
            ListenHost::Ip(ip) => std::slice::from_ref(ip),
        };
        ips.iter().map(|ip| SocketAddr::new(*ip, self.port)).collect()
    }

    /// Whether somebody may reach both at the same address and port. Port 0 is another one each time.
    pub(super) fn overlaps(&self, other: Self) -> bool {
        let meet = |one: IpAddr, other: IpAddr| {
            let (one, other) = (one.to_canonical(), other.to_canonical());
            let takes = |one: IpAddr, other: IpAddr| {
                one == other || (one.is_unspecified() && (one.is_ipv6() || other.is_ipv4()))
            };
            takes(one, other) || takes(other, one)
        };
        let (ours, theirs) = (self.socket_addresses(), other.socket_addresses());
        let any_meet = ours.iter().any(|one| theirs.iter().any(|other| meet(one.ip(), other.ip())));
        self.port == other.port && self.port != 0 && any_meet
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = *self;
        match host {
            ListenHost::Any => write!(f, "{scheme}://*:{port}"),
            ListenHost::Localhost => write!(f, "{scheme}://localhost:{port}"),
            ListenHost::Ip(ip) => write!(f, "{scheme}://{}", SocketAddr::new(ip, port)),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        if url.contains('@') {
            return Err(ListenAddressError::UserInformation);
        }
        let (scheme, rest) = url.split_once("://").ok_or(ListenAddressError::NoUrl)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(ListenAddressError::Scheme { scheme: scheme.to_owned() }),
        };
        if rest.starts_with("unix:") || rest.starts_with("pipe:") {
            return Err(ListenAddressError::NotTcp);
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if let Some(path) = authority.find(['/', '?', '#']) {
            return Err(ListenAddressError::Path { path: authority[path..].to_owned() });
        }
        let (host, port) = host_and_port(authority);
        let port = match port {
            None => scheme.default_port(),
            Some(port) => {
                parse_port(port).ok_or_else(|| ListenAddressError::Port { port: port.to_owned() })?
            }
        };
        let host =
            parse_host(host).ok_or_else(|| ListenAddressError::Host { host: host.to_owned(), port })?;
        match (host, port) {
            (ListenHost::Localhost, 0) => Err(ListenAddressError::AnyPortOfLocalhost),
            _ => Ok(Self { scheme, host, port }),
        }
    }
}

/// Reads a port, 0 allowed.
pub(super) fn parse_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Splits at the last colon that is outside brackets.
fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn parse_host(host: &str) -> Option<ListenHost> {
    if host == "*" || host == "+" {
        return Some(ListenHost::Any);
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Some(ListenHost::Localhost);
    }
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let ip = match bracketed {
        Some(v6) => v6.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    };
    ip.map(ListenHost::Ip)
}

/// Why a text is no address to listen on, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ListenAddressError {
    #[error("expected http://host:port, for example {}", ListenAddress::DEFAULT)]
    NoUrl,
    #[error("there is no user and no password in an address to listen on, expected http://host:port")]
    UserInformation,
    #[error("'{scheme}' is not a scheme to serve, expected http or https")]
    Scheme { scheme: String },
    #[error("only TCP is served, expected http://host:port")]
    NotTcp,
    #[error("'{path}' is not part of an address to listen on, expected http://host:port")]
    Path { path: String },
    #[error("port '{port}' is not a number from 0 to 65535")]
    Port { port: String },
    #[error(
        "host '{host}' is none to listen on, expected localhost, an IP address, or http://*:{port} for every address"
    )]
    Host { host: String, port: u16 },
    #[error(
        "localhost has two addresses and cannot share a port picked for one; expected http://127.0.0.1:0 or http://[::1]:0"
    )]
    AnyPortOfLocalhost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let cases = [
            ("http://localhost:5000", "http://localhost:5000", "127.0.0.1:5000 [::1]:5000"),
            ("HTTP://LOCALHOST:5000/", "http://localhost:5000", "127.0.0.1:5000 [::1]:5000"),
            ("http://+:5000", "http://*:5000", "[::]:5000 0.0.0.0:5000"),
            ("http://*:0", "http://*:0", "[::]:0 0.0.0.0:0"),
            ("http://+", "http://*:80", "[::]:80 0.0.0.0:80"),
            ("http://0.0.0.0:5000", "http://0.0.0.0:5000", "0.0.0.0:5000"),
            ("http://[::]:5000", "http://[::]:5000", "[::]:5000"),
            ("http://[::1]:0", "http://[::1]:0", "[::1]:0"),
            ("HTTPS://+", "https://*:443", "[::]:443 0.0.0.0:443"),
            ("https://localhost:5001", "https://localhost:5001", "127.0.0.1:5001 [::1]:5001"),
            ("https://127.0.0.1:0/", "https://127.0.0.1:0", "127.0.0.1:0"),
            ("http://127.0.0.2:0", "http://127.0.0.2:0", "127.0.0.2:0"),
            ("http://[::ffff:127.0.0.1]:1", "http://[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1"),
        ];
        for (text, shown, sockets) in cases {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown, "{text}");
            let bound: Vec<_> = address.socket_addresses().iter().map(ToString::to_string).collect();
            assert_eq!(bound.join(" "), sockets, "{text}");
        }
    }

    #[test]
    fn addresses_that_meet() {
        for (one, other, meet) in [
            ("http://localhost:1", "http://localhost:1", true),
            ("http://localhost:1", "http://localhost:2", false),
            ("http://localhost:1", "http://127.0.0.1:1", true),
            ("http://localhost:1", "http://[::1]:1", true),
            ("http://+:1", "http://10.0.0.1:1", true),
            ("http://[::]:1", "http://10.0.0.1:1", true),
            ("http://0.0.0.0:1", "http://[::ffff:10.0.0.1]:1", true),
            ("http://0.0.0.0:1", "http://[::1]:1", false),
            ("http://10.0.0.1:1", "http://10.0.0.2:1", false),
            ("http://+:0", "http://+:0", false),
            ("https://+:1", "http://10.0.0.1:1", true),
        ] {
            let (one, other): (ListenAddress, ListenAddress) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!((one.overlaps(other), other.overlaps(one)), (meet, meet), "{one} {other}");
        }
    }

    #[test]
    fn mistakes() {
        let report: Vec<String> = [
            "5000",
            "https://+:5001/chat",
            "https://localhost:0",
            "ftp://+:21",
            "http://unix:/run/hubline.sock",
            "http://+:5000/chat",
            "http://+:65536",
            "http://+:",
            "http://+:+80",
            "http://webapi:8080",
            "http://:8080",
            "http://::1:8080",
            "http://localhost:0",
        ]
        .iter()
        .map(|url| format!("{url}: {}", url.parse::<ListenAddress>().unwrap_err()))
        .collect();
        insta::assert_snapshot!(report.join("\n"));
    }
}
