use std::time::Duration;

use crate::config::{Key, Reader, Section};

const SEND_STATE_ON_CONNECT: Key = Key::new(
    "Navigation:SendStateOnConnect",
    "whether a client gets NavigationStateChanged as soon as it is connected, for pages that never ask again after a reconnect",
);
const VERSION_CHECK_INTERVAL: Key = Key::new(
    "Navigation:VersionCheckInterval",
    "how often the version in the database is looked at without a reason: so long clients may be behind if an instance dies between \
     storing a change and telling the others, or Redis is away",
);

/// The section `Navigation`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NavigationConfig {
    /// Whether a client gets `NavigationStateChanged` as soon as it is connected. Default: false.
    pub send_state_on_connect: bool,
    /// How often the version in the database is looked at without a reason. Default: 2 s; 0.1 s to 1 h.
    pub version_check_interval: Duration,
}

impl Default for NavigationConfig {
    fn default() -> Self {
        Self { send_state_on_connect: false, version_check_interval: Duration::from_secs(2) }
    }
}

impl Section for NavigationConfig {
    const TITLE: &'static str = "Navigation state";

    fn read(reader: &mut Reader) -> Self {
        let default = Self::default();
        let range = Duration::from_millis(100)..=Duration::from_secs(3600);
        let expected = "from 0.1 s to an hour, such as 00:00:02 or 2";
        Self {
            send_state_on_connect: reader.boolean(SEND_STATE_ON_CONNECT, default.send_state_on_connect),
            version_check_interval: reader.span_within(
                VERSION_CHECK_INTERVAL,
                default.version_check_interval,
                range,
                expected,
            ),
        }
    }
}
