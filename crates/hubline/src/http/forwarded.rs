//! Whose address a request comes from, behind proxies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::HeaderMap;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies whose `X-Forwarded-For` is trusted (ASP.NET Core's `ForwardedHeadersOptions`).
///
/// The header is read from its last entry to its first, as long as the address found so far is a known proxy, and at most
/// [`forward_limit`](Self::forward_limit) entries. Loopback addresses are known proxies. The header of any other peer is ignored, which is
/// logged the first time.
///
/// `X-Forwarded-Proto` and `X-Forwarded-Host` are not read.
#[derive(Debug)]
pub struct ForwardedHeaders {
    known: Vec<IpNetwork>,
    knows_all: bool,
    forward_limit: usize,
    has_met_stranger: AtomicBool,
}

/// A network of IP addresses in CIDR notation, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNetwork {
    address: IpAddr,
    prefix_length: u8,
}

/// A text that is not an [`IpNetwork`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidIpNetwork;

impl Default for ForwardedHeaders {
    fn default() -> Self {
        let loopback = IpNetwork { address: IpAddr::V4(Ipv4Addr::LOCALHOST), prefix_length: 8 };
        Self {
            known: vec![loopback, IpNetwork::from(IpAddr::V6(Ipv6Addr::LOCALHOST))],
            knows_all: false,
            forward_limit: 1,
            has_met_stranger: AtomicBool::new(false),
        }
    }
}

impl ForwardedHeaders {
    /// Adds the known proxies of a network, or the one at an address.
    #[must_use]
    pub fn known(mut self, network: impl Into<IpNetwork>) -> Self {
        self.known.push(network.into());
        self
    }

    /// Makes every address a known proxy, for servers that only proxies can reach. Up to [`forward_limit`](Self::forward_limit)
    /// entries are read.
    #[must_use]
    pub fn known_all(mut self) -> Self {
        self.knows_all = true;
        self
    }

    /// Sets how many entries are read at most, at least 1: the number of proxies that a request passes. Default: 1.
    #[must_use]
    pub fn forward_limit(mut self, limit: usize) -> Self {
        self.forward_limit = limit.max(1);
        self
    }

    /// The client of a request that came from `remote`.
    pub(super) fn client(&self, remote: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        if !headers.contains_key(X_FORWARDED_FOR) {
            return remote;
        }
        let lines = headers.get_all(X_FORWARDED_FOR).iter().collect::<Vec<_>>();
        let entries = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        let mut client = remote;
        for entry in entries.take(self.forward_limit) {
            if !self.knows(client.ip()) {
                if client == remote {
                    self.meet_stranger(remote);
                }
                break;
            }
            let Some(before) = parse(entry.trim()) else { break };
            client = before;
        }
        client
    }

    fn knows(&self, address: IpAddr) -> bool {
        self.knows_all || self.known.iter().any(|network| network.contains(address))
    }

    fn meet_stranger(&self, remote: SocketAddr) {
        let address = remote.ip().to_canonical();
        if self.has_met_stranger.swap(true, Ordering::Relaxed) {
            tracing::debug!(%address, "X-Forwarded-For of an unknown proxy is ignored");
        } else {
            tracing::warn!(
                %address,
                "X-Forwarded-For is ignored, because it comes from an address that is no known proxy. If it is one, name it in \
                 ForwardedHeaders:KnownProxies or its network in ForwardedHeaders:KnownIPNetworks (ForwardedHeaders::known in a \
                 library). Further cases are logged at Debug"
            );
        }
    }
}

/// An address, perhaps with a port.
fn parse(entry: &str) -> Option<SocketAddr> {
    let entry = entry.trim_matches('"');
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
    entry.parse().ok().or_else(|| Some(SocketAddr::new(bare.parse().ok()?, 0)))
}

impl IpNetwork {
    /// Whether an address belongs to the network. An IPv4 address may be given as IPv6, `::ffff:10.0.0.1`.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (own, other, width) = match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits(), other.to_bits(), 128),
            _ => return false,
        };
        let difference: u128 = own ^ other;
        difference.checked_shr(width - u32::from(self.prefix_length)).unwrap_or_default() == 0
    }
}

impl From<IpAddr> for IpNetwork {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix_length: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for IpNetwork {
    type Err = InvalidIpNetwork;

    /// Parses CIDR notation, `10.0.0.0/8` or `fd00::/8`.
    fn from_str(text: &str) -> Result<Self, InvalidIpNetwork> {
        let (address, prefix_length) = text.split_once('/').ok_or(InvalidIpNetwork)?;
        let address: IpAddr = address.parse().map_err(|_| InvalidIpNetwork)?;
        let prefix_length = prefix_length.parse().map_err(|_| InvalidIpNetwork)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        if prefix_length <= width { Ok(Self { address, prefix_length }) } else { Err(InvalidIpNetwork) }
    }
}

impl std::fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_length)
    }
}

impl std::fmt::Display for InvalidIpNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("expected a network such as 10.0.0.0/8 or fd00::/8")
    }
}

impl std::error::Error for InvalidIpNetwork {}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(options: &ForwardedHeaders, remote: &str, lines: &[&'static str]) -> String {
        let headers = lines
            .iter()
            .map(|line| (X_FORWARDED_FOR.parse().unwrap(), line.parse().unwrap()))
            .collect::<HeaderMap>();
        let remote = SocketAddr::new(remote.parse().unwrap(), 5000);
        let client = options.client(remote, &headers);
        if client == remote { "itself".to_owned() } else { client.to_string() }
    }

    #[test]
    fn a_known_proxy_is_believed_about_its_client() {
        let options = ForwardedHeaders::default();
        for (remote, lines, expected) in [
            ("127.0.0.1", &[][..], "itself"),
            ("127.0.0.1", &["203.0.113.7"], "203.0.113.7:0"),
            ("127.1.2.3", &["203.0.113.7"], "203.0.113.7:0"),
            ("::1", &["203.0.113.7:1234"], "203.0.113.7:1234"),
            ("::ffff:127.0.0.1", &["2001:db8::1"], "[2001:db8::1]:0"),
            ("127.0.0.1", &["[2001:db8::1]:80"], "[2001:db8::1]:80"),
            ("127.0.0.1", &["[2001:db8::1]"], "[2001:db8::1]:0"),
            ("127.0.0.1", &["\"203.0.113.7\""], "203.0.113.7:0"),
            ("127.0.0.1", &["6.6.6.6, 203.0.113.7"], "203.0.113.7:0"),
            ("127.0.0.1", &["6.6.6.6", "203.0.113.7"], "203.0.113.7:0"),
            ("127.0.0.1", &["203.0.113.7, unknown"], "itself"),
            ("127.0.0.1", &[""], "itself"),
            ("10.0.0.1", &["203.0.113.7"], "itself"),
            ("::ffff:10.0.0.1", &["203.0.113.7"], "itself"),
        ] {
            assert_eq!(client(&options, remote, lines), expected, "{remote} {lines:?}");
        }
    }

    #[test]
    fn entries_are_read_from_the_end_as_far_as_proxies_are_known() {
        let network: IpNetwork = "10.0.0.0/8".parse().unwrap();
        let options = ForwardedHeaders::default().known(network).forward_limit(3);
        for (line, expected) in [
            ("6.6.6.6, 203.0.113.7, 10.0.0.2", "203.0.113.7:0"),
            ("203.0.113.7, 10.0.0.3, 10.0.0.2", "203.0.113.7:0"),
            ("203.0.113.7, 10.0.0.4, 10.0.0.3, 10.0.0.2", "10.0.0.4:0"),
            ("203.0.113.7, x, 10.0.0.2", "10.0.0.2:0"),
            ("10.0.0.2", "10.0.0.2:0"),
        ] {
            assert_eq!(client(&options, "127.0.0.1", &[line]), expected, "{line}");
        }
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let options = ForwardedHeaders::default().known(one);
        assert_eq!(client(&options, "192.0.2.1", &["203.0.113.7"]), "203.0.113.7:0");
        assert_eq!(client(&options, "192.0.2.2", &["203.0.113.7"]), "itself");
        let all = ForwardedHeaders::default().known_all();
        assert_eq!(client(&all, "192.0.2.2", &["6.6.6.6, 203.0.113.7"]), "203.0.113.7:0");
    }

    #[test]
    fn networks() {
        let contains = |network: &str, address: &str| {
            network.parse::<IpNetwork>().unwrap().contains(address.parse().unwrap())
        };
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/31", "10.1.2.2", "10.1.2.4"),
            ("10.1.2.3/32", "::ffff:10.1.2.3", "10.1.2.2"),
            ("0.0.0.0/0", "255.1.1.1", "::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1/128", "::1", "::2"),
            ("::/0", "ffff::1", "1.2.3.4"),
        ] {
            assert!(contains(network, inside) && !contains(network, outside), "{network}");
        }
        for text in
            ["10.0.0.0", "10.0.0.0/33", "fd00::/129", "10.0.0/8", "/8", "10.0.0.0/-1", "10.0.0.0/", ""]
        {
            assert_eq!(text.parse::<IpNetwork>(), Err(InvalidIpNetwork), "{text}");
        }
    }
}
