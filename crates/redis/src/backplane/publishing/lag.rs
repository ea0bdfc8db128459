//! How far the subscribing link is behind the publishing one.

use crate::backplane::node::Node;

/// After so much has been published, `PING` on the subscribing link shows how far this instance has read; it is
/// never more than three times as much behind its own publications. Redis would cut it off: as it is shipped,
/// at 32 MiB, or after a minute at 8.
const WINDOW_BYTES: usize = 2 * 1024 * 1024;

/// In bytes of payload, and in messages that are answered and have not come back.
#[derive(Default)]
pub(super) struct Lag {
    published: usize,
    answered: usize,
    /// What the `PING` on its way will prove to have been read.
    asked: Option<Asked>,
    /// How many had ever been late at the last look.
    seen_late: u64,
}

struct Asked {
    answered: usize,
    late_ever: u64,
}

impl Lag {
    pub(super) fn has_room(&self) -> bool {
        self.published < 3 * WINDOW_BYTES
    }

    pub(super) fn published(&mut self, bytes: usize) {
        self.published += bytes;
    }

    pub(super) fn never_published(&mut self, bytes: usize) {
        self.published -= bytes;
    }

    pub(super) fn answered(&mut self, bytes: usize, node: &Node) {
        self.answered += bytes;
        if self.answered >= WINDOW_BYTES {
            self.ask(node);
        }
    }

    /// A message that was published before its channel was subscribed to does not come back, and is not kept for long:
    /// from one look to the next, and until the `PING` is answered.
    pub(super) fn look_for_late(&mut self, node: &Node) {
        let (are_late, late_ever) = {
            let echoes = node.echoes();
            (echoes.are_late(self.seen_late), echoes.late_ever())
        };
        self.seen_late = late_ever;
        if are_late {
            self.ask(node);
        }
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    fn ask(&mut self, node: &Node) {
        if self.asked.is_none() {
            self.asked = Some(Asked { answered: self.answered, late_ever: node.echoes().late_ever() });
            node.subscriptions.ping();
        }
    }

    /// The `PING` is answered.
    pub(super) fn caught_up(&mut self, node: &Node) {
        let Some(Asked { answered, late_ever }) = self.asked.take() else { return };
        self.published -= answered;
        self.answered -= answered;
        node.echoes().caught_up(late_ever);
    }
}
