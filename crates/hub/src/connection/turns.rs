//! Whose turn it is when a slot gets free.

use crate::dispatcher::BoundCall;

/// What waits for one of the client's slots, in the order in which it came. On most connections nothing does.
#[derive(Default)]
pub(super) struct Turns(Option<Box<Queued>>);

/// Whose turn it is.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once, and kept nowhere")]
pub(super) enum Turn {
    Call(BoundCall),
    /// The hub is to be told of a refreshed authentication.
    Refreshed,
}

#[derive(Default)]
struct Queued {
    /// Refreshes that came before the call.
    refreshes: u32,
    /// Never more than one: what comes behind it is not read before it has begun.
    call: Option<BoundCall>,
    /// Refreshes that came after the call.
    later_refreshes: u32,
}

impl Turns {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a call waits, so that nothing behind it is read.
    pub(super) fn has_call(&self) -> bool {
        self.0.as_ref().is_some_and(|waiting| waiting.call.is_some())
    }

    /// Lets a call wait; none may wait yet.
    pub(super) fn push_call(&mut self, call: BoundCall) {
        self.0.get_or_insert_default().call = Some(call);
    }

    pub(super) fn push_refresh(&mut self) {
        let waiting = self.0.get_or_insert_default();
        let refreshes = match waiting.call {
            None => &mut waiting.refreshes,
            Some(_) => &mut waiting.later_refreshes,
        };
        *refreshes = refreshes.saturating_add(1);
    }

    /// Takes what comes next; it gets the slot.
    pub(super) fn next(&mut self) -> Option<Turn> {
        let waiting = self.0.as_mut()?;
        let turn = if waiting.refreshes > 0 {
            waiting.refreshes -= 1;
            Some(Turn::Refreshed)
        } else {
            waiting.refreshes = std::mem::take(&mut waiting.later_refreshes);
            waiting.call.take().map(Turn::Call)
        };
        if waiting.refreshes == 0 && waiting.call.is_none() {
            self.0 = None;
        }
        turn
    }

    /// Cancels the call that waits, if the client means it.
    pub(super) fn cancel(&self, invocation_id: &str) {
        if let Some(call) = self.0.as_ref().and_then(|waiting| waiting.call.as_ref())
            && call.reply.invocation_id.as_deref() == Some(invocation_id)
        {
            call.cancel();
        }
    }
}
