//! One Redis node: its pair of links, what is wanted from it, and what is on its way to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hubline_backplane::{PublishError, Published, Reach, Status};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::counters::Counters;
use super::dialect::Dialect;
use super::echoes::{Echoes, Numbered};
use super::hub::Delivery;
use super::latency::Due;
use super::listeners::Listeners;
use super::moved::{LIMIT_REDIRECTIONS, Moved};
use super::outbox::{Entry, Outbox};
use super::outgoing::{Content, Fate, Kind, Message, Number, Outgoing, Queue, QueueEnd, Room, shut_down};
use super::refusals::{Refusals, cure, says_moved, says_not_now};
use super::status::NodeStatus;
use super::subscriptions::Subscriptions;
use crate::RedisOptions;
use crate::client::topology::Location;

/// How long messages wait when Redis has refused one for the moment.
pub(super) const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(100);

/// What its task and the hubs share.
pub(super) struct Node {
    pub(super) location: Location,
    pub(super) options: Arc<RedisOptions>,
    pub(super) client_name: Arc<str>,
    pub(super) subscriptions: Subscriptions,
    pub(super) listeners: Listeners,
    pub(super) outbox: Outbox,
    pub(super) status: NodeStatus,
    pub(super) counters: Arc<Counters>,
    stage: AtomicU8,
    pub(super) refusals: Refusals,
    /// Told when messages have to wait for a moment, and until when.
    postponed: Notify,
    not_before: Mutex<Option<Instant>>,
    /// Whether a publishing link that is held goes on answering.
    is_answering: AtomicBool,
    echoes: Mutex<Echoes<Box<Outgoing>>>,
    is_measure_due: Due,
    pub(super) queue: Queue,
    /// In a cluster.
    moved: Option<mpsc::UnboundedSender<Moved>>,
}

/// How far a node can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// There is no link, or it does not answer, or not everything that is wanted is subscribed yet.
    Down,
    /// This instance hears everything; others may be on their way back still.
    Restored,
    /// Messages go through.
    Open,
}

impl Node {
    pub(super) fn new(
        location: Location,
        options: &Arc<RedisOptions>,
        client_name: &Arc<str>,
        status: NodeStatus,
        counters: &Arc<Counters>,
        moved: Option<mpsc::UnboundedSender<Moved>>,
    ) -> (Arc<Self>, QueueEnd) {
        let (queue, waiting) = Queue::new();
        let subscriptions = Subscriptions::new(Dialect::of(options), location.in_doubt());
        let node = Self {
            location,
            options: Arc::clone(options),
            client_name: Arc::clone(client_name),
            subscriptions,
            listeners: Listeners::default(),
            outbox: Outbox::new(options.outbox, counters),
            status,
            counters: Arc::clone(counters),
            stage: AtomicU8::new(Stage::Down as u8),
            refusals: Refusals::default(),
            postponed: Notify::new(),
            not_before: Mutex::default(),
            is_answering: AtomicBool::new(false),
            echoes: Mutex::default(),
            is_measure_due: Due::default(),
            queue,
            moved,
        };
        (Arc::new(node), waiting)
    }

    /// When a message for this channel was sent: now, if it is time to measure how long one takes.
    pub(super) fn measure(&self, channel: &str) -> Option<Instant> {
        self.is_measure_due.take(|| self.subscriptions.wants(channel))
    }

    /// It is time to measure one more, unless one is on its way.
    pub(super) fn measure_another(&self) {
        if !self.echoes().measuring.is_under_way() {
            self.is_measure_due.set();
        }
    }

    /// Puts a payload into the queue, behind all that was put there.
    pub(super) async fn put(&self, outgoing: Box<Outgoing>) -> Result<(), PublishError> {
        self.subscriptions.settled(&outgoing.channel).await;
        self.queue.put(outgoing).await
    }

    /// Publishes what is no message, and says what became of it: at once, while the node cannot be used.
    pub(super) async fn send_internal(
        &self,
        channel: Arc<str>,
        payload: Bytes,
        number: Number,
    ) -> Result<Fate, PublishError> {
        self.subscriptions.settled(&channel).await;
        if !self.takes(Kind::Internal) {
            return Ok(Fate::NotSent);
        }
        let room = self.queue.room(&channel, &payload).await?;
        let (done, fate) = oneshot::channel();
        let outgoing = Outgoing { channel, payload, number, content: Content::Internal(done), room };
        self.queue.put(Box::new(outgoing)).await?;
        fate.await.map_err(|_| shut_down())
    }

    /// Gives back whatever is in the queue or comes. Ends with it.
    pub(super) async fn hand_back(&self, waiting: &mut QueueEnd) {
        while let Some(outgoing) = waiting.recv().await {
            self.finish(outgoing, Fate::NotSent);
        }
    }

    /// The number of a payload on its channel, if it needs one.
    pub(super) fn number(&self, outgoing: &mut Outgoing) -> Option<u64> {
        outgoing.number(|channel| self.counters.numbering.next(channel))
    }

    /// Tells whom it concerns what became of a payload. A message that Redis has not taken, or not said so, goes to this
    /// instance's own connections, and into the outbox for the others if it was never sent.
    pub(super) fn finish(&self, mut outgoing: Box<Outgoing>, fate: Fate) {
        if let Content::Message(message) = &mut outgoing.content
            && message.redirections < LIMIT_REDIRECTIONS
            && let Some(moved) = self.if_moved(&fate)
        {
            message.redirections += 1;
            // An error means that the backplane is gone.
            _ = moved.send(Moved::Message(outgoing));
            return;
        }
        let number = self.number(&mut outgoing);
        let Outgoing { channel, payload, content, room, .. } = *outgoing;
        let mut message = match content {
            Content::Message(message) => message,
            Content::Internal(done) => {
                // Whoever published may have stopped waiting.
                _ = done.send(fate);
                return;
            }
        };
        let reach = match self.postponed_if_not_now(fate) {
            Fate::Taken { receivers } => {
                self.taken();
                message.published(Published { receivers, reach: Reach::Fleet });
                return;
            }
            Fate::Refused(answer) => {
                self.refused(&channel, &answer);
                Reach::ThisInstance
            }
            Fate::Unanswered => Reach::Unknown,
            Fate::NotSent => {
                let is_kept = self.outbox.put(Arc::clone(&channel), payload, number.unwrap_or_default());
                if is_kept { Reach::Queued } else { Reach::ThisInstance }
            }
        };
        self.deliver_here(&channel, message, reach, room);
    }

    /// Redis has taken a publication, and its echo has not come.
    pub(super) fn taken_before_echo(
        &self,
        mut outgoing: Box<Outgoing>,
        receivers: u64,
        publication: Numbered,
    ) {
        match &mut outgoing.content {
            Content::Message(message) if self.subscriptions.wants(&outgoing.channel) => {
                self.taken();
                message.published(Published { receivers, reach: Reach::Fleet });
                outgoing.payload = Bytes::new();
                self.echoes().keep(publication, outgoing);
            }
            _ => self.finish(outgoing, Fate::Taken { receivers }),
        }
    }

    /// Gives this instance's own connections what Redis has taken and not brought back.
    pub(super) fn deliver_late(&self, late: impl IntoIterator<Item = (Numbered, Box<Outgoing>)>) {
        for (_, outgoing) in late {
            let Outgoing { content: Content::Message(message), room, .. } = *outgoing else { continue };
            let hub = Arc::clone(&message.hub);
            let published = Published { receivers: 0, reach: Reach::Fleet };
            hub.deliver(Delivery::Here { message, published, room });
        }
    }

    /// Does so before anything is delivered that was published later.
    pub(super) fn overtake_late(&self) {
        let late = self.echoes().overtake();
        self.deliver_late(late);
    }

    fn deliver_here(&self, channel: &str, message: Message, reach: Reach, room: Room) {
        self.overtake_late();
        let published = Published { receivers: u64::from(self.subscriptions.wants(channel)), reach };
        let hub = Arc::clone(&message.hub);
        hub.deliver(Delivery::Here { message, published, room });
    }

    /// Redis has taken a message.
    fn taken(&self) {
        if self.refusals.end() {
            self.status.set(Status::Connected);
        }
    }

    /// Says what becomes of one from the outbox. What has not been sent goes back.
    pub(super) fn finish_replay(&self, entry: Entry, fate: Fate) {
        if let Some(moved) = self.if_moved(&fate) {
            // An error means that the backplane is gone.
            _ = moved.send(Moved::Replay(entry));
            return;
        }
        match self.postponed_if_not_now(fate) {
            Fate::Taken { .. } => self.taken(),
            Fate::Refused(answer) => self.refused(&entry.channel, &answer),
            Fate::Unanswered => {}
            Fate::NotSent => self.outbox.put_back(entry),
        }
    }

    /// Whom to tell, if what had this fate belongs to another node now.
    fn if_moved(&self, fate: &Fate) -> Option<&mpsc::UnboundedSender<Moved>> {
        let has_moved = match fate {
            Fate::Refused(answer) => says_moved(answer),
            Fate::NotSent => self.status.is_retired(),
            Fate::Taken { .. } | Fate::Unanswered => false,
        };
        self.moved.as_ref().filter(|_| has_moved)
    }

    /// What Redis has refused for the moment counts as not sent, and messages wait until it is asked again.
    fn postponed_if_not_now(&self, fate: Fate) -> Fate {
        let answer = match fate {
            Fate::Refused(answer) if says_not_now(&answer) => answer,
            fate => return fate,
        };
        self.location.in_doubt().notify_one();
        self.postpone(&answer, BETWEEN_ATTEMPTS);
        Fate::NotSent
    }

    /// Lets messages wait at least for so long.
    pub(super) fn postpone(&self, reason: &str, duration: Duration) {
        if self.stage() == Stage::Open {
            tracing::debug!(reason, "messages to Redis wait for a moment");
            self.set_stage(Stage::Restored);
            self.listeners.forget_outdated();
            self.status.disconnected(&format_args!("messages wait for a moment: {reason}"));
            *self.not_before() = Some(Instant::now() + duration);
            self.postponed.notify_one();
        }
    }

    /// Ready when messages have waited.
    pub(super) async fn postponed(&self) {
        self.postponed.notified().await;
        let not_before = *self.not_before();
        if let Some(not_before) = not_before {
            sleep_until(not_before).await;
        }
    }

    fn not_before(&self) -> MutexGuard<'_, Option<Instant>> {
        self.not_before.lock()
    }

    /// Redis has refused a message.
    fn refused(&self, channel: &str, answer: &str) {
        self.counters.refused.increment();
        self.status.disconnected(&format_args!("Redis refuses messages: {answer}"));
        if let Some(unlogged) = self.refusals.happened() {
            tracing::warn!(
                channel,
                answer,
                unlogged,
                "Redis refuses messages, which reach this instance alone; {}",
                cure(answer)
            );
        }
    }

    pub(super) fn set_answering(&self, is_answering: bool) {
        self.is_answering.store(is_answering, Ordering::Relaxed);
    }

    pub(super) fn is_answering(&self) -> bool {
        self.is_answering.load(Ordering::Relaxed)
    }

    /// Why it is not reached.
    pub(super) fn why_unreachable(&self) -> String {
        self.status.why_disconnected().unwrap_or_else(|| "the link to Redis was lost".to_owned())
    }

    pub(super) fn takes(&self, kind: Kind) -> bool {
        match kind {
            Kind::Message => self.stage() >= Stage::Open,
            Kind::Internal => self.stage() >= Stage::Restored,
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Down,
            1 => Stage::Restored,
            _ => Stage::Open,
        }
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    pub(super) fn echoes(&self) -> MutexGuard<'_, Echoes<Box<Outgoing>>> {
        self.echoes.lock()
    }
}
