//! The publishing link: writes PUBLISH commands, many at once, and matches the replies.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hubline_backplane::{PublishError, Published, Reach};
use redis::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::echoes::Echoes;
use super::outgoing::{Outgoing, Waiting};
use super::subscriptions::Subscriptions;
use crate::link::{self, Link, LinkLost};

/// Commands without a reply. Full: publications wait in their queue.
const LIMIT_UNANSWERED: usize = 1024;
/// Packed commands that wait for the socket.
const LIMIT_UNWRITTEN_BYTES: usize = 64 * 1024;
/// After so much has been published, `PING` on the subscribing link shows how far this instance has read; it is
/// never more than three times as much behind its own publications. Redis would cut it off: as it is shipped,
/// at 32 MiB, or after a minute at 8.
const WINDOW_BYTES: usize = 2 * 1024 * 1024;
/// How long a link that is given up gets, to be read to its end.
pub(super) const FAREWELL: Duration = Duration::from_millis(500);

/// How often the links are used and how long they may be silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// An idle link is pinged this often.
    pub(super) keep_alive: Duration,
    /// No answer for this long, and the link is given up; noticed up to a quarter later.
    pub(super) answer: Duration,
}

pub(super) struct Publisher<'a> {
    link: Link,
    echoes: &'a Mutex<Echoes>,
    patience: Patience,
    in_flight: VecDeque<InFlight>,
    unanswered: usize,
    unwritten: Unwritten,
    used: Instant,
    lag: Lag,
    subscriptions: &'a Subscriptions,
}

/// Packed commands, the first bytes of them written already.
#[derive(Default)]
struct Unwritten {
    packed: Vec<u8>,
    written: usize,
}

/// How far the subscribing link is behind what is published, in bytes.
#[derive(Default)]
struct Lag {
    published: usize,
    answered: usize,
    /// Of the answered, what the `PING` on its way will prove to have been read.
    asked: Option<usize>,
}

/// A publication whose commands are being written, or whose replies are awaited.
struct InFlight {
    what: What,
    packed: usize,
    answered: usize,
    receivers: u64,
    refused: Option<String>,
    since: Instant,
}

enum What {
    Ping,
    Publication { outgoing: Box<Outgoing>, payload_hash: u64 },
}

impl InFlight {
    fn commands(&self) -> usize {
        match &self.what {
            What::Ping => 1,
            What::Publication { outgoing, .. } => outgoing.channels.len(),
        }
    }
}

impl<'a> Publisher<'a> {
    pub(super) fn new(
        link: Link,
        echoes: &'a Mutex<Echoes>,
        subscriptions: &'a Subscriptions,
        patience: Patience,
    ) -> Self {
        Self {
            link,
            echoes,
            subscriptions,
            patience,
            lag: Lag::default(),
            in_flight: VecDeque::new(),
            unanswered: 0,
            unwritten: Unwritten::default(),
            used: Instant::now(),
        }
    }

    /// Publishes until the link is gone; then [`Publisher::give_up`] says what becomes of the rest.
    ///
    /// # Cancel safety
    /// Safe: nothing leaves the queue without being kept here.
    pub(super) async fn run(&mut self, queue: &mut Waiting) -> LinkLost {
        let mut tick = interval(self.patience.answer.min(self.patience.keep_alive) / 4);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.pack();
            let has_room = self.has_room();
            tokio::select! {
                reply = self.link.replies.next() => {
                    if let Err(lost) = reply.and_then(|reply| self.answered(reply)) {
                        return lost;
                    }
                }
                written = self.link.writer.write(self.unwritten.rest()), if self.has_to_write() => match written {
                    Ok(0) if self.unwritten.len() > 0 => return LinkLost::Closed,
                    Ok(written) => self.unwritten.advance(written),
                    Err(error) => return error.into(),
                },
                () = self.subscriptions.caught_up(), if self.lag.asked.is_some() => self.lag.caught_up(),
                Some(outgoing) = queue.next(), if has_room => self.accept(outgoing, queue),
                _ = tick.tick() => {
                    if let Err(lost) = self.check() {
                        return lost;
                    }
                }
            }
        }
    }

    /// Takes whatever else is waiting too: one write for many.
    fn accept(&mut self, outgoing: Outgoing, queue: &mut Waiting) {
        let mut next = Some(outgoing);
        while let Some(outgoing) = next {
            let payload_hash = self.echoes().payload_hash(&outgoing.payload);
            self.begin(What::Publication { outgoing: Box::new(outgoing), payload_hash });
            self.pack();
            next = if self.has_room() { queue.try_next() } else { None };
        }
    }

    fn begin(&mut self, what: What) {
        let since = Instant::now();
        self.in_flight.push_back(InFlight {
            what,
            packed: 0,
            answered: 0,
            receivers: 0,
            refused: None,
            since,
        });
    }

    /// Whether everything accepted is packed and there is room for more.
    fn has_room(&self) -> bool {
        self.unanswered < LIMIT_UNANSWERED
            && self.unwritten.len() < LIMIT_UNWRITTEN_BYTES
            && self.lag.published < 3 * WINDOW_BYTES
            && self.in_flight.back().is_none_or(|last| last.packed == last.commands())
    }

    fn has_to_write(&self) -> bool {
        self.unwritten.len() > 0 || self.link.writer.holds_back()
    }

    fn pack(&mut self) {
        let Some(last) = self.in_flight.back_mut() else { return };
        while last.packed < last.commands()
            && self.unanswered < LIMIT_UNANSWERED
            && self.unwritten.len() < LIMIT_UNWRITTEN_BYTES
            && self.lag.published < 3 * WINDOW_BYTES
        {
            match &last.what {
                What::Ping => redis::cmd("PING").write_packed_command(&mut self.unwritten.packed),
                What::Publication { outgoing, payload_hash } => {
                    let channel = &outgoing.channels[last.packed];
                    let mut publish = redis::cmd(self.subscriptions.dialect().publish());
                    publish
                        .arg(channel)
                        .arg(&outgoing.payload[..])
                        .write_packed_command(&mut self.unwritten.packed);
                    let mut echoes = self.echoes.lock().unwrap_or_else(PoisonError::into_inner);
                    let fingerprint = echoes.fingerprint(channel, *payload_hash);
                    echoes.written(fingerprint);
                    self.lag.published += outgoing.payload.len();
                }
            }
            last.packed += 1;
            last.since = Instant::now();
            self.unanswered += 1;
            self.used = last.since;
        }
    }

    fn answered(&mut self, reply: Value) -> Result<(), LinkLost> {
        let Some(first) = self.in_flight.front_mut().filter(|first| first.answered < first.packed) else {
            return Err(LinkLost::Malformed("a reply to nothing".to_owned()));
        };
        match (&first.what, reply) {
            (What::Publication { .. }, Value::Int(receivers)) => {
                first.receivers += u64::try_from(receivers).unwrap_or(0)
            }
            (What::Publication { .. }, Value::ServerError(error)) => first.refused = Some(link::text(&error)),
            (What::Ping, _) => {}
            (_, reply) => return Err(LinkLost::Malformed(format!("{reply:?} to PUBLISH"))),
        }
        if let What::Publication { outgoing, .. } = &first.what {
            self.echoes.lock().unwrap_or_else(PoisonError::into_inner).answered();
            self.lag.answered += outgoing.payload.len();
        }
        first.answered += 1;
        self.unanswered -= 1;
        if first.answered == first.commands()
            && let Some(first) = self.in_flight.pop_front()
        {
            first.finish();
        }
        if self.lag.asked.is_none() && self.lag.answered >= WINDOW_BYTES {
            self.lag.asked = Some(self.lag.answered);
            self.subscriptions.ping();
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), LinkLost> {
        match self.in_flight.front() {
            Some(first) if first.answered < first.packed && first.since.elapsed() > self.patience.answer => {
                Err(LinkLost::Silent(self.patience.answer))
            }
            None if self.used.elapsed() >= self.patience.keep_alive => {
                self.begin(What::Ping);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Ends the link, and delivers to this instance's own connections what is not proven to have run.
    ///
    /// `lost` is how this very link ended; without it, it is closed here.
    pub(super) async fn give_up(mut self, lost: Option<&LinkLost>) {
        let closed_by_redis = match lost {
            Some(lost) => lost.by_redis(),
            None if self.unanswered == 0 => true,
            None => timeout(FAREWELL, self.say_farewell()).await.unwrap_or(false),
        };
        let mut proven = self.echoes().given_up(!closed_by_redis);
        for mut unfinished in self.in_flight.drain(..) {
            let ran = proven.min(unfinished.packed - unfinished.answered);
            if let What::Publication { .. } = unfinished.what {
                proven -= ran;
                unfinished.receivers += ran as u64;
                unfinished.answered += ran;
            }
            unfinished.deliver_rest(self.subscriptions).await;
        }
    }

    /// Whether Redis ends the link when asked to: what it has left unread then never runs.
    async fn say_farewell(&mut self) -> bool {
        if self.link.writer.shutdown().await.is_err() {
            return true;
        }
        loop {
            // Replies come too late to count: their echoes went to a link that is gone.
            if let Err(lost) = self.link.replies.next().await {
                return lost.by_redis();
            }
        }
    }

    fn echoes(&self) -> std::sync::MutexGuard<'a, Echoes> {
        self.echoes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unwritten {
    fn rest(&self) -> &[u8] {
        &self.packed[self.written..]
    }

    fn len(&self) -> usize {
        self.packed.len() - self.written
    }

    /// Moves what is left only when that is the smaller part, and keeps no room that one large message needed.
    fn advance(&mut self, written: usize) {
        self.written += written;
        if self.written * 2 >= self.packed.len() {
            self.packed.drain(..self.written);
            self.written = 0;
        }
        if self.packed.is_empty() {
            self.packed.shrink_to(2 * LIMIT_UNWRITTEN_BYTES);
        }
    }
}

impl Lag {
    fn caught_up(&mut self) {
        let read = self.asked.take().unwrap_or_default();
        self.published -= read;
        self.answered -= read;
    }
}

impl InFlight {
    fn finish(self) {
        let What::Publication { outgoing, .. } = self.what else { return };
        outgoing.finish(match self.refused {
            Some(answer) => Err(PublishError::Refused(answer)),
            None => Ok(Published { receivers: self.receivers, reach: Reach::Fleet }),
        });
    }

    async fn deliver_rest(self, subscriptions: &Subscriptions) {
        if self.answered == self.commands() || self.refused.is_some() {
            return self.finish();
        }
        let reach = if self.packed > self.answered { Reach::Unknown } else { Reach::ThisInstance };
        if let What::Publication { mut outgoing, .. } = self.what {
            outgoing.forget_first(self.answered);
            outgoing.deliver_here(subscriptions, reach).await;
        }
    }
}
