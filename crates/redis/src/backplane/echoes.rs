//! Which of this instance's publications have come back to it, and which echoes are to be dropped.
//!
//! This instance's connections get a publication from its echo on the subscribing link, or, if no echo can
//! come any more, directly. Redis runs the commands of one link in order and sends to a subscriber in order,
//! so a reply and an echo both prove that their command and every earlier one has run, and an echo proves that no
//! earlier one is still to come. The subscribing link may be slower than the publishing one, so a message that is
//! answered is kept here until its echo has come. When the links are given up or silent, whatever has had no echo is
//! delivered here, in the order in which it was written, and so it is before anything later that does not come back.
//! Echoes that may come all the same are owed, and dropped when they come: those of a subscribing link that lives, and
//! those of a publishing link that Redis has not closed itself, since it may still run what it has unread, after the
//! next subscribing link is up. So each message is delivered here once, and in order.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::latency::Measuring;

/// Echoes owed that are remembered, the last ones: as many as the smallest messages that a queue has room for.
const LIMIT_OWED: usize = 16 * 1024;

/// A publication of this instance: its channel, and its number there.
pub(super) type Numbered = (Arc<str>, u64);

/// `M` is a message, as it is kept.
#[derive(Debug)]
pub(super) struct Echoes<M> {
    /// PUBLISH commands without a reply, in the order in which they were written. What has no number comes back
    /// unrecognised.
    unanswered: VecDeque<Option<Numbered>>,
    /// How many of the unanswered are proven to have run, from the front.
    proven: usize,
    /// Messages that are answered and have not come back, in the order in which they were written.
    late: VecDeque<(Numbered, M)>,
    /// How many have ever been late.
    late_ever: u64,
    owed: HashSet<Numbered>,
    /// What was ever put into `owed`, as long as that is not empty.
    owed_in_order: VecDeque<Numbered>,
    pub(super) measuring: Measuring,
}

/// What to do with a message from Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    Deliver,
    /// It was delivered when its link was given up.
    DeliveredBefore,
}

impl<M> Default for Echoes<M> {
    fn default() -> Self {
        Self {
            unanswered: VecDeque::new(),
            proven: 0,
            late: VecDeque::new(),
            late_ever: 0,
            owed: HashSet::new(),
            owed_in_order: VecDeque::new(),
            measuring: Measuring::default(),
        }
    }
}

impl<M> Echoes<M> {
    /// A PUBLISH is about to be written. It is measured from when it was sent, if that is told.
    pub(super) fn written(&mut self, publication: Option<Numbered>, measured_from: Option<Instant>) {
        if let (Some(publication), Some(sent)) = (&publication, measured_from) {
            self.measuring.begin(publication.clone(), sent);
        }
        self.unanswered.push_back(publication);
    }

    /// The last ones have not been.
    pub(super) fn never_written(&mut self, count: usize) {
        self.unanswered.truncate(self.unanswered.len().saturating_sub(count));
    }

    /// The oldest unanswered PUBLISH has its reply. Returns which publication it was, if its echo has not come.
    pub(super) fn answered(&mut self) -> Option<Numbered> {
        let publication = self.unanswered.pop_front().flatten();
        if self.proven > 0 {
            self.proven -= 1;
            return None;
        }
        publication
    }

    /// Keeps what was answered last until its echo comes.
    pub(super) fn keep(&mut self, publication: Numbered, message: M) {
        self.late.push_back((publication, message));
        self.late_ever += 1;
    }

    /// How many have ever been late.
    pub(super) fn late_ever(&self) -> u64 {
        self.late_ever
    }

    /// Whether one of the first so many is late still.
    pub(super) fn are_late(&self, first: u64) -> bool {
        self.late_ever - (self.late.len() as u64) < first
    }

    /// The subscribing link has brought whatever it will bring of the first so many.
    pub(super) fn caught_up(&mut self, first: u64) {
        while self.are_late(first) {
            self.late.pop_front();
        }
    }

    /// Whether it matters at present what echoes come.
    pub(super) fn are_awaited(&self) -> bool {
        self.unanswered.len() > self.proven
            || !self.late.is_empty()
            || !self.owed.is_empty()
            || self.measuring.is_under_way()
    }

    /// A publication of this instance has come back.
    pub(super) fn arrived(&mut self, channel: &Arc<str>, number: u64) -> Arrival {
        if !self.owed.is_empty() && self.owed.remove(&(Arc::clone(channel), number)) {
            if self.owed.is_empty() {
                self.owed_in_order = VecDeque::new();
            }
            return Arrival::DeliveredBefore;
        }
        let is_it = |(of, written): &Numbered| *written == number && of == channel;
        if let Some(at) = self.late.iter().position(|(late, _)| is_it(late)) {
            self.late.drain(..=at);
        } else if let Some(at) =
            self.unanswered.iter().skip(self.proven).position(|written| written.as_ref().is_some_and(is_it))
        {
            self.late.clear();
            self.proven += at + 1;
        }
        Arrival::Deliver
    }

    /// Something is delivered here that does not come back: what is late comes before it, by the caller.
    pub(super) fn overtake(&mut self) -> VecDeque<(Numbered, M)> {
        let late = std::mem::take(&mut self.late);
        late.iter().for_each(|(publication, _)| self.owe(publication.clone()));
        self.forget_oldest_owed();
        late
    }

    /// The publishing link is silent, or given up. Returns how many of the unanswered have run; the others are
    /// delivered by the caller, behind what is late.
    pub(super) fn given_up(&mut self, redis_may_still_run_them: bool) -> usize {
        self.measuring.give_up();
        let proven = std::mem::take(&mut self.proven);
        let unanswered = std::mem::take(&mut self.unanswered);
        if redis_may_still_run_them {
            unanswered.into_iter().skip(proven).flatten().for_each(|publication| self.owe(publication));
            self.forget_oldest_owed();
        }
        proven
    }

    /// The subscribing link is gone, and what is late does not come any more: it is delivered by the caller.
    pub(super) fn not_to_come(&mut self) -> VecDeque<(Numbered, M)> {
        self.measuring.give_up();
        std::mem::take(&mut self.late)
    }

    fn owe(&mut self, publication: Numbered) {
        self.owed_in_order.push_back(publication.clone());
        self.owed.insert(publication);
    }

    fn forget_oldest_owed(&mut self) {
        let too_many = self.owed_in_order.len().saturating_sub(LIMIT_OWED);
        for forgotten in self.owed_in_order.drain(..too_many) {
            self.owed.remove(&forgotten);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel() -> Arc<str> {
        "c".into()
    }

    fn write(echoes: &mut Echoes<u64>, numbers: impl IntoIterator<Item = u64>) {
        numbers.into_iter().for_each(|number| echoes.written(Some((channel(), number)), None));
    }

    #[test]
    fn an_echo_proves_itself_and_all_before() {
        let mut echoes = Echoes::<u64>::default();
        write(&mut echoes, 1..=3);
        echoes.written(None, None);
        assert_eq!(echoes.arrived(&channel(), 2), Arrival::Deliver);
        assert_eq!(echoes.given_up(false), 2);
    }

    #[test]
    fn a_reply_proves_as_much() {
        let mut echoes = Echoes::<u64>::default();
        write(&mut echoes, 1..=2);
        echoes.answered();
        assert_eq!(echoes.arrived(&channel(), 1), Arrival::Deliver);
        assert_eq!(echoes.given_up(false), 0);
    }

    /// Written, answered and kept.
    fn late(echoes: &mut Echoes<u64>, numbers: std::ops::RangeInclusive<u64>) {
        write(echoes, numbers.clone());
        for number in numbers {
            let publication = echoes.answered().unwrap();
            echoes.keep(publication, number);
        }
    }

    fn messages(late: VecDeque<(Numbered, u64)>) -> Vec<u64> {
        late.into_iter().map(|(_, message)| message).collect()
    }

    #[test]
    fn what_is_answered_is_kept_until_its_echo_or_a_later_one() {
        let mut echoes = Echoes::default();
        late(&mut echoes, 1..=4);
        assert_eq!(echoes.arrived(&channel(), 2), Arrival::Deliver);
        assert!(echoes.are_awaited());
        assert_eq!(messages(echoes.not_to_come()), [3, 4]);
        late(&mut echoes, 5..=6);
        write(&mut echoes, [7]);
        assert_eq!(echoes.arrived(&channel(), 7), Arrival::Deliver);
        assert!(echoes.not_to_come().is_empty() && echoes.answered().is_none());
    }

    #[test]
    fn what_is_overtaken_is_dropped_when_it_comes() {
        let mut echoes = Echoes::default();
        late(&mut echoes, 1..=2);
        assert_eq!(messages(echoes.overtake()), [1, 2]);
        assert!(echoes.overtake().is_empty());
        for number in 1..=2 {
            assert_eq!(echoes.arrived(&channel(), number), Arrival::DeliveredBefore);
        }
        assert!(!echoes.are_awaited());
    }

    #[test]
    fn what_does_not_come_back_is_kept_until_the_link_has_caught_up() {
        let mut echoes = Echoes::default();
        late(&mut echoes, 1..=2);
        let first = echoes.late_ever();
        late(&mut echoes, 3..=3);
        assert!(echoes.are_late(first));
        echoes.caught_up(first);
        assert!(!echoes.are_late(first));
        assert_eq!(messages(echoes.not_to_come()), [3]);
    }

    #[test]
    fn other_channels_and_numbers_prove_nothing() {
        let mut echoes = Echoes::<u64>::default();
        write(&mut echoes, 1..=2);
        assert_eq!(echoes.arrived(&"d".into(), 1), Arrival::Deliver);
        assert_eq!(echoes.arrived(&channel(), 3), Arrival::Deliver);
        assert_eq!(echoes.given_up(true), 0);
    }

    #[test]
    fn an_owed_echo_is_dropped_once() {
        let mut echoes = Echoes::<u64>::default();
        write(&mut echoes, 1..=2);
        assert_eq!(echoes.given_up(true), 0);
        assert_eq!(echoes.arrived(&channel(), 2), Arrival::DeliveredBefore);
        assert_eq!(echoes.arrived(&channel(), 2), Arrival::Deliver);
        assert_eq!(echoes.arrived(&channel(), 1), Arrival::DeliveredBefore);
        assert!(!echoes.are_awaited() && echoes.owed_in_order.is_empty());
    }

    #[test]
    fn nothing_is_owed_by_a_redis_that_has_closed_the_link() {
        let mut echoes = Echoes::<u64>::default();
        write(&mut echoes, [1]);
        assert_eq!(echoes.given_up(false), 0);
        assert_eq!(echoes.arrived(&channel(), 1), Arrival::Deliver);
    }

    #[test]
    fn what_was_never_written_is_not_owed() {
        let mut echoes = Echoes::<u64>::default();
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
