//! What clients may ask for.

use hubline::{AddressLimits, HubLimits};

use super::Section;
use super::key::Key;
use super::reader::Reader;

const CONNECTIONS_PER_SECOND: Key = Key::new(
    "Limits:ConnectionsPerSecond",
    "clients that are let in within a second, so that those that are there are served while many come at once; others wait for their \
     turn, and none is refused",
)
.unit("connections per second");
const CONNECTIONS_PER_ADDRESS: Key = Key::new(
    "Limits:ConnectionsPerAddress",
    "connections one address may have at once; more is 429. Name your proxies (ForwardedHeaders) first",
)
.unit("connections");
const NEGOTIATIONS_PER_ADDRESS: Key = Key::new(
    "Limits:NegotiationsPerSecondPerAddress",
    "negotiations of one address in a second; more is 429",
)
.unit("negotiations per second");
const MESSAGES_PER_SECOND: Key = Key::new(
    "Limits:MessagesPerSecond",
    "messages one client may send in a second; who sends more is not read for a while, and never closed",
)
.unit("messages per second");
const BYTES_PER_SECOND: Key =
    Key::new("Limits:BytesPerSecond", "bytes one client may send in a second, likewise")
        .unit("bytes per second");
const GROUPS_PER_CONNECTION: Key = Key::new(
    "Limits:GroupsPerConnection",
    "groups one connection may be in; a call that asks for more fails with a HubException that names the setting",
)
.unit("groups");
const GROUP_NAME_BYTES: Key =
    Key::new("Limits:GroupNameBytes", "longest name of a group, likewise").unit("bytes");
const METHOD_NAME_BYTES: Key =
    Key::new("Limits:MethodNameBytes", "longest name of a method, likewise").unit("bytes");

/// What one client, and one address, may ask for.
#[derive(Debug, Clone)]
pub(crate) struct LimitsConfig {
    /// Of one client; the library's limits are off, the program's are not.
    pub(crate) clients: HubLimits,
    /// Of all together; 0 for none.
    pub(crate) connections_per_second: u32,
    /// Of one address.
    pub(crate) addresses: AddressLimits,
}

impl Section for LimitsConfig {
    const TITLE: &'static str = "Limits (0 for none)";

    fn read(reader: &mut Reader) -> Self {
        let connections_per_second = reader.limit(CONNECTIONS_PER_SECOND, 2_000);
        let addresses = AddressLimits::default()
            .connections(reader.limit(CONNECTIONS_PER_ADDRESS, 0))
            .negotiations_per_second(reader.limit(NEGOTIATIONS_PER_ADDRESS, 0));
        Self { connections_per_second, addresses, clients: clients(reader) }
    }
}

fn clients(reader: &mut Reader) -> HubLimits {
    let mut limit = |key, default| reader.limit(key, default) as usize;
    let mut limits = HubLimits::default();
    limits.messages_per_second = limit(MESSAGES_PER_SECOND, 10_000);
    limits.bytes_per_second = limit(BYTES_PER_SECOND, 64 * 1024 * 1024);
    limits.groups_per_connection = limit(GROUPS_PER_CONNECTION, 10_000);
    limits.group_name_bytes = limit(GROUP_NAME_BYTES, 1024);
    limits.method_name_bytes = limit(METHOD_NAME_BYTES, 256);
    limits
}
