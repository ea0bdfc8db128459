use std::collections::HashMap;
use std::time::Duration;

use hubline_protocol::UserId;
use parking_lot::{Mutex, MutexGuard};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::{Call, CallError, CallId, CallStatus};

/// How long a call is kept.
pub const CALLS_ARE_KEPT: Duration = Duration::from_secs(4 * 60 * 60);
/// Calls that are held at most; when there are more, those that are over give way.
const LIMIT_CALLS: usize = 65_536;

/// Calls that this instance created or changed.
#[derive(Debug, Default)]
pub struct LocalCalls(Mutex<HashMap<CallId, HeldCall>>);

/// A call, and what others know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldCall {
    /// The call.
    pub call: Call,
    /// Whether others have yet to be told. Of use to directories that do.
    pub is_untold: bool,
    until: Instant,
}

impl HeldCall {
    /// How long it is still to be kept.
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl LocalCalls {
    /// Adds a call.
    ///
    /// # Errors
    /// [`CallError::Exists`], [`CallError::Full`].
    pub fn create(&self, call: Call) -> Result<(), CallError> {
        let mut calls = self.calls();
        match get(&calls, &call.id) {
            Some(_) => Err(CallError::Exists(call.id)),
            None => hold(&mut calls, call, true),
        }
    }

    /// A call that is held.
    pub fn get(&self, id: &CallId) -> Option<Call> {
        get(&self.calls(), id).map(|held| held.call.clone())
    }

    /// Takes a call to another status.
    ///
    /// # Errors
    /// [`CallError::Unknown`], and what [`Call::advanced`] says.
    pub fn advance(&self, id: &CallId, by: &UserId, to: CallStatus) -> Result<Call, CallError> {
        let mut calls = self.calls();
        let held = get(&calls, id).ok_or_else(|| CallError::Unknown(id.clone()))?;
        let call = held.call.advanced(by, to, OffsetDateTime::now_utc())?;
        let changed = HeldCall { call: call.clone(), is_untold: true, until: held.until };
        calls.insert(id.clone(), changed);
        Ok(call)
    }

    /// Holds what others know; one that is further along here stays. Without room for it, it is not held.
    pub fn learned(&self, call: Call) {
        let mut calls = self.calls();
        match calls.get_mut(&call.id) {
            Some(held) if held.call.status > call.status => {}
            Some(held) => (held.call, held.is_untold) = (call, false),
            None => _ = hold(&mut calls, call, false),
        }
    }

    /// Those that others have yet to be told of, some of them.
    pub fn untold(&self, limit: usize) -> Vec<HeldCall> {
        let calls = self.calls();
        calls.values().filter(|held| held.is_untold && is_kept(held)).take(limit).cloned().collect()
    }

    /// Others know a call as it is here, or better; one that has changed since is still to be told.
    pub fn told(&self, call: &Call) {
        if let Some(held) = self.calls().get_mut(&call.id)
            && held.call.status == call.status
        {
            held.is_untold = false;
        }
    }

    /// Others have lost everything and have to be told again.
    pub fn forgotten_by_others(&self) {
        for held in self.calls().values_mut() {
            held.is_untold = true;
        }
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<CallId, HeldCall>> {
        self.0.lock()
    }
}

fn get<'a>(calls: &'a HashMap<CallId, HeldCall>, id: &CallId) -> Option<&'a HeldCall> {
    calls.get(id).filter(|held| is_kept(held))
}

fn hold(calls: &mut HashMap<CallId, HeldCall>, call: Call, is_untold: bool) -> Result<(), CallError> {
    if calls.len() >= LIMIT_CALLS {
        calls.retain(|_, held| is_kept(held) && held.call.status <= CallStatus::Active);
        if calls.len() >= LIMIT_CALLS {
            return Err(CallError::Full(LIMIT_CALLS));
        }
    }
    calls.insert(call.id.clone(), HeldCall { call, is_untold, until: Instant::now() + CALLS_ARE_KEPT });
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
        let calls = LocalCalls::default();
        let id = CallId::from("c");
        calls.create(Call::ringing("c", "ada".into(), "bob".into())).unwrap();
        tokio::time::advance(CALLS_ARE_KEPT - Duration::from_secs(1)).await;
        assert!(calls.advance(&id, &"bob".into(), CallStatus::Active).is_ok());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(calls.get(&id), None);
        assert!(calls.untold(1).is_empty());
        assert!(calls.create(Call::ringing("c", "ada".into(), "bob".into())).is_ok());
    }

    #[test]
    fn calls_that_are_over_give_way_when_it_is_full() {
        let calls = LocalCalls::default();
        let create = |n: usize| calls.create(Call::ringing(n.to_string(), "ada".into(), "bob".into()));
        (0..LIMIT_CALLS).for_each(|n| create(n).unwrap());
        assert_eq!(create(LIMIT_CALLS), Err(CallError::Full(LIMIT_CALLS)));
        calls.advance(&"7".into(), &"ada".into(), CallStatus::Ended).unwrap();
        create(LIMIT_CALLS).unwrap();
        assert_eq!(calls.get(&"7".into()), None);
    }
}
