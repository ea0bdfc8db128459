//! Which of this instance's publications Redis has run, and which echoes are to be dropped.
//!
//! This instance's connections get a publication from its echo on the subscribing link, or, if no echo can
//! come any more, directly. Redis runs the commands of one link in order and sends to a subscriber in order,
//! so a reply and an echo both prove that their command and every earlier one has run. When the links are
//! given up (always both at once, the subscribing one read to its end if it has one), whatever is not proven
//! has had no echo, and the lost link brings none: it is delivered here. Answered and yet without an echo is
//! only what Redis still had in its buffers when it died; that is not delivered here. If Redis has not closed
//! the publishing link itself, it may still run what it has unread, after the next subscribing link is up;
//! those echoes are owed, and dropped when they come. So a message is never delivered twice here.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Echoes owed that are remembered, the last ones: what sixteen full links have left unanswered.
const LIMIT_OWED: usize = 16 * 1024;

/// A publication of this instance: its channel, and its number there.
type Numbered = (Arc<str>, u64);

#[derive(Debug, Default)]
pub(super) struct Echoes {
    /// PUBLISH commands without a reply, in the order in which they were written. What has no number comes back
    /// unrecognised.
    unanswered: VecDeque<Option<Numbered>>,
    /// How many of the unanswered are proven to have run, from the front.
    proven: usize,
    owed: HashSet<Numbered>,
    /// What was ever put into `owed`, as long as that is not empty.
    owed_in_order: VecDeque<Numbered>,
}

/// What to do with a message from Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    Deliver,
    /// It was delivered when its link was given up.
    DeliveredBefore,
}

impl Echoes {
    /// A PUBLISH is about to be written.
    pub(super) fn written(&mut self, publication: Option<Numbered>) {
        self.unanswered.push_back(publication);
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

    /// Whether it matters at present what echoes come.
    pub(super) fn are_awaited(&self) -> bool {
        self.unanswered.len() > self.proven || !self.owed.is_empty()
    }

    /// A publication of this instance has come back.
    pub(super) fn arrived(&mut self, channel: &Arc<str>, number: u64) -> Arrival {
        let is_it = |written: &Option<Numbered>| matches!(written, Some((of, written)) if *written == number && of == channel);
        if let Some(at) = self.unanswered.iter().skip(self.proven).position(is_it) {
            self.proven += at + 1;
            return Arrival::Deliver;
        }
        let was_owed = !self.owed.is_empty() && self.owed.remove(&(Arc::clone(channel), number));
        if self.owed.is_empty() {
            self.owed_in_order = VecDeque::new();
        }
        if was_owed { Arrival::DeliveredBefore } else { Arrival::Deliver }
    }

    /// The links are given up, or silent. Returns how many of the unanswered have run; the others are delivered
    /// by the caller.
    pub(super) fn given_up(&mut self, redis_may_still_run_them: bool) -> usize {
        let proven = std::mem::take(&mut self.proven);
        let unproven = self.unanswered.drain(..).skip(proven).flatten();
        if redis_may_still_run_them {
            for publication in unproven {
                self.owed_in_order.push_back(publication.clone());
                self.owed.insert(publication);
            }
            let too_many = self.owed_in_order.len().saturating_sub(LIMIT_OWED);
            for forgotten in self.owed_in_order.drain(..too_many) {
                self.owed.remove(&forgotten);
            }
        }
        proven
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel() -> Arc<str> {
        "c".into()
    }

    fn write(echoes: &mut Echoes, numbers: impl IntoIterator<Item = u64>) {
        numbers.into_iter().for_each(|number| echoes.written(Some((channel(), number))));
    }

    #[test]
    fn an_echo_proves_itself_and_all_before() {
        let mut echoes = Echoes::default();
        write(&mut echoes, 1..=3);
        echoes.written(None);
        assert_eq!(echoes.arrived(&channel(), 2), Arrival::Deliver);
        assert_eq!(echoes.given_up(false), 2);
    }

    #[test]
    fn a_reply_proves_as_much() {
        let mut echoes = Echoes::default();
        write(&mut echoes, 1..=2);
        echoes.answered();
        assert_eq!(echoes.arrived(&channel(), 1), Arrival::Deliver);
        assert_eq!(echoes.given_up(false), 0);
    }

    #[test]
    fn other_channels_and_numbers_prove_nothing() {
        let mut echoes = Echoes::default();
        write(&mut echoes, 1..=2);
        assert_eq!(echoes.arrived(&"d".into(), 1), Arrival::Deliver);
        assert_eq!(echoes.arrived(&channel(), 3), Arrival::Deliver);
        assert_eq!(echoes.given_up(true), 0);
    }

    #[test]
    fn an_owed_echo_is_dropped_once() {
        let mut echoes = Echoes::default();
        write(&mut echoes, 1..=2);
        assert_eq!(echoes.given_up(true), 0);
        assert_eq!(echoes.arrived(&channel(), 2), Arrival::DeliveredBefore);
        assert_eq!(echoes.arrived(&channel(), 2), Arrival::Deliver);
        assert_eq!(echoes.arrived(&channel(), 1), Arrival::DeliveredBefore);
        assert!(!echoes.are_awaited() && echoes.owed_in_order.is_empty());
    }

    #[test]
    fn nothing_is_owed_by_a_redis_that_has_closed_the_link() {
        let mut echoes = Echoes::default();
        write(&mut echoes, [1]);
        assert_eq!(echoes.given_up(false), 0);
        assert_eq!(echoes.arrived(&channel(), 1), Arrival::Deliver);
    }

    #[test]
    fn what_was_never_written_is_not_owed() {
        let mut echoes = Echoes::default();
        write(&mut echoes, 1..=2);
        echoes.never_written(1);
        assert_eq!(echoes.given_up(true), 0);
        assert_eq!(echoes.arrived(&channel(), 2), Arrival::Deliver);
        assert_eq!(echoes.arrived(&channel(), 1), Arrival::DeliveredBefore);
    }

    #[test]
    fn the_last_ones_owed_are_remembered() {
        let mut echoes = Echoes::default();
        let all = LIMIT_OWED as u64 + 2;
        write(&mut echoes, 1..=all);
        echoes.given_up(true);
        assert_eq!(echoes.owed.len(), LIMIT_OWED);
        assert_eq!(echoes.arrived(&channel(), 2), Arrival::Deliver);
        assert_eq!(echoes.arrived(&channel(), 3), Arrival::DeliveredBefore);
    }
}
