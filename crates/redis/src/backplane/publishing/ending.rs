//! How a publishing link is held, drained and given up.

use std::collections::VecDeque;
use std::mem;

use tokio::time::{interval, timeout};

use super::in_flight::{InFlight, What};
use super::{FAREWELL, PublishingLink};
use crate::backplane::outgoing::{Fate, QueueEnd};
use crate::client::link::LinkLost;

impl PublishingLink<'_> {
    /// The link is silent, or behind: whoever published waits no longer.
    pub(in crate::backplane) fn hand_back(&mut self) {
        let written = self.unwritten.written();
        let unwritten = self.take_back(|one| one.begin >= written);
        self.unwritten.truncate(self.in_flight.back().map(|last| last.end));
        self.node.overtake_late();
        let mut proven = self.node.echoes().given_up(true);
        for at in 0..self.in_flight.len() {
            let one = &mut self.in_flight[at];
            let ran = mem::take(&mut one.expects_echo) && proven > 0;
            proven -= usize::from(ran);
            let What::Publication(outgoing) = &one.what else { continue };
            let handed_back = What::HandedBack(outgoing.kind(), outgoing.payload.len());
            if let What::Publication(outgoing) = mem::replace(&mut one.what, handed_back) {
                self.node.finish(outgoing, if ran { Fate::Taken { receivers: 1 } } else { Fate::Unanswered });
            }
        }
        self.not_sent(unwritten);
    }

    /// Waits until the link has answered everything. Nothing new is published through it meanwhile.
    ///
    /// # Errors
    /// The link is gone.
    pub(in crate::backplane) async fn hold(&mut self, queue: &mut QueueEnd) -> Result<(), LinkLost> {
        self.pack(What::Ping, &redis::cmd("PING"));
        self.node.subscriptions.ping();
        let mut tick = interval(self.patience.answer / 4);
        let mut is_caught_up = false;
        while !is_caught_up || !self.in_flight.is_empty() {
            if let Some(outgoing) = self.next.take() {
                self.node.finish(outgoing, Fate::NotSent);
            }
            let node = self.node;
            tokio::select! {
                exchanged = self.exchange() => exchanged?,
                () = node.subscriptions.caught_up(), if !is_caught_up => {
                    is_caught_up = true;
                    self.lag.caught_up(self.node);
                }
                () = node.hand_back(queue) => return Err(LinkLost::Closed),
                _ = tick.tick() => self.node.set_answering(self.silence() <= self.patience.answer),
            }
        }
        Ok(())
    }

    /// Waits for the answers to all that is on its way, while nothing new is published.
    pub(in crate::backplane) async fn drain(&mut self) -> Result<(), LinkLost> {
        while !self.in_flight.is_empty() {
            self.exchange().await?;
        }
        Ok(())
    }

    /// Writes what is left, or takes a reply.
    ///
    /// # Cancel safety
    /// Safe.
    async fn exchange(&mut self) -> Result<(), LinkLost> {
        tokio::select! {
            reply = self.link.replies.next() => self.answered(reply?),
            written = self.link.writer.write(self.unwritten.bytes()), if self.has_to_write() => match written? {
                0 if !self.unwritten.is_empty() => Err(LinkLost::Closed),
                written => {
                    self.unwritten.advance(written);
                    Ok(())
                }
            },
        }
    }

    /// Ends the link, and says of whatever has no answer what can be said.
    ///
    /// `lost` is how this very link ended; without it, it is closed here.
    pub(in crate::backplane) async fn give_up(mut self, lost: Option<&LinkLost>) {
        let closed_by_redis = match lost {
            Some(lost) => lost.by_redis(),
            None if self.in_flight.iter().all(|one| !one.expects_echo) => true,
            None => timeout(FAREWELL, self.say_farewell()).await.unwrap_or(false),
        };
        self.settle(closed_by_redis);
    }

    fn settle(&mut self, closed_by_redis: bool) {
        let written = self.unwritten.written();
        let unwritten = self.take_back(|one| one.end > written);
        let late = self.node.echoes().not_to_come();
        self.node.deliver_late(late);
        let mut proven = self.node.echoes().given_up(!closed_by_redis);
        for one in mem::take(&mut self.in_flight) {
            let ran = one.expects_echo && proven > 0;
            proven -= usize::from(ran);
            self.finish(one.what, if ran { Fate::Taken { receivers: 1 } } else { Fate::Unanswered });
        }
        self.not_sent(unwritten);
        if let Some(outgoing) = self.next.take() {
            self.node.finish(outgoing, Fate::NotSent);
        }
    }

    /// Takes what has not been written out of what is in flight.
    fn take_back(&mut self, is_unwritten: impl Fn(&InFlight) -> bool) -> VecDeque<InFlight> {
        let first = self.in_flight.iter().position(is_unwritten).unwrap_or(self.in_flight.len());
        let unwritten = self.in_flight.split_off(first);
        let payloads = unwritten.iter().filter_map(|one| one.what.payload_bytes());
        self.lag.never_published(payloads.sum());
        self.node.echoes().never_written(unwritten.iter().filter(|one| one.expects_echo).count());
        unwritten
    }

    fn not_sent(&self, unwritten: VecDeque<InFlight>) {
        for one in unwritten {
            self.finish(one.what, Fate::NotSent);
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
}

impl Drop for PublishingLink<'_> {
    /// Does what [`give_up`](Self::give_up) does, without asking Redis, if a panic has come before it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.settle(false);
        }
    }
}
