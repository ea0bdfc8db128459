//! The calls that this instance knows, in its memory: all there are on a single instance, and what goes on without Redis.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use hubline::{ConnectionId, UserId};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::call::{CallId, CallStatus};
use super::error::CallError;
use super::session::Session;
use super::sessions::{Change, Decision, KEPT_FOR, Kept, LIMIT_CANDIDATES};

/// Calls that are held at most; when there are more, those that are over make room.
const LIMIT_CALLS: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Held(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    calls: HashMap<CallId, HeldCall>,
    /// The call that each user takes part in, or did.
    slots: HashMap<UserId, CallId>,
}

#[derive(Debug, Clone)]
pub(super) struct HeldCall {
    pub(super) session: Session,
    pub(super) offer: Option<Arc<str>>,
    pub(super) answer: Option<Arc<str>>,
    kept: Vec<Kept>,
    /// Whether Redis may not have it as it is here.
    is_unwritten: bool,
    until: Instant,
    /// When it was last known to be as Redis has it.
    seen: Instant,
}

impl HeldCall {
    /// How long it is still to be kept.
    pub(super) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    fn is_kept(&self) -> bool {
        Instant::now() < self.until
    }
}

impl Held {
    pub(super) fn get(&self, id: &CallId) -> Option<HeldCall> {
        self.memory().calls.get(id).filter(|held| held.is_kept()).cloned()
    }

    pub(super) fn session(&self, id: &CallId) -> Option<Session> {
        self.memory().calls.get(id).filter(|held| held.is_kept()).map(|held| held.session.clone())
    }

    /// Holds a call that begins.
    pub(super) fn create(&self, change: &Change, is_unwritten: bool) -> Result<(), CallError> {
        self.memory().insert(change.session.clone(), change.offer.clone(), is_unwritten)
    }

    /// Changes a call that Redis does not have as it is here.
    pub(super) fn change(
        &self,
        id: &CallId,
        decide: &Decision<'_>,
    ) -> Result<(Session, Vec<Kept>), CallError> {
        let mut memory = self.memory();
        let held = memory.calls.get_mut(id).filter(|held| held.is_kept()).ok_or(CallError::Unknown)?;
        let change = decide(&held.session)?;
        let taken = held.apply(&change)?;
        held.is_unwritten = true;
        Ok((change.session, taken))
    }

    /// Redis has taken this change. Without room for the call, it is not held.
    pub(super) fn follow(&self, change: &Change) {
        let mut memory = self.memory();
        match memory.calls.get_mut(&change.session.call.id) {
            Some(held) => {
                _ = held.apply(change);
                (held.is_unwritten, held.seen) = (false, Instant::now());
            }
            None => _ = memory.insert(change.session.clone(), None, false),
        }
    }

    /// Redis has this call, or had it. It is taken over if it is further along than the one here.
    pub(super) fn learn(&self, session: &Session) {
        if let Some(held) = self.memory().calls.get_mut(&session.call.id)
            && session.rank() >= held.session.rank()
        {
            held.session = session.clone();
            (held.is_unwritten, held.seen) = (false, Instant::now());
        }
    }

    /// Forgets a call that is over, and that Redis has as it is here.
    pub(super) fn forget(&self, id: &CallId) {
        self.memory().calls.remove(id);
    }

    /// Forgets calls that are older than they are kept.
    pub(super) fn prune(&self) {
        let mut memory = self.memory();
        memory.calls.retain(|_, held| held.is_kept());
        let Memory { calls, slots } = &mut *memory;
        slots.retain(|_, id| calls.contains_key(id));
    }

    /// Some of those that Redis may not have as they are here.
    pub(super) fn unwritten(&self, limit: usize) -> Vec<HeldCall> {
        let memory = self.memory();
        let unwritten = memory.calls.values().filter(|held| held.is_unwritten && held.is_kept());
        unwritten.take(limit).cloned().collect()
    }

    /// Redis has a call as it is here, or further along; one that has changed since is still unwritten.
    pub(super) fn written(&self, session: &Session) {
        if let Some(held) = self.memory().calls.get_mut(&session.call.id)
            && held.session.rank() <= session.rank()
        {
            (held.is_unwritten, held.seen) = (false, Instant::now());
        }
    }

    /// Redis may not have all that belongs to a call.
    pub(super) fn is_to_be_written(&self, id: &CallId) {
        if let Some(held) = self.memory().calls.get_mut(id) {
            held.is_unwritten = true;
        }
    }

    /// Redis may have lost everything.
    pub(super) fn all_unwritten(&self) {
        for held in self.memory().calls.values_mut() {
            held.is_unwritten = true;
        }
    }

    /// Some of those that may have changed elsewhere since `before`, or, if they ring, since `ringing_before`.
    pub(super) fn unseen(&self, before: Instant, ringing_before: Instant, limit: usize) -> Vec<CallId> {
        let memory = self.memory();
        let is_old = |held: &HeldCall| match held.session.call.status {
            CallStatus::Ringing => held.seen <= ringing_before,
            _ => held.seen <= before,
        };
        let unseen = memory.calls.iter().filter(|(_, held)| !held.is_unwritten && is_old(held));
        unseen.map(|(id, _)| id.clone()).take(limit).collect()
    }

    /// All sessions, as they were last known here.
    pub(super) fn for_each(&self, mut look: impl FnMut(&Session)) {
        self.memory().calls.values().filter(|held| held.is_kept()).for_each(|held| look(&held.session));
    }

    /// The calls that go on by these connections, as far as they are known here.
    pub(super) fn carried_by(&self, connections: &HashSet<&ConnectionId>) -> Vec<(ConnectionId, CallId)> {
        let mut carried = Vec::new();
        self.for_each(|session| {
            let sides = [&session.state.caller, &session.state.recipient];
            for connection in sides.into_iter().filter_map(|side| side.connection.as_ref()) {
                if !session.is_over() && connections.contains(connection) {
                    carried.push((connection.clone(), session.call.id.clone()));
                }
            }
        });
        carried
    }

    pub(super) fn slot(&self, user: &UserId) -> Option<CallId> {
        self.memory().slots.get(user).cloned()
    }

    /// A call of the user that is known here and not over, whoever keeps which call is the user's.
    pub(super) fn call_of(&self, user: &UserId) -> Option<CallId> {
        let mut found = None;
        self.for_each(|session| {
            if !session.is_over() && session.role_of(user).is_ok() {
                found = Some(session.call.id.clone());
            }
        });
        found
    }

    /// Makes it the user's call, unless the user has another than `instead`, which is returned.
    pub(super) fn take_slot(&self, user: &UserId, id: &CallId, instead: Option<&CallId>) -> Option<CallId> {
        let mut memory = self.memory();
        match memory.slots.get(user) {
            Some(other) if other != id && Some(other) != instead => Some(other.clone()),
            _ => {
                memory.slots.insert(user.clone(), id.clone());
                None
            }
        }
    }

    pub(super) fn release_slot(&self, user: &UserId, id: &CallId) {
        let mut memory = self.memory();
        if memory.slots.get(user) == Some(id) {
            memory.slots.remove(user);
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock()
    }
}

impl HeldCall {
    fn apply(&mut self, change: &Change) -> Result<Vec<Kept>, CallError> {
        if let Some(kept) = &change.keep {
            if self.kept.iter().filter(|other| other.role == kept.role).count() >= LIMIT_CANDIDATES {
                return Err(CallError::TooManyCandidates(LIMIT_CANDIDATES));
            }
            self.kept.push(kept.clone());
        }
        let (taken, left) = self.kept.drain(..).partition(|kept| change.take.contains(&kept.role));
        self.kept = left;
        if let Some(answer) = &change.answer {
            self.answer = Some(Arc::clone(answer));
        }
        self.session = change.session.clone();
        if self.session.is_over() {
            (self.offer, self.answer, self.kept) = (None, None, Vec::new());
        }
        Ok(taken)
    }
}

impl Memory {
    fn insert(
        &mut self,
        session: Session,
        offer: Option<Arc<str>>,
        is_unwritten: bool,
    ) -> Result<(), CallError> {
        if self.calls.len() >= LIMIT_CALLS {
            self.calls.retain(|_, held| held.is_kept() && (held.is_unwritten || !held.session.is_over()));
            self.slots.retain(|_, id| self.calls.contains_key(id));
            if self.calls.len() >= LIMIT_CALLS {
                return Err(CallError::Full(LIMIT_CALLS));
            }
        }
        let now = Instant::now();
        let held = HeldCall {
            session,
            offer,
            answer: None,
            kept: Vec::new(),
            is_unwritten,
            until: now + KEPT_FOR,
            seen: now,
        };
        self.calls.insert(held.session.call.id.clone(), held);
        Ok(())
    }
}
