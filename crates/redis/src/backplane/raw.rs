//! Channels without a hub.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hubline_backplane::PublishError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::outgoing::{Fate, Number};
use super::shared::{Shared, Tasks};
use super::subscriptions::Route;

/// Channels of your own on a backplane's links: payloads by name, for instances to talk to each other beside
/// their hubs.
///
/// - **Names** get the channel prefix in front and must not be those of a hub's channels
///   (`{hub}:all`, `{hub}:group:…`). A name belongs to the same node as the channel, on every instance.
/// - **Receiving.** Messages of one channel come in the order in which Redis took them, into the [`RawInbox`] it
///   was subscribed with. Subscriptions are restored with the links; what is published meanwhile is lost.
///   The links are shared with the hubs, so a message may come late while a hub is behind with its own, for as
///   long as that takes to reach the queues of its connections. An inbox never holds up
///   the hubs: what comes while it is full is dropped, and counted.
/// - **Publishing** says how many instances received. It shares the bounds of the hubs' publications (2,048 or
///   16 MiB on their way) and waits for room. While the link is down it fails at once with
///   [`RawPublishError::NotConnected`]. Nothing is kept for later, and nothing is delivered but by Redis.
///   An instance that is subscribed to the channel gets its own messages too.
#[derive(Clone)]
pub struct RawChannels {
    shared: Arc<Shared>,
    _tasks: Arc<Tasks>,
}

/// The sending half of a bounded queue for the messages of channels. Cloning shares the queue.
#[derive(Debug, Clone)]
pub struct RawInbox {
    messages: mpsc::Sender<RawMessage>,
    room: Arc<Semaphore>,
    limit_bytes: usize,
    dropped: Arc<AtomicU64>,
}

/// The receiving half of a [`RawInbox`].
#[derive(Debug)]
pub struct RawMessages {
    messages: mpsc::Receiver<RawMessage>,
    dropped: Arc<AtomicU64>,
}

/// A message of a raw channel. It takes its room in the inbox until it is dropped.
#[derive(Debug)]
pub struct RawMessage {
    /// As it was subscribed, without the prefix.
    pub channel: Arc<str>,
    /// As it was published.
    pub payload: Bytes,
    _room: OwnedSemaphorePermit,
}

/// A channel that is subscribed to, until this is dropped.
#[must_use = "dropping it ends the subscription"]
pub struct RawSubscription {
    shared: Arc<Shared>,
    channel: String,
}

/// Why a payload was not published, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RawPublishError {
    /// The payload was not sent because the link is down; holds the reason.
    #[error("not connected to Redis: {0}")]
    NotConnected(String),
    /// The payload was sent and the link was lost before the reply: it may have arrived or not.
    #[error("the connection to Redis was lost before the answer")]
    Unanswered,
    /// Redis refused the payload, or it is larger than 30 MiB.
    #[error("the payload was refused: {0}")]
    Refused(String),
}

impl RawInbox {
    /// Creates a queue for so many messages and bytes of payload. A single message may have any size.
    pub fn new(limit_messages: usize, limit_bytes: u32) -> (Self, RawMessages) {
        let (sender, receiver) = mpsc::channel(limit_messages.max(1));
        let dropped = Arc::<AtomicU64>::default();
        let limit_bytes = usize::try_from(limit_bytes).unwrap_or(Semaphore::MAX_PERMITS);
        let room = Arc::new(Semaphore::new(limit_bytes));
        let inbox = Self { messages: sender, room, limit_bytes, dropped: Arc::clone(&dropped) };
        (inbox, RawMessages { messages: receiver, dropped })
    }

    /// Never waits.
    pub(super) fn put(&self, channel: &Arc<str>, payload: Vec<u8>) {
        let bytes = u32::try_from(payload.len().min(self.limit_bytes)).unwrap_or(u32::MAX);
        let put = Arc::clone(&self.room).try_acquire_many_owned(bytes).ok().and_then(|room| {
            let message = RawMessage { channel: Arc::clone(channel), payload: payload.into(), _room: room };
            self.messages.try_send(message).ok()
        });
        if put.is_none() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl RawMessages {
    /// Waits for the next message; `None` when every clone of the inbox is dropped, those of subscriptions too.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn next(&mut self) -> Option<RawMessage> {
        self.messages.recv().await
    }

    /// Number of messages that were dropped because the inbox was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl RawChannels {
    pub(super) fn new(shared: &Arc<Shared>, tasks: &Arc<Tasks>) -> Self {
        Self { shared: Arc::clone(shared), _tasks: Arc::clone(tasks) }
    }

    /// Has the channel's messages put into the inbox. Ready when Redis has confirmed it, or at once while the link
    /// is down: it is restored with it.
    ///
    /// A channel has one inbox. Subscribed again it counts once more, and goes on with the inbox it has.
    ///
    /// # Cancel safety
    /// Dropped early, there is no subscription.
    pub async fn subscribe(&self, name: &str, inbox: &RawInbox) -> RawSubscription {
        let channel = self.channel(name);
        let subscription = RawSubscription { shared: Arc::clone(&self.shared), channel };
        let route = Route::Raw { name: name.into(), inbox: inbox.clone() };
        self.shared.subscribe(&subscription.channel, route).await;
        subscription
    }

    /// Publishes a payload, of 30 MiB at most. Returns how many instances received it.
    ///
    /// # Errors
    /// See [`RawPublishError`].
    ///
    /// # Cancel safety
    /// Dropped early, it may or may not have been published.
    pub async fn publish(&self, name: &str, payload: impl Into<Bytes>) -> Result<u64, RawPublishError> {
        let channel = self.channel(name);
        let node = self.shared.node_of(&channel);
        let fate = match self.shared.limited(name, payload.into()) {
            Ok(payload) => self.shared.send_internal(&channel, payload, Number::None).await,
            Err(error) => Err(error),
        };
        match fate {
            Ok(Fate::Taken { receivers }) => Ok(receivers),
            Ok(Fate::Unanswered) => Err(RawPublishError::Unanswered),
            Ok(Fate::NotSent) => Err(RawPublishError::NotConnected(node.why_unreachable())),
            Ok(Fate::Refused(answer)) | Err(PublishError::Refused(answer)) => {
                Err(RawPublishError::Refused(answer))
            }
            Err(error) => Err(RawPublishError::Refused(error.to_string())),
        }
    }

    fn channel(&self, name: &str) -> String {
        [self.shared.prefix(), name].concat()
    }
}

impl Drop for RawSubscription {
    fn drop(&mut self) {
        self.shared.nodes.at_node_of(&self.channel, |at| at.remove(&self.channel));
    }
}

impl fmt::Debug for RawChannels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawChannels").finish_non_exhaustive()
    }
}

impl fmt::Debug for RawSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawSubscription").field("channel", &self.channel).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_inbox_drops_what_comes() {
        let (inbox, mut messages) = RawInbox::new(2, 10);
        let channel = Arc::from("c");
        for payload in ["12345", "123456", "1234", "", "5"] {
            inbox.put(&channel, payload.into());
        }
        assert_eq!(messages.dropped(), 3);
        let first = messages.next().await.unwrap();
        assert_eq!((&*first.channel, &*first.payload), ("c", &b"12345"[..]));
        assert_eq!(messages.next().await.unwrap().payload, "1234");
        drop(first);
        inbox.put(&channel, vec![0; 1000]);
        assert_eq!(messages.next().await.unwrap().payload.len(), 1000, "one of any size");
        drop(inbox);
        assert!(messages.next().await.is_none());
    }
}
