//! What became of publications whose answer never came.
//!
//! This instance's connections get a publication from its echo on the subscribing link, or, if no echo can
//! come any more, directly. Redis runs the commands of one link in order and sends to a subscriber in order,
//! so a reply and an echo both prove that their command and every earlier one has run. When the links are
//! given up (always both at once, the subscribing one read to its end if it has one), whatever is not proven
//! has had no echo, and the lost link brings none: it is delivered here. Answered and yet without an echo is
//! only what Redis still had in its buffers when it died; that is not delivered here. If Redis has not closed
//! the publishing link itself, it may still run what it has unread, after the next subscribing link is up;
//! those echoes are owed, and dropped when they come. So a message is never delivered twice here.
//!
//! A publication is known by a fingerprint of channel and payload. Two equal messages cannot be told apart:
//! one of them may count for the other, and then one is delivered less, not one more.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// How long an echo is owed. Redis may be frozen for longer; then connections here receive twice.
const OWED_FOR: Duration = Duration::from_secs(60);
/// Most echoes owed; the oldest are given up first.
const OWED_LIMIT: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Echoes {
    unanswered: VecDeque<Fingerprint>,
    /// How many of the unanswered are proven to have run, from the front.
    proven: usize,
    owed: VecDeque<(Fingerprint, Instant)>,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

/// What to do with a message from Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    Deliver,
    /// It was delivered when its link was given up.
    DeliveredBefore,
}

impl Echoes {
    /// A PUBLISH is about to be written.
    pub(super) fn written(&mut self, channel: &str, payload: &[u8]) {
        let fingerprint = self.fingerprint(channel, payload);
        self.unanswered.push_back(fingerprint);
    }

    /// The last ones have not been.
    pub(super) fn never_written(&mut self, count: usize) {
        self.unanswered.truncate(self.unanswered.len().saturating_sub(count));
    }

    /// The oldest unanswered PUBLISH has its reply.
    pub(super) fn answered(&mut self) {
        self.unanswered.pop_front();
        self.proven = self.proven.saturating_sub(1);
    }

    /// A message has come, perhaps an echo.
    pub(super) fn arrived(&mut self, channel: &str, payload: &[u8]) -> Arrival {
        if self.unanswered.len() == self.proven && self.owed.is_empty() {
            return Arrival::Deliver;
        }
        let fingerprint = self.fingerprint(channel, payload);
        let unproven = self.unanswered.iter().skip(self.proven);
        if let Some(at) = unproven.clone().position(|written| *written == fingerprint) {
            self.proven += at + 1;
            return Arrival::Deliver;
        }
        while self.owed.front().is_some_and(|(_, since)| since.elapsed() > OWED_FOR) {
            self.owed.pop_front();
        }
        match self.owed.iter().position(|(owed, _)| *owed == fingerprint) {
            Some(at) => {
                self.owed.remove(at);
                Arrival::DeliveredBefore
            }
            None => Arrival::Deliver,
        }
    }

    /// The links are given up, or silent. Returns how many of the unanswered have run; the others are delivered
    /// by the caller.
    pub(super) fn given_up(&mut self, redis_may_still_run_them: bool) -> usize {
        let proven = std::mem::take(&mut self.proven);
        let unproven = self.unanswered.drain(..).skip(proven);
        if redis_may_still_run_them {
            let now = Instant::now();
            self.owed.extend(unproven.map(|fingerprint| (fingerprint, now)));
            let too_many = self.owed.len().saturating_sub(OWED_LIMIT);
            self.owed.drain(..too_many);
        }
        proven
    }

    /// The link that owes echoes is held and may still bring them: they are not older than now.
    pub(super) fn renew_debts(&mut self) {
        let now = Instant::now();
        self.owed.iter_mut().for_each(|(_, since)| *since = now);
    }

    fn fingerprint(&self, channel: &str, payload: &[u8]) -> Fingerprint {
        Fingerprint(self.hasher.hash_one((channel, payload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(echoes: &mut Echoes, payloads: &[&str]) {
        for payload in payloads {
            echoes.written("c", payload.as_bytes());
        }
    }

    #[test]
    fn an_echo_proves_itself_and_all_before() {
        let mut echoes = Echoes::default();
        write(&mut echoes, &["1", "2", "3"]);
        assert_eq!(echoes.arrived("c", b"2"), Arrival::Deliver);
        assert_eq!(echoes.given_up(false), 2);
    }

    #[test]
    fn a_reply_proves_as_much() {
        let mut echoes = Echoes::default();
        write(&mut echoes, &["1", "2"]);
        echoes.answered();
        assert_eq!(echoes.arrived("c", b"1"), Arrival::Deliver);
        assert_eq!(echoes.given_up(false), 0);
    }

    #[test]
    fn messages_of_others_prove_nothing() {
        let mut echoes = Echoes::default();
        write(&mut echoes, &["1", "2"]);
        assert_eq!(echoes.arrived("d", b"1"), Arrival::Deliver);
        assert_eq!(echoes.arrived("c", b"3"), Arrival::Deliver);
        assert_eq!(echoes.given_up(true), 0);
    }

    #[test]
    fn an_owed_echo_is_dropped_once() {
        let mut echoes = Echoes::default();
        write(&mut echoes, &["1", "2"]);
        assert_eq!(echoes.given_up(true), 0);
        assert_eq!(echoes.arrived("c", b"2"), Arrival::DeliveredBefore);
        assert_eq!(echoes.arrived("c", b"2"), Arrival::Deliver);
        assert_eq!(echoes.arrived("c", b"1"), Arrival::DeliveredBefore);
    }

    #[test]
    fn nothing_is_owed_by_a_redis_that_has_closed_the_link() {
        let mut echoes = Echoes::default();
        write(&mut echoes, &["1"]);
        assert_eq!(echoes.given_up(false), 0);
        assert_eq!(echoes.arrived("c", b"1"), Arrival::Deliver);
    }

    #[test]
    fn what_was_never_written_is_not_owed() {
        let mut echoes = Echoes::default();
        write(&mut echoes, &["1", "2"]);
        echoes.never_written(1);
        assert_eq!(echoes.given_up(true), 0);
        assert_eq!(echoes.arrived("c", b"2"), Arrival::Deliver);
        assert_eq!(echoes.arrived("c", b"1"), Arrival::DeliveredBefore);
    }

    #[tokio::test(start_paused = true)]
    async fn a_debt_grows_old() {
        let mut echoes = Echoes::default();
        write(&mut echoes, &["1"]);
        echoes.given_up(true);
        tokio::time::advance(OWED_FOR - Duration::from_secs(1)).await;
        echoes.renew_debts();
        tokio::time::advance(OWED_FOR - Duration::from_secs(1)).await;
        assert_eq!(echoes.arrived("c", b"1"), Arrival::DeliveredBefore);
        write(&mut echoes, &["1"]);
        echoes.given_up(true);
        tokio::time::advance(OWED_FOR + Duration::from_secs(1)).await;
        assert_eq!(echoes.arrived("c", b"1"), Arrival::Deliver);
    }
}
