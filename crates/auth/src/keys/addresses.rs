//! Which addresses metadata may name for its keys.
//!
//! The provider of the metadata decides where the keys are fetched. That must not let it send requests of this machine to addresses
//! that only this machine can reach.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

/// Which addresses may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Anywhere,
    /// Public addresses.
    Public,
}

/// Says of an address whether it is another machine for everybody who asks. Tests have their own.
pub(super) type Classification = fn(IpAddr) -> bool;

/// Resolves names, and gives out what is within reach: what is connected to is what was looked at.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    pub(super) reach: Reach,
    pub(super) is_private: Classification,
}

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error(transparent)]
    Unknown(#[from] io::Error),
    #[error("all its addresses are loopback, link-local or private ones")]
    Private,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { reach, is_private } = *self;
        Box::pin(async move {
            let within = |address: &SocketAddr| reach == Reach::Anywhere || !is_private(address.ip());
            let addresses: Vec<_> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.filter(within).collect();
            if addresses.is_empty() { Err(ResolveError::Private) } else { Ok(addresses.into_iter()) }
        })
    }
}

/// Whether an address means this machine, its network, or nothing: everything that is not globally reachable (RFC 6890)
/// but for what stands in documentation. Addresses that hold one of IPv4 are judged by that.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => embedded(address).map_or_else(|| is_private_v6(address), is_private_v4),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || match first {
            // This network; multicast, reserved, broadcast.
            0 | 224.. => true,
            // Carrier-grade NAT, RFC 6598.
            100 => (64..128).contains(&second),
            // Protocol assignments, benchmarks.
            192 => (second, third) == (0, 0),
            198 => matches!(second, 18 | 19),
            _ => false,
        }
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let [first, second, third, ..] = address.segments();
    address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        // Unique local, link-local and the site-local of old.
        || (first & 0xfe00) == 0xfc00
        || (first & 0xff80) == 0xfe80
        // Translation within a network (RFC 8215), Teredo.
        || (first, second, third) == (0x64, 0xff9b, 1)
        || (first, second) == (0x2001, 0)
}

/// The IPv4 address in a mapped, compatible, translated (RFC 6052) or 6to4 one.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = |segments: [u16; 2]| Ipv4Addr::from((u32::from(segments[0]) << 16) | u32::from(segments[1]));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x2002, a, b, ..] => {
            Some(last([a, b]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_others_cannot_reach_are_private() {
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "2002:7f00:1::",
            "2001:0:1::",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.0.1",
            "198.17.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::",
            "2606:4700::1111",
            "2001:4860:4860::8888",
        ] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }
}
