//! Stateful reconnect: numbering, acknowledging and repeating messages.
//!
//! Source: HubProtocol.md, "Stateful Reconnect", and the recorded cases `stateful-reconnect` and
//! `stateful-buffer`. Messages of types 1 to 5 are counted from 1 in each direction; the numbers never travel
//! with them.

use std::collections::VecDeque;
use std::time::Duration;

use hubline_pipe::Frame;
use tokio::time::Instant;

use super::CloseReason;

/// How long after a counted message the client is told that it came.
const ACK_DELAY: Duration = Duration::from_secs(1);

/// What both sides have counted, and what the client may have lost.
#[derive(Debug)]
pub(super) struct Sequencing {
    limit_bytes: usize,
    /// Number of the newest message from the client, whatever was sent again since.
    received: i64,
    /// Number of the next message from the client.
    next: i64,
    acknowledged: i64,
    ack_due: Option<Instant>,
    /// Sent and not acknowledged by the client.
    unacknowledged: VecDeque<Frame>,
    unacknowledged_bytes: usize,
    /// Number of the first of these, or of the next one to be sent.
    first: i64,
}

/// What is to be done with a message from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    New,
    /// It was received on an earlier socket.
    Again,
}

impl Sequencing {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            received: 0,
            next: 1,
            acknowledged: 0,
            ack_due: None,
            unacknowledged: VecDeque::new(),
            unacknowledged_bytes: 0,
            first: 1,
        }
    }

    /// What the next counted message from the client is; one that came before is counted with it.
    pub(super) fn next(&mut self) -> Count {
        if self.next > self.received {
            return Count::New;
        }
        self.next += 1;
        Count::Again
    }

    /// Counts a message from the client that is new.
    pub(super) fn received(&mut self) {
        self.received = self.next;
        self.next += 1;
        self.ack_due.get_or_insert_with(|| Instant::now() + ACK_DELAY);
    }

    /// The client says which number its next message has.
    pub(super) fn sequence(&mut self, number: i64) -> Result<(), CloseReason> {
        if number > self.next {
            return Err(CloseReason::SequenceGap);
        }
        self.next = number;
        Ok(())
    }

    /// When [`Sequencing::ack`] is due.
    pub(super) fn ack_due(&self) -> Option<Instant> {
        self.ack_due
    }

    /// The acknowledgement to send, if it would tell something new.
    pub(super) fn ack(&mut self) -> Option<u64> {
        self.ack_due = None;
        if self.received <= self.acknowledged {
            return None;
        }
        self.acknowledged = self.received;
        u64::try_from(self.received).ok()
    }

    /// The client has everything up to this number.
    pub(super) fn acknowledged(&mut self, number: i64) {
        while self.first <= number
            && let Some(frame) = self.unacknowledged.pop_front()
        {
            self.unacknowledged_bytes -= frame.payload_size();
            self.first += 1;
        }
    }

    /// How much is kept for the client, as far as a message does not go over it.
    pub(super) fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Whether another counted message may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.unacknowledged_bytes <= self.limit_bytes
    }

    /// Keeps a message that is being sent.
    pub(super) fn sending(&mut self, frame: &Frame) {
        self.unacknowledged_bytes += frame.payload_size();
        self.unacknowledged.push_back(frame.clone());
    }

    /// The number of the first message that is repeated on a new socket, or of the next one.
    pub(super) fn first_repeated(&self) -> u64 {
        u64::try_from(self.first).unwrap_or_default()
    }

    /// What is repeated on a new socket.
    pub(super) fn repeated(&self) -> impl Iterator<Item = &Frame> {
        self.unacknowledged.iter()
    }
}

#[cfg(test)]
mod tests {
    use hubline_protocol::{Encoded, TransferFormat};

    use super::*;

    fn frame() -> Frame {
        Frame::new(Encoded::copy_from(&[b'x'; 39]), TransferFormat::Text)
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_twice_counts_once() {
        let mut sequencing = Sequencing::new(200);
        let take = |sequencing: &mut Sequencing| {
            let count = sequencing.next();
            if count == Count::New {
                sequencing.received();
            }
            count
        };
        assert_eq!((take(&mut sequencing), take(&mut sequencing)), (Count::New, Count::New));
        sequencing.sequence(2).unwrap();
        assert_eq!((take(&mut sequencing), take(&mut sequencing)), (Count::Again, Count::New));
        assert!(matches!(sequencing.sequence(5), Err(CloseReason::SequenceGap)));
        sequencing.sequence(4).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn acknowledgements_come_only_when_there_is_something_new() {
        let mut sequencing = Sequencing::new(200);
        assert_eq!((sequencing.ack_due(), sequencing.ack()), (None, None));
        sequencing.received();
        assert_eq!(sequencing.ack_due(), Some(Instant::now() + ACK_DELAY));
        assert_eq!((sequencing.ack(), sequencing.ack()), (Some(1), None));
    }

    #[test]
    fn a_client_that_does_not_acknowledge_gets_nothing_more() {
        let mut sequencing = Sequencing::new(200);
        let mut sent = 0;
        while sequencing.has_room() {
            sequencing.sending(&frame());
            sent += 1;
        }
        assert_eq!((sent, sequencing.first_repeated(), sequencing.repeated().count()), (6, 1, 6));
        sequencing.acknowledged(0);
        assert!(!sequencing.has_room());
        sequencing.acknowledged(3);
        assert_eq!((sequencing.first_repeated(), sequencing.repeated().count()), (4, 3));
        assert!(sequencing.has_room());
        sequencing.acknowledged(i64::MAX);
        assert_eq!((sequencing.first_repeated(), sequencing.repeated().count()), (7, 0));
    }
}
