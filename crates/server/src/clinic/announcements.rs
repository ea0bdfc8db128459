//! What the instances tell each other about users.

use hubline_redis::{RawChannels, RawInbox, RawMessages, RawPublishError, RawSubscription};
use hubline_store::Timestamp;
use hubline_supervision::Vital;
use serde::{Deserialize, Serialize};

use super::gate::Gate;

/// The channel on Redis, behind the channel prefix.
const CHANNEL: &str = "hubline:users";
/// Announcements that may wait to be acted on.
const LIMIT_WAITING: usize = 10_000;
/// And their bytes.
const LIMIT_BYTES: u32 = 8 * 1024 * 1024;

/// What is to be done about a user, on every instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "camelCase")]
pub(super) enum Announcement {
    /// Close the user's connections, and keep the user out until this time, in ticks of 100 ns since 1970.
    Ban { user: String, until: i64 },
    /// Close the user's connections.
    Close { user: String },
    /// Let the user in again.
    Lift { user: String },
}

impl Announcement {
    pub(super) fn ban(user: &str, until: Timestamp) -> Self {
        Self::Ban { user: user.to_owned(), until: until.0 }
    }

    /// Tells all instances, this one too. Returns how many were told.
    pub(super) async fn publish(&self, channels: &RawChannels) -> Result<u64, RawPublishError> {
        let text = serde_json::to_vec(self).map_err(|error| RawPublishError::Refused(error.to_string()))?;
        channels.publish(CHANNEL, text).await
    }
}

/// Acts on what was announced.
pub(super) struct Listening {
    gate: Gate,
    messages: RawMessages,
    dropped: u64,
    _subscription: RawSubscription,
}

impl Listening {
    pub(super) async fn start(channels: &RawChannels, gate: Gate) -> Self {
        let (inbox, messages) = RawInbox::new(LIMIT_WAITING, LIMIT_BYTES);
        let subscription = channels.subscribe(CHANNEL, &inbox).await;
        Self { gate, messages, dropped: 0, _subscription: subscription }
    }
}

impl Vital for Listening {
    const NAME: &'static str = "announcements about users";

    async fn run(&mut self) {
        while let Some(message) = self.messages.next().await {
            match serde_json::from_slice(&message.payload) {
                Ok(announcement) => {
                    self.gate.act(&announcement);
                    self.gate.keep(announcement);
                }
                Err(error) => tracing::warn!(
                    channel = CHANNEL,
                    %error,
                    "An announcement that this version does not understand was left out; another program, or a newer version, publishes there"
                ),
            }
            let dropped = self.messages.dropped();
            if dropped != self.dropped {
                self.dropped = dropped;
                self.gate.reload_soon();
            }
        }
    }
}
