//! What instances tell each other: that something has changed, or is to be sent again.
//!
//! A message on the channel `hubline:navigation-state`, behind the channel prefix, is text: the sender's id, `changed` or `trigger`, and
//! when that was in Unix seconds, with spaces between them. It holds no state: each instance reads that in the database. One that misses
//! a message finds the version there within `Navigation:VersionCheckInterval`.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hubline_redis::{RawChannels, RawInbox, RawPublishError};
use hubline_supervision::Vital;
use tokio::sync::watch;

use super::shared::Shared;
use super::view::UnixSeconds;

const CHANNEL: &str = "hubline:navigation-state";
/// Messages that wait for this instance; a second one of a kind says nothing new.
const LIMIT_MESSAGES: usize = 64;
const LIMIT_BYTES: u32 = 16 * 1024;
const CHANGED: &str = "changed";
const TRIGGER: &str = "trigger";

/// The channel, as one instance uses it.
#[derive(Debug, Clone)]
pub(super) struct Announcements {
    channels: RawChannels,
    sender: Arc<str>,
}

impl Announcements {
    pub(super) fn new(channels: RawChannels) -> Self {
        let sender = format!("{:016x}", RandomState::new().hash_one(std::process::id())).into();
        Self { channels, sender }
    }

    /// Asks all instances to send the state. Returns how many got that.
    pub(super) async fn trigger(&self, at: UnixSeconds) -> Result<u64, RawPublishError> {
        self.publish(TRIGGER, at).await
    }

    async fn publish(&self, what: &str, UnixSeconds(at): UnixSeconds) -> Result<u64, RawPublishError> {
        self.channels.publish(CHANNEL, format!("{} {what} {at}", self.sender)).await
    }
}

/// Tells the other instances of changes that this one has taken.
pub(super) struct Announcer {
    pub(super) shared: Arc<Shared>,
    pub(super) announcements: Announcements,
    pub(super) taken: watch::Receiver<UnixSeconds>,
}

impl Vital for Announcer {
    const NAME: &'static str = "announcements of the navigation state";

    async fn run(&mut self) {
        while self.taken.changed().await.is_ok() {
            let at = *self.taken.borrow_and_update();
            if let Err(error) = self.announcements.publish(CHANGED, at).await
                && self.shared.counters.announcements_failed.fetch_add(1, Ordering::Relaxed) == 0
            {
                tracing::info!(
                    %error,
                    "Other instances cannot be told of a change of the navigation state; they find it within {:?} \
                     (Navigation:VersionCheckInterval). Further cases are counted",
                    self.shared.config.version_check_interval
                );
            }
        }
    }
}

/// Hears what other instances tell.
pub(super) struct Listener {
    pub(super) shared: Arc<Shared>,
    pub(super) announcements: Announcements,
}

impl Vital for Listener {
    const NAME: &'static str = "listening for the navigation state";

    async fn run(&mut self) {
        let (inbox, mut messages) = RawInbox::new(LIMIT_MESSAGES, LIMIT_BYTES);
        let _subscription = self.announcements.channels.subscribe(CHANNEL, &inbox).await;
        // What was said before this instance listened.
        self.shared.change(UnixSeconds::now());
        while let Some(message) = messages.next().await {
            match read(&message.payload) {
                Some((sender, _, _)) if *sender == *self.announcements.sender => {}
                Some((_, CHANGED, at)) => self.shared.change(at),
                Some((_, TRIGGER, at)) => self.shared.trigger(at),
                _ => tracing::debug!("A message on {CHANNEL} that is not understood"),
            }
        }
    }
}

/// Who says what, and when that was.
fn read(payload: &[u8]) -> Option<(&str, &str, UnixSeconds)> {
    let (sender, rest) = std::str::from_utf8(payload).ok()?.split_once(' ')?;
    let (what, at) = rest.split_once(' ')?;
    Some((sender, what, UnixSeconds(at.parse().ok().filter(|at: &f64| at.is_finite())?)))
}
