//! The section `Console` of the configuration.

use super::ring::LEAST_BYTES;
use crate::config::{Key, Reader, Section};

const ENABLED: Key = Key::new(
    "Console:Enabled",
    "whether /console is served, and this instance answers the consoles of others",
);
const TIMELINE_BYTES: Key = Key::new(
    "Console:TimelineBytes",
    "memory of an instance for what has happened to connections, the oldest of which is overwritten; a connection takes 100 to 190 bytes, and 710 at most. \
     0 remembers nothing",
);

/// What can be set for the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConsoleConfig {
    /// `Console:Enabled`. Default: true.
    pub(crate) is_enabled: bool,
    /// `Console:TimelineBytes`: 0, or 128 KiB at least. Default: 16 MiB.
    pub(crate) timeline_bytes: usize,
}

impl Section for ConsoleConfig {
    const TITLE: &'static str = "Console";

    fn read(reader: &mut Reader) -> Self {
        Self {
            is_enabled: reader.boolean(ENABLED, true),
            timeline_bytes: reader.bytes_or_none(TIMELINE_BYTES, 16 * 1024 * 1024, LEAST_BYTES),
        }
    }
}
