//! Holding a client's next invocation: until the client has read what it was sent itself, and while clients that it has
//! sent to do not come after it with reading.
//!
//! ASP.NET Core has a hub method wait in its send until every receiver has room. Here no send waits for a client. What
//! one invocation may add to a queue is bounded by what a method sends; what many add is bounded by this.

use std::task::Context;

use tokio::time::Instant;

use super::Connection;
use crate::outbox::Standing;

/// An invocation is held.
#[derive(Debug)]
pub(super) struct Hold {
    /// Since when for the sake of others.
    since: Option<Instant>,
    /// When to look again if nothing wakes the connection before.
    pub(super) until: Option<Instant>,
}

impl Connection {
    /// Looks whether an invocation that would begin now has to wait, and returns it. The connection's task is woken when to
    /// look again.
    pub(super) fn update_hold(&mut self, cx: &Context<'_>) -> bool {
        let hold = match self.caller.0.outbox.standing() {
            Standing::Free => None,
            Standing::OverHalf => Some(Hold { since: None, until: None }),
            Standing::HasSent => self.hold_for_others(cx),
        };
        if hold.is_none() && self.hold.is_some() {
            // What was passed over has its turn.
            self.unread = true;
            self.keep_alive.heard();
        }
        self.hold = hold.map(Box::new);
        self.hold.is_some()
    }

    /// Holds an invocation for the sake of others on this instance, if somebody needs it.
    fn hold_for_others(&self, cx: &Context<'_>) -> Option<Hold> {
        let (core, outbox) = (&self.context.0, &self.caller.0.outbox);
        let sent_to = outbox.take_sent_to()?;
        let held = self.hold.as_ref().and_then(|hold| hold.since);
        let now = Instant::now();
        let since = held.unwrap_or(now);
        let end = since + core.options.sender_hold_timeout;
        if now >= end {
            core.counters.hold_timed_out();
            return None;
        }
        let patience = core.options.stalled_reader_timeout;
        let stalled = core.router.hold(cx, &outbox.connection_id, &sent_to, patience)?;
        outbox.put_back_sent_to(sent_to);
        if held.is_none() && core.counters.sender_held() == 0 {
            tracing::info!(
                hub = self.context.name(),
                connection = %self.caller.public_id(),
                longest = ?core.options.sender_hold_timeout,
                "A client sends more than those it sends to read: its next invocation waits (SenderHoldTimeout). Further \
                 ones are counted, not logged"
            );
        }
        Some(Hold { since: Some(since), until: Some(stalled.min(end)) })
    }
}
