//! Payloads that cannot be used: counted, and logged once a second at most.

use std::fmt;

use super::seldom::Seldom;

#[derive(Debug, Default)]
pub(crate) struct Garbage(Seldom);

impl Garbage {
    pub(crate) fn found(&self, channel: &str, reason: &dyn fmt::Display) {
        if let Some(unlogged) = self.0.happened() {
            tracing::warn!(channel, %reason, unlogged, "payload from Redis dropped");
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.0.count()
    }
}
