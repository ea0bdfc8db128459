//! The publishing link: writes PUBLISH commands, many at once, and matches the replies.

mod ending;
mod in_flight;
mod lag;

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use redis::{RedisWrite, Value};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use self::in_flight::{InFlight, What};
use self::lag::Lag;
use super::dialect::Dialect;
use super::latency::BETWEEN_MEASURES;
use super::listeners::BETWEEN_COUNTS;
use super::node::{BETWEEN_ATTEMPTS, Node, Stage};
use super::outgoing::{Fate, Kind, Outgoing, QueueEnd};
use super::refusals::{says_moved, says_not_now, says_too_large};
use super::unwritten::Unwritten;
use crate::client::link::{self, Link, LinkLost};

/// Commands without a reply. Full: payloads wait in their queue.
const LIMIT_UNANSWERED: usize = 1024;
/// Packed commands that wait for the socket.
const LIMIT_UNWRITTEN_BYTES: usize = 64 * 1024;
/// How long a link that is given up gets, to be read to its end.
pub(super) const FAREWELL: Duration = Duration::from_millis(500);

/// How often the links are used and how long they may be silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// An idle link is pinged this often.
    pub(super) keep_alive: Duration,
    /// No answer for this long, and the link counts as silent; noticed up to a quarter later.
    pub(super) answer: Duration,
}

pub(super) struct PublishingLink<'a> {
    node: &'a Node,
    link: Link,
    patience: Patience,
    in_flight: VecDeque<InFlight>,
    unwritten: Unwritten,
    used: Instant,
    /// When one was last due to be measured.
    measured: Instant,
    progress: Progress,
    lag: Lag,
    /// Taken from the queue, and not its turn yet.
    next: Option<Box<Outgoing>>,
    /// Redis has refused a message for the moment: there is no use in sending it many.
    is_cautious: bool,
    /// When the fleet was last counted.
    counted: Option<Instant>,
    /// Whether messages have been published since.
    is_count_due: bool,
    /// Whether Redis has refused to count, as the rights of a user may have it. Then it is not asked again.
    refuses_to_count: bool,
}

/// How long the same reply has been waited for, looked at now and then.
struct Progress {
    /// The end of its command.
    waits_for: Option<u64>,
    since: Instant,
}

impl<'a> PublishingLink<'a> {
    pub(super) fn new(node: &'a Node, link: Link, patience: Patience) -> Self {
        Self {
            node,
            link,
            patience,
            in_flight: VecDeque::new(),
            unwritten: Unwritten::default(),
            used: Instant::now(),
            measured: Instant::now(),
            progress: Progress { waits_for: None, since: Instant::now() },
            lag: Lag::default(),
            next: None,
            is_cautious: false,
            counted: None,
            is_count_due: false,
            refuses_to_count: false,
        }
    }

    /// Publishes until the link is gone or silent.
    ///
    /// # Cancel safety
    /// Safe: nothing leaves the queue or the outbox without being kept here.
    pub(super) async fn run(&mut self, queue: &mut QueueEnd) -> LinkLost {
        let mut tick = interval(self.patience.answer.min(self.patience.keep_alive) / 4);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let has_room = self.has_room() && !self.is_held_back();
            tokio::select! {
                reply = self.link.replies.next() => {
                    if let Err(lost) = reply.and_then(|reply| self.answered(reply)) {
                        return lost;
                    }
                }
                written = self.link.writer.write(self.unwritten.bytes()), if self.has_to_write() => match written {
                    Ok(0) if !self.unwritten.is_empty() => return self.read_rest(LinkLost::Closed).await,
                    Ok(written) => self.unwritten.advance(written),
                    Err(error) => return self.read_rest(error.into()).await,
                },
                () = self.node.subscriptions.caught_up(), if self.lag.is_asked() => self.lag.caught_up(self.node),
                () = self.node.listeners.wanted(), if self.node.stage() > Stage::Down => self.count(),
                () = wait_for(queue, &mut self.next, self.node), if has_room => {
                    self.accept(queue);
                    self.count_if_due();
                }
                _ = tick.tick() => {
                    self.count_if_due();
                    if let Err(lost) = self.check() {
                        return lost;
                    }
                }
            }
        }
    }

    /// Reads the last replies of a link that nothing can be written to any more: one may say why.
    async fn read_rest(&mut self, lost: LinkLost) -> LinkLost {
        let rest = async {
            while let Ok(reply) = self.link.replies.next().await
                && self.answered(reply).is_ok()
            {}
        };
        _ = timeout(FAREWELL, rest).await;
        lost
    }

    /// Takes whatever is waiting: one write for many.
    fn accept(&mut self, queue: &mut QueueEnd) {
        while self.has_room() {
            if self.next.is_none() {
                self.next = queue.try_recv().ok();
            }
            // What is in the outbox was published before what is in the queue.
            if self.node.takes(Kind::Message)
                && let Some(entry) = self.node.outbox.take()
            {
                self.publish(What::Replay(entry));
            } else if let Some(outgoing) = self.next.take() {
                if self.takes(&outgoing) {
                    self.publish(What::Publication(outgoing));
                } else if self.awaits_fate() {
                    self.next = Some(outgoing);
                    return;
                } else {
                    self.node.finish(outgoing, Fate::NotSent);
                }
            } else {
                return;
            }
        }
    }

    /// A hub that has just been attached may not hear its own channel yet.
    fn takes(&self, outgoing: &Outgoing) -> bool {
        let kind = outgoing.kind();
        self.node.takes(kind)
            && (kind == Kind::Internal || self.node.subscriptions.brings_back(&outgoing.channel))
    }

    /// Whether what is next is not sent, and so has to wait until it is known what became of what was before it.
    fn is_held_back(&self) -> bool {
        self.next.as_ref().is_some_and(|next| !self.takes(next)) && self.awaits_fate()
    }

    /// Whether there is no answer for something that may have to be delivered here, or to be sent again.
    fn awaits_fate(&self) -> bool {
        self.in_flight.iter().any(|one| one.what.published().is_some())
    }

    /// Writes a publication or a replay, behind which its id gets its place.
    fn publish(&mut self, mut what: What) {
        let number = match &mut what {
            What::Publication(outgoing) => self.node.number(outgoing),
            What::Replay(entry) => Some(entry.number),
            What::Ping | What::Count | What::HandedBack(..) => None,
        };
        let Some((channel, payload)) = what.published() else { return };
        let mut publish = redis::cmd(self.node.subscriptions.dialect().publish());
        publish.arg(&**channel);
        match number {
            None => _ = publish.arg(&**payload),
            Some(number) => {
                let id = self.node.counters.numbering.id(number, matches!(what, What::Replay(_)));
                let mut argument = publish.writer_for_next_arg();
                let written =
                    argument.write_all(payload).and_then(|()| id.put(what.trace_parent(), &mut argument));
                debug_assert!(written.is_ok(), "memory takes what is written");
            }
        }
        let publication = number.map(|number| (Arc::clone(channel), number));
        self.node.echoes().written(publication, what.measured_from());
        self.lag.published(payload.len());
        let is_message = what.is_message();
        self.pack(what, &publish);
        self.is_count_due |= is_message;
    }

    fn has_room(&self) -> bool {
        self.in_flight.len() < if self.is_cautious { 1 } else { LIMIT_UNANSWERED }
            && self.unwritten.len() < LIMIT_UNWRITTEN_BYTES
            && self.lag.has_room()
    }

    fn has_to_write(&self) -> bool {
        !self.unwritten.is_empty() || self.link.writer.holds_back()
    }

    fn pack(&mut self, what: What, command: &redis::Cmd) {
        let begin = self.unwritten.end();
        self.unwritten.pack(command);
        let (expects_echo, since) = (what.published().is_some(), Instant::now());
        self.in_flight.push_back(InFlight { what, begin, end: self.unwritten.end(), since, expects_echo });
        self.used = since;
        if since.duration_since(self.measured) >= BETWEEN_MEASURES {
            self.measured = since;
            self.node.measure_another();
        }
    }

    fn answered(&mut self, reply: Value) -> Result<(), LinkLost> {
        let too_large = matches!(&reply, Value::ServerError(error) if says_too_large(&link::text(error)));
        // Redis looks at the announced length alone, and ends the link.
        let is_answered = |first: &mut InFlight| too_large || first.end <= self.unwritten.written();
        let Some(first) = self.in_flight.pop_front_if(is_answered) else {
            return Err(LinkLost::Malformed("a reply to nothing".to_owned()));
        };
        let unechoed = if first.expects_echo { self.node.echoes().answered() } else { None };
        if let Some(bytes) = first.what.payload_bytes() {
            self.lag.answered(bytes, self.node);
        }
        let fate = match (&first.what, reply) {
            (What::Ping, _) => return Ok(()),
            (What::Count, Value::ServerError(error)) => {
                self.refuses_to_count = !says_not_now(&link::text(&error));
                return Ok(());
            }
            (What::Count, reply) => {
                self.node.listeners.counted(reply, self.node.stage() == Stage::Open);
                return Ok(());
            }
            (_, Value::Int(receivers)) => Fate::Taken { receivers: u64::try_from(receivers).unwrap_or(0) },
            (_, Value::ServerError(error)) => Fate::Refused(link::text(&error)),
            (_, reply) => return Err(LinkLost::Malformed(format!("{reply:?} to PUBLISH"))),
        };
        if let (What::Publication(outgoing), Fate::Taken { receivers }) = (&first.what, &fate)
            && self.node.stage() == Stage::Open
        {
            self.node.listeners.received(&outgoing.channel, *receivers);
        }
        let fate = match fate {
            Fate::Taken { receivers: 0 } if self.is_unheard(&first.what) => {
                self.node.location.in_doubt().notify_one();
                self.node.postpone("the shard has another master", BETWEEN_ATTEMPTS);
                Fate::NotSent
            }
            fate => fate,
        };
        self.is_cautious =
            matches!(&fate, Fate::Refused(answer) if says_not_now(answer) && !says_moved(answer));
        self.count_fate(&first.what, &fate);
        match (first.what, fate, unechoed) {
            (What::Publication(outgoing), Fate::Taken { receivers: receivers @ 1.. }, Some(publication)) => {
                self.node.taken_before_echo(outgoing, receivers, publication)
            }
            (what, fate, _) => self.tell_fate(what, fate),
        }
        if too_large {
            return Err(LinkLost::Closed);
        }
        Ok(())
    }

    /// Whether a message that nobody has heard should have come back here at least. A master of a cluster that is
    /// made a replica ends the subscriptions of sharded channels, and publishes what had been sent to it all the
    /// same: nobody is anywhere else yet.
    fn is_unheard(&self, what: &What) -> bool {
        let channel = match what {
            What::Publication(outgoing) if outgoing.kind() == Kind::Message => &outgoing.channel,
            What::Replay(entry) => &entry.channel,
            _ => return false,
        };
        let subscriptions = &self.node.subscriptions;
        subscriptions.dialect() == Dialect::Sharded && subscriptions.should_be_heard(channel)
    }

    /// Counts whom messages are published to, once a second, so that it is known how many they were when the link is lost.
    fn count_if_due(&mut self) {
        if self.is_count_due && self.counted.is_none_or(|counted| counted.elapsed() >= BETWEEN_COUNTS) {
            self.count();
        }
    }

    fn count(&mut self) {
        (self.counted, self.is_count_due) = (Some(Instant::now()), false);
        let channels = self.node.subscriptions.of_every_instance();
        if !channels.is_empty() && !self.refuses_to_count {
            let mut count = redis::cmd("PUBSUB");
            count.arg(self.node.subscriptions.dialect().count());
            channels.iter().for_each(|channel| _ = count.arg(&**channel));
            self.pack(What::Count, &count);
        }
    }

    /// How long nothing has been answered that should be.
    fn silence(&mut self) -> Duration {
        let waits_for = self.in_flight.front().map(|first| first.end);
        if waits_for.is_none() || waits_for != self.progress.waits_for {
            self.progress = Progress { waits_for, since: Instant::now() };
        }
        self.progress.since.elapsed()
    }

    fn check(&mut self) -> Result<(), LinkLost> {
        self.silence();
        self.lag.look_for_late(self.node);
        match self.in_flight.front() {
            Some(first) if first.since.elapsed() > self.patience.answer => {
                Err(LinkLost::Silent(self.patience.answer))
            }
            None if self.used.elapsed() >= self.patience.keep_alive => {
                self.pack(What::Ping, &redis::cmd("PING"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Counts what became of one, and tells whom it concerns.
    fn finish(&self, what: What, fate: Fate) {
        self.count_fate(&what, &fate);
        self.tell_fate(what, fate);
    }

    fn tell_fate(&self, what: What, fate: Fate) {
        match what {
            What::Publication(outgoing) => self.node.finish(outgoing, fate),
            What::Replay(entry) => self.node.finish_replay(entry, fate),
            What::Ping | What::Count | What::HandedBack(..) => {}
        }
    }

    fn count_fate(&self, what: &What, fate: &Fate) {
        let counters = &self.node.counters;
        match (what, fate) {
            (What::Replay(_), Fate::Taken { .. }) => counters.replayed.increment(),
            (_, Fate::Taken { .. }) if what.is_message() => counters.published.increment(),
            (_, Fate::Unanswered) if what.is_message() => counters.unknown.increment(),
            (What::HandedBack(Kind::Message, _), Fate::Refused(_)) => counters.refused.increment(),
            // It is another node's, or counted as refused; it goes to the outbox, or stays there.
            _ => {}
        }
    }
}

/// Ready when there may be something to send; from the queue it is `next`.
///
/// # Cancel safety
/// Safe.
async fn wait_for(queue: &mut QueueEnd, next: &mut Option<Box<Outgoing>>, node: &Node) {
    if next.is_none() && !(node.takes(Kind::Message) && node.outbox.size().0 > 0) {
        tokio::select! {
            Some(outgoing) = queue.recv() => *next = Some(outgoing),
            () = node.outbox.filled() => {}
        }
    }
}
