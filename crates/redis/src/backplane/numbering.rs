//! Sequence numbers of this instance's publications, on each channel.

use std::collections::HashMap;
use std::sync::Arc;

use hubline_backplane::InstanceId;
use parking_lot::Mutex;

use super::wire::PublicationId;

/// Channels whose last number is remembered. One channel more, and all begin again above the highest number that was
/// given to any: a reader cannot tell that from loss, but no number is given twice.
const LIMIT_CHANNELS: usize = 64 * 1024;

/// Numbers what this instance publishes, without gaps on each channel, in the order in which it is sent. A publication
/// that Redis does not take keeps its number, also while it waits in the outbox.
#[derive(Debug)]
pub(super) struct Numbering {
    origin: InstanceId,
    given: Mutex<Given>,
}

#[derive(Debug, Default)]
struct Given {
    last: HashMap<Arc<str>, u64>,
    highest: u64,
    /// A channel that is not in `last` begins above this.
    floor: u64,
}

impl Default for Numbering {
    fn default() -> Self {
        Self { origin: InstanceId::random(), given: Mutex::default() }
    }
}

impl Numbering {
    /// This instance, in the ids of its publications.
    pub(super) fn origin(&self) -> InstanceId {
        self.origin
    }

    pub(super) fn next(&self, channel: &Arc<str>) -> u64 {
        self.given.lock().next(channel, LIMIT_CHANNELS)
    }

    pub(super) fn id(&self, number: u64, is_replay: bool) -> PublicationId {
        PublicationId { origin: self.origin, number, is_replay }
    }
}

impl Given {
    fn next(&mut self, channel: &Arc<str>, limit_channels: usize) -> u64 {
        if let Some(last) = self.last.get_mut(channel) {
            *last += 1;
            self.highest = self.highest.max(*last);
            return *last;
        }
        if self.last.len() >= limit_channels {
            self.last = HashMap::new();
            self.floor = self.highest;
        }
        let first = self.floor + 1;
        self.last.insert(Arc::clone(channel), first);
        self.highest = self.highest.max(first);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_is_numbered_without_gaps() {
        let numbering = Numbering::default();
        let [one, other] = ["one", "other"].map(Arc::from);
        let numbers = [&one, &one, &other, &one, &other].map(|channel| numbering.next(channel));
        assert_eq!(numbers, [1, 2, 1, 3, 2]);
    }

    #[test]
    fn no_number_is_given_twice_when_channels_are_forgotten() {
        let mut given = Given::default();
        let channels = ["1", "2", "3"].map(Arc::from);
        for _ in 0..5 {
            given.next(&channels[0], 2);
        }
        given.next(&channels[1], 2);
        assert_eq!([2, 0, 1].map(|channel: usize| given.next(&channels[channel], 2)), [6, 6, 7]);
        assert_eq!(given.last.len(), 1);
    }
}
