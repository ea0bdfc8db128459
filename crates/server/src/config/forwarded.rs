//! Whose `X-Forwarded-For` is believed.

use std::net::IpAddr;

use hubline::{ForwardedHeaders, IpNetwork};

use super::reader::Reader;
use super::report::Problem;
use super::{keys, list};

/// The proxies in front of the program, with those on this machine, which are known anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forwarded {
    pub(super) known: Vec<IpNetwork>,
    is_enabled: bool,
    pub(super) limit: usize,
}

impl Forwarded {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let mut known = read_list(reader, keys::KNOWN_PROXIES, |proxy| {
            let address: Result<IpAddr, _> = proxy.parse();
            address.map(IpNetwork::from).map_err(|_| Problem::Expected("an IP address such as 10.0.0.1"))
        });
        for key in [keys::KNOWN_IP_NETWORKS, keys::KNOWN_NETWORKS] {
            known.extend(read_list(reader, key, |network| {
                network.parse().map_err(|_| Problem::Expected("a network such as 10.0.0.0/8 or fd00::/8"))
            }));
        }
        let limit = reader.count(keys::FORWARD_LIMIT, 1);
        let is_enabled = reader.boolean(keys::FORWARDED_HEADERS_ENABLED, false);
        Self { known, is_enabled, limit }
    }

    pub(super) fn believes_all(&self) -> bool {
        self.is_enabled && self.known.is_empty()
    }

    /// As ASP.NET Core has it: enabled by the one variable everybody is believed, unless proxies are named.
    pub(crate) fn headers(&self) -> ForwardedHeaders {
        let named =
            self.known.iter().fold(ForwardedHeaders::default(), |headers, known| headers.known(*known));
        let headers = named.forward_limit(self.limit);
        if self.believes_all() { headers.known_all() } else { headers }
    }
}

fn read_list(
    reader: &mut Reader,
    key: &'static str,
    read: impl Fn(&str) -> Result<IpNetwork, Problem>,
) -> Vec<IpNetwork> {
    let (networks, source) = list::read(reader, key, read);
    let shown: Vec<_> = networks.iter().map(ToString::to_string).collect();
    reader.note(key, if shown.is_empty() { "loopback".to_owned() } else { shown.join(", ") }, source);
    networks
}
