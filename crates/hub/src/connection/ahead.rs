//! Looking past a call that waits for its turn.
//!
//! Messages are acted on in the order in which they came, and a call that waits for a slot holds up those behind
//! it. A cancellation may be meant for the very call that has the slot, so cancellations are looked for in what
//! waits, and take effect at once. Everything else about them, and about all other messages, stays where it is:
//! they are counted, and found to be wrong, when their turn has come.

use std::collections::HashMap;

use hubline_protocol::{HubMessage, HubProtocol, framing};

/// Bytes behind the waiting call that are read. Once as many are there, the client is not read.
pub(super) const LIMIT_BYTES: usize = 64 * 1024;

/// Cancellations that are remembered for calls that are not bound yet. What is over it waits for its turn.
const LIMIT_CANCELLED: usize = 1024;

/// What is known of the input behind a call that waits.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// How many bytes have been looked at, from the front of the input.
    looked_at: usize,
    /// How many bytes have left the front.
    gone: usize,
    /// Whether the messages cannot be told apart any more.
    is_broken: bool,
    /// Cancelled invocations, and where the newest cancellation of each stands. A call behind it with the same id
    /// is another one. Places are counted from where the input began when this was made.
    cancelled: HashMap<Box<str>, usize>,
}

impl Ahead {
    /// Whether more input is of any use.
    pub(super) fn wants_more(&self, input: &[u8], limit: usize) -> bool {
        !self.is_broken && input.len() < limit
    }

    /// Looks at the messages that came since the last time, and calls `cancel` for each cancellation.
    pub(super) fn look(
        &mut self,
        protocol: HubProtocol,
        input: &[u8],
        limit: usize,
        mut cancel: impl FnMut(&str),
    ) {
        while !self.is_broken {
            match framing::split(protocol, &input[self.looked_at..], limit) {
                Ok(Some(framed)) => {
                    if let Some(id) = HubMessage::read_cancellation(protocol, framed.message) {
                        cancel(&id);
                        self.remember(&id);
                    }
                    self.looked_at += framed.used;
                }
                Ok(None) => return,
                Err(_) => self.is_broken = true,
            }
        }
    }

    fn remember(&mut self, id: &str) {
        let at = self.gone + self.looked_at;
        if let Some(newest) = self.cancelled.get_mut(id) {
            *newest = at;
        } else if self.cancelled.len() < LIMIT_CANCELLED {
            self.cancelled.insert(id.into(), at);
        }
    }

    /// Whether a cancellation stands behind the message at the front, which is a call of this id.
    pub(super) fn is_cancelled(&self, id: &str) -> bool {
        self.cancelled.get(id).is_some_and(|newest| *newest > self.gone)
    }

    /// A cancellation is at the front.
    pub(super) fn cancellation_taken(&mut self, id: &str) {
        if self.cancelled.get(id) == Some(&self.gone) {
            self.cancelled.remove(id);
        }
    }

    /// A message of so many bytes at this place of the input has been dealt with out of its turn.
    pub(super) fn removed(&mut self, at: usize, used: usize) {
        if self.looked_at > at {
            self.looked_at = self.looked_at.saturating_sub(used).max(at);
        }
        let place = self.gone + at;
        self.cancelled.retain(|_, newest| *newest != place);
        self.cancelled.values_mut().filter(|newest| **newest > place).for_each(|newest| *newest -= used);
    }

    /// So many bytes leave the front. False if nothing that was looked at is left.
    pub(super) fn advance(&mut self, used: usize) -> bool {
        self.gone += used;
        self.looked_at = self.looked_at.saturating_sub(used);
        self.looked_at > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cancel(id: &str) -> String {
        format!("{{\"type\":5,\"invocationId\":\"{id}\"}}\u{1e}")
    }

    fn look(ahead: &mut Ahead, input: &str) -> Vec<String> {
        let mut found = Vec::new();
        ahead.look(HubProtocol::Json, input.as_bytes(), 100, |id| found.push(id.to_owned()));
        found
    }

    #[test]
    fn every_message_is_looked_at_once_and_only_whole() {
        let mut ahead = Ahead::default();
        let ping = "{\"type\":6}\u{1e}";
        let (first, second) = (cancel("1"), cancel("2"));
        let input = [ping, &first, &second].concat();
        let half = ping.len() + first.len() + 3;
        assert_eq!(look(&mut ahead, &input[..half]), ["1"]);
        assert_eq!(look(&mut ahead, &input), ["2"]);
        assert!(look(&mut ahead, &input).is_empty());
        assert!(ahead.advance(ping.len()));
        let third = [&input[ping.len()..], &cancel("3")].concat();
        assert_eq!(look(&mut ahead, &third), ["3"]);
        assert!(!ahead.advance(third.len()));
    }

    #[test]
    fn a_cancellation_means_the_calls_in_front_of_it() {
        let mut ahead = Ahead::default();
        let call = "{\"type\":1,\"invocationId\":\"1\",\"target\":\"A\",\"arguments\":[]}\u{1e}";
        let input = [call, &cancel("1"), call, &cancel("1"), call].concat();
        look(&mut ahead, &input);
        for _ in 0..2 {
            assert!(ahead.is_cancelled("1"));
            assert!(!ahead.is_cancelled("2"));
            ahead.advance(call.len());
            ahead.cancellation_taken("1");
            ahead.advance(cancel("1").len());
        }
        assert!(!ahead.is_cancelled("1"));
        assert!(ahead.cancelled.is_empty());
    }

    #[test]
    fn a_cancellation_that_was_skipped_means_nothing_any_more() {
        let mut ahead = Ahead::default();
        let input = [cancel("1"), cancel("2")].concat();
        look(&mut ahead, &input);
        ahead.advance(cancel("1").len());
        assert!(!ahead.is_cancelled("1"));
    }

    #[test]
    fn what_cannot_be_told_apart_is_left_alone() {
        let mut ahead = Ahead::default();
        let input = [&cancel("1"), &"x".repeat(101), "\u{1e}", &cancel("2")].concat();
        assert_eq!(look(&mut ahead, &input), ["1"]);
        assert!(!ahead.wants_more(input.as_bytes(), LIMIT_BYTES));
        assert!(look(&mut ahead, &input).is_empty());
    }

    #[test]
    fn only_so_many_cancellations_are_remembered() {
        let mut ahead = Ahead::default();
        let input: String = (0..LIMIT_CANCELLED + 9).map(|id| cancel(&id.to_string())).collect();
        assert_eq!(look(&mut ahead, &input).len(), LIMIT_CANCELLED + 9);
        assert_eq!(ahead.cancelled.len(), LIMIT_CANCELLED);
        // A turn that is over makes room.
        ahead.cancellation_taken("0");
        let last = cancel("last");
        look(&mut ahead, &[input, last].concat());
        assert!(ahead.is_cancelled("last"));
    }
}
