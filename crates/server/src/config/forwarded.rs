//! Whose `X-Forwarded-For` is believed.

use std::net::IpAddr;

use hubline::{ForwardedHeaders, IpNetwork};

use super::key::Key;
use super::list;
use super::reader::Reader;
use super::report::Problem;

const KNOWN_PROXIES: Key = Key::new(
    "ForwardedHeaders:KnownProxies",
    "proxies whose X-Forwarded-For is believed; those on this machine always are",
)
.list()
.unit("list of addresses");
const KNOWN_IP_NETWORKS: Key =
    Key::new("ForwardedHeaders:KnownIPNetworks", "networks of such proxies, 10.0.0.0/8")
        .list()
        .unit("list of networks");
const KNOWN_NETWORKS: Key = Key::new("ForwardedHeaders:KnownNetworks", "the same under its older name")
    .list()
    .unit("list of networks");
const FORWARD_LIMIT: Key =
    Key::new("ForwardedHeaders:ForwardLimit", "how many proxies stand one behind the other").unit("proxies");
const FORWARDED_HEADERS_ENABLED: Key = Key::new(
    "ForwardedHeaders_Enabled",
    "whether everybody's X-Forwarded-For is believed where no proxy is named (ASPNETCORE_FORWARDEDHEADERS_ENABLED)",
);

/// The proxies in front of the program, with those on this machine, which are known anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forwarded {
    pub(super) known: Vec<IpNetwork>,
    is_enabled: bool,
    pub(super) limit: usize,
}

impl Forwarded {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let mut known = read_list(reader, KNOWN_PROXIES, |proxy| {
            let address: Result<IpAddr, _> = proxy.parse();
            address.map(IpNetwork::from).map_err(|_| Problem::Expected("an IP address such as 10.0.0.1"))
        });
        for key in [KNOWN_IP_NETWORKS, KNOWN_NETWORKS] {
            known.extend(read_list(reader, key, |network| {
                network.parse().map_err(|_| Problem::Expected("a network such as 10.0.0.0/8 or fd00::/8"))
            }));
        }
        let limit = reader.count(FORWARD_LIMIT, 1);
        let is_enabled = reader.boolean(FORWARDED_HEADERS_ENABLED, false);
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
    key: Key,
    read: impl Fn(&str) -> Result<IpNetwork, Problem>,
) -> Vec<IpNetwork> {
    let (networks, source) = list::read(reader, key, read);
    let shown: Vec<_> = networks.iter().map(ToString::to_string).collect();
    reader.note(key.name, if shown.is_empty() { "loopback".to_owned() } else { shown.join(", ") }, source);
    networks
}
