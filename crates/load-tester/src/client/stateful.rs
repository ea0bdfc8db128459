use std::collections::VecDeque;

use crate::client::error::Disconnected;
use crate::client::message::{ACK, HubMessage, SEQUENCE, push_sequence_id, read};
use crate::wire::messages::Protocol;

const BUFFER_LIMIT_BYTES: usize = 100_000;

/// The counters and the buffer of a connection that can be resumed: messages of the types 1 to 5 are counted from 1 in each direction,
/// and those that the server has not acknowledged are kept.
#[derive(Debug, Default)]
pub(crate) struct Stateful {
    sent: u64,
    unacknowledged: VecDeque<(u64, Box<[u8]>)>,
    unacknowledged_bytes: usize,
    /// The id that the next counted message has.
    next: u64,
    /// The highest id that came.
    received: u64,
    acknowledged: u64,
}

pub(crate) fn is_counted(kind: u8) -> bool {
    (1..=5).contains(&kind)
}

impl Stateful {
    pub(crate) fn new() -> Self {
        Self { next: 1, ..Self::default() }
    }

    /// Keeps a message, with its framing of the hub protocol, until the server acknowledges it.
    pub(crate) fn sends(&mut self, kind: u8, message: &[u8]) {
        if is_counted(kind) {
            self.sent += 1;
            self.unacknowledged_bytes += message.len();
            self.unacknowledged.push_back((self.sent, message.into()));
        }
    }

    /// Whether as much is kept as official clients keep; then nothing more is sent until the server acknowledges.
    pub(crate) fn is_full(&self) -> bool {
        self.unacknowledged_bytes > BUFFER_LIMIT_BYTES
    }

    /// Whether a message is new to the application.
    pub(crate) fn receives(
        &mut self,
        protocol: Protocol,
        kind: u8,
        message: &[u8],
    ) -> Result<bool, Disconnected> {
        match kind {
            ACK => {
                if let HubMessage::Ack(id) = read(protocol, message) {
                    while self.unacknowledged.front().is_some_and(|(kept, _)| *kept <= id) {
                        let acknowledged = self.unacknowledged.pop_front();
                        self.unacknowledged_bytes -= acknowledged.map_or(0, |(_, message)| message.len());
                    }
                }
                Ok(false)
            }
            SEQUENCE => {
                if let HubMessage::Sequence(id) = read(protocol, message) {
                    if id > self.next {
                        let text = "Sequence ID greater than amount of messages we've received.";
                        return Err(Disconnected::Protocol(text.to_owned()));
                    }
                    self.next = id;
                }
                Ok(false)
            }
            kind if is_counted(kind) => {
                let is_new = self.next > self.received;
                self.received = self.received.max(self.next);
                self.next += 1;
                Ok(is_new)
            }
            _ => Ok(true),
        }
    }

    /// Appends an Ack if something has come since the last one.
    pub(crate) fn push_ack(&mut self, out: &mut Vec<u8>, protocol: Protocol) {
        if self.received > self.acknowledged {
            self.acknowledged = self.received;
            push_sequence_id(out, protocol, ACK, self.received);
        }
    }

    /// What goes first over a new socket: from which message on, and these.
    pub(crate) fn replay(&self, protocol: Protocol) -> Vec<u8> {
        let first = self.unacknowledged.front().map_or(self.sent + 1, |(id, _)| *id);
        let mut out = Vec::new();
        push_sequence_id(&mut out, protocol, SEQUENCE, first);
        for (_, message) in &self.unacknowledged {
            out.extend_from_slice(message);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOCOL: Protocol = Protocol::Json;

    #[test]
    fn what_comes_twice_is_taken_once() {
        let mut stateful = Stateful::new();
        let mut is_new = |kind, message: &str| stateful.receives(PROTOCOL, kind, message.as_bytes());
        assert_eq!(is_new(1, ""), Ok(true));
        assert_eq!(is_new(6, ""), Ok(true));
        assert_eq!(is_new(3, ""), Ok(true));
        // The server repeats from the second message on.
        assert_eq!(is_new(9, r#"{"type":9,"sequenceId":2}"#), Ok(false));
        assert_eq!(is_new(3, ""), Ok(false));
        assert_eq!(is_new(1, ""), Ok(true));
        assert!(is_new(9, r#"{"type":9,"sequenceId":5}"#).is_err());
        let mut acks = Vec::new();
        stateful.push_ack(&mut acks, PROTOCOL);
        stateful.push_ack(&mut acks, PROTOCOL);
        assert_eq!(acks, b"{\"sequenceId\":3,\"type\":8}\x1e");
    }

    #[test]
    fn what_was_not_acknowledged_is_sent_again() {
        let mut stateful = Stateful::new();
        for (kind, message) in [(1, "one|"), (6, "ping|"), (1, "two|"), (1, "three|")] {
            stateful.sends(kind, message.as_bytes());
        }
        stateful.receives(PROTOCOL, 8, br#"{"type":8,"sequenceId":1}"#).unwrap();
        assert_eq!(stateful.replay(PROTOCOL), b"{\"sequenceId\":2,\"type\":9}\x1etwo|three|");
        stateful.receives(PROTOCOL, 8, br#"{"type":8,"sequenceId":3}"#).unwrap();
        assert_eq!(stateful.replay(PROTOCOL), b"{\"sequenceId\":4,\"type\":9}\x1e");
    }
}
