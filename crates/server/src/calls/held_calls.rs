//! The calls of this instance, in its memory.

use std::collections::HashMap;
use std::time::Duration;

use hubline::UserId;
use parking_lot::{Mutex, MutexGuard};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{Call, CallError, CallId, CallStatus, KEPT_FOR};

/// Calls that are held at most; when there are more, those that are over make room.
const LIMIT_CALLS: usize = 65_536;

/// Calls that this instance created, changed or has read.
#[derive(Debug, Default)]
pub(super) struct HeldCalls(Mutex<HashMap<CallId, HeldCall>>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldCall {
    pub(super) call: Call,
    /// Whether Redis may not have it as it is here.
    pub(super) is_unwritten: bool,
    until: Instant,
}

impl HeldCall {
    /// How long it is still to be kept.
    pub(super) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl HeldCalls {
    pub(super) fn create(&self, call: Call) -> Result<(), CallError> {
        let mut calls = self.calls();
        match get(&calls, &call.id) {
            Some(_) => Err(CallError::Exists(call.id)),
            None => hold(&mut calls, call, true),
        }
    }

    pub(super) fn get(&self, id: &CallId) -> Option<Call> {
        get(&self.calls(), id).map(|held| held.call.clone())
    }

    pub(super) fn advance(&self, id: &CallId, by: &UserId, to: CallStatus) -> Result<Call, CallError> {
        let mut calls = self.calls();
        let held = get(&calls, id).ok_or_else(|| CallError::Unknown(id.clone()))?;
        let call = held.call.advanced(by, to, OffsetDateTime::now_utc())?;
        let changed = HeldCall { call: call.clone(), is_unwritten: true, until: held.until };
        calls.insert(id.clone(), changed);
        Ok(call)
    }

    /// Holds a call as Redis has it, unless it is further along here. If there is no room, it is not held.
    pub(super) fn hold(&self, call: Call) {
        let mut calls = self.calls();
        match calls.get_mut(&call.id) {
            Some(held) if held.call.status > call.status => {}
            Some(held) => (held.call, held.is_unwritten) = (call, false),
            None => _ = hold(&mut calls, call, false),
        }
    }

    /// Some of those that Redis may not have as they are here.
    pub(super) fn unwritten(&self, limit: usize) -> Vec<HeldCall> {
        let calls = self.calls();
        calls.values().filter(|held| held.is_unwritten && is_kept(held)).take(limit).cloned().collect()
    }

    /// Redis has a call as it is here, or further along; one that has changed since is still unwritten.
    pub(super) fn written(&self, call: &Call) {
        if let Some(held) = self.calls().get_mut(&call.id)
            && held.call.status == call.status
        {
            held.is_unwritten = false;
        }
    }

    /// Redis may have lost everything.
    pub(super) fn all_unwritten(&self) {
        for held in self.calls().values_mut() {
            held.is_unwritten = true;
        }
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<CallId, HeldCall>> {
        self.0.lock()
    }
}

fn get<'a>(calls: &'a HashMap<CallId, HeldCall>, id: &CallId) -> Option<&'a HeldCall> {
    calls.get(id).filter(|held| is_kept(held))
}

fn hold(calls: &mut HashMap<CallId, HeldCall>, call: Call, is_unwritten: bool) -> Result<(), CallError> {
    if calls.len() >= LIMIT_CALLS {
        calls.retain(|_, held| is_kept(held) && held.call.status <= CallStatus::Active);
        if calls.len() >= LIMIT_CALLS {
            return Err(CallError::Full(LIMIT_CALLS));
        }
    }
    calls.insert(call.id.clone(), HeldCall { call, is_unwritten, until: Instant::now() + KEPT_FOR });
    Ok(())
}

fn is_kept(held: &HeldCall) -> bool {
    Instant::now() < held.until
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_is_kept_for_four_hours() {
        let calls = HeldCalls::default();
        let id = CallId::from("c");
        calls.create(Call::ringing("c", "ada".into(), "bob".into())).unwrap();
        tokio::time::advance(KEPT_FOR - Duration::from_secs(1)).await;
        assert!(calls.advance(&id, &"bob".into(), CallStatus::Active).is_ok());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(calls.get(&id), None);
        assert!(calls.unwritten(1).is_empty());
        assert!(calls.create(Call::ringing("c", "ada".into(), "bob".into())).is_ok());
    }

    #[test]
    fn calls_that_are_over_give_way_when_it_is_full() {
        let calls = HeldCalls::default();
        let create = |n: usize| calls.create(Call::ringing(n.to_string(), "ada".into(), "bob".into()));
        (0..LIMIT_CALLS).for_each(|n| create(n).unwrap());
        assert_eq!(create(LIMIT_CALLS), Err(CallError::Full(LIMIT_CALLS)));
        calls.advance(&"7".into(), &"ada".into(), CallStatus::Ended).unwrap();
        create(LIMIT_CALLS).unwrap();
        assert_eq!(calls.get(&"7".into()), None);
    }
}
