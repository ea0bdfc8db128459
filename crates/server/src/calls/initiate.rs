//! How a call begins: each user has one call at a time, and of two that cross the one with the smaller id goes on.

use std::sync::Arc;

use hubline::{Caller, ConnectionId, HubError, OrHubError, SendError, UserId};

use hubline_store::clinic::consultations::is_open_between;
use hubline_store::{StoreError, Timestamp};

use super::call::{Call, CallId, CallStatus};
use super::clock::Millis;
use super::counters::Counters;
use super::error::CallError;
use super::session::{Role, Session};
use super::sessions::Change;
use super::timers::Reason;
use super::{Shared, later};
use crate::consultations::ConsultationRule;

/// How often somebody else may be first.
const ATTEMPTS: usize = 16;
/// When a call that could not begin is reported, behind the answer that has its id. The official clients go on with what awaits an
/// answer only after all messages that came with it, so an event right behind the answer would name a call that nobody has heard of.
/// Nothing depends on it here.
const AFTER_THE_ANSWER: Millis = 50;

/// Whether a user may have a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Free,
    /// The user has another call.
    Taken,
    /// The two call each other, and the other call goes on.
    Crossed,
}

impl Shared {
    /// Begins a call. Returns its id, also if the recipient is busy, which the caller is told by `CallRejected`.
    pub(super) async fn initiate(
        self: &Arc<Self>,
        caller: &Caller,
        recipient: UserId,
        offer: Arc<str>,
    ) -> Result<CallId, HubError> {
        let user = caller.user_id().or_hub_error("somebody without a name cannot call")?.clone();
        if recipient == user {
            return Err(HubError::new("the recipient is the caller: nobody can call oneself"));
        }
        self.rate.take(&user)?;
        self.may_call(&user, &recipient).await?;
        let session = self.begin(caller, &user, recipient)?;
        let begun = self.begin_to_ring(caller, &session, &offer).await;
        if begun.is_err() {
            self.give_up(&session).await;
        }
        begun.map(|()| session.call.id)
    }

    /// # Errors
    /// It does not ring, and is to be given up.
    async fn begin_to_ring(
        self: &Arc<Self>,
        caller: &Caller,
        session: &Session,
        offer: &Arc<str>,
    ) -> Result<(), HubError> {
        let id = &session.call.id;
        self.sessions.create(session.clone(), Arc::clone(offer)).await?;
        self.may_leave_this_instance(session)?;
        let turn = match self.take_turn(session, Role::Caller).await? {
            Turn::Taken => {
                return Err(HubError::new(
                    "you take part in a call already: EndCall ends it, GetActiveCalls names it",
                ));
            }
            // The other one goes on, although it may be over by now: this one has not become the caller's.
            Turn::Crossed => Turn::Crossed,
            Turn::Free => self.take_turn(session, Role::Recipient).await?,
        };
        if turn != Turn::Free {
            self.refuse_own(id).await;
            return Ok(());
        }
        self.carry(caller, id).await;
        Counters::count(&self.counters.started);
        self.record(session);
        self.timers.set(id, session.state.ring_until, Reason::Deadline);
        tracing::info!(call = %id, caller = %session.call.caller, recipient = %session.call.recipient, "Call begins to ring");
        Ok(self.ring(session, offer, None).await?)
    }

    /// Has the devices of the recipient ring, or one that has just come.
    pub(super) async fn ring(
        &self,
        session: &Session,
        offer: &str,
        device: Option<&ConnectionId>,
    ) -> Result<(), SendError> {
        let Some(events) = self.events() else { return Ok(()) };
        events.incoming_call(session, offer, device).await?;
        // It may have been answered, or ended, before the devices were told of it.
        let now = self.sessions.get(&session.call.id).await.ok().flatten();
        match now.filter(|now| now.call.status != CallStatus::Ringing) {
            None => {}
            Some(now) if now.is_over() => events.over_for_recipient(&now, device).await,
            Some(now) => match device {
                Some(device) => events.moved_elsewhere(&now, device).await,
                None => events.answered_elsewhere(&now).await,
            },
        }
        Ok(())
    }

    /// Where consultations are required, only participants of an open one call each other.
    async fn may_call(&self, user: &UserId, recipient: &UserId) -> Result<(), HubError> {
        let (ConsultationRule::Required, Some(store)) = (self.consultations, &self.store) else {
            return Ok(());
        };
        let [user, recipient] = [user, recipient].map(|user| user.as_str().to_owned());
        let asked = store.read(move |db| {
            Box::pin(async move { is_open_between(db, &user, &recipient, Timestamp::now()).await })
        });
        let is_open: Result<bool, StoreError> = asked.await;
        let is_open = is_open.or_hub_error(
            "whether there is an open consultation cannot be asked now, try again in a moment",
        )?;
        is_open.then_some(()).or_hub_error("there is no open consultation with this user")
    }

    fn begin(&self, caller: &Caller, user: &UserId, recipient: UserId) -> Result<Session, HubError> {
        let now = self.now();
        let rings = i64::try_from(self.options.ring_timeout.as_millis()).unwrap_or_default();
        let id = CallId::new(now).or_hub_error("no id can be made for the call")?;
        let call = Call::ringing(id, user.clone(), recipient, now);
        Ok(Session::ringing(call, caller.connection_id().clone(), now + rings))
    }

    /// Without Redis only users of this instance can be called.
    fn may_leave_this_instance(&self, session: &Session) -> Result<(), HubError> {
        let is_here = || self.present.lock().contains_key(&session.call.recipient);
        (!self.sessions.is_cut_off() || is_here()).then_some(()).or_hub_error(
            "the servers cannot reach each other now, and this user is not connected to the same one: try again in a moment",
        )
    }

    /// Makes the call that of one of its users, unless the user has another one that goes on.
    async fn take_turn(&self, session: &Session, role: Role) -> Result<Turn, CallError> {
        let (id, user) = (&session.call.id, session.user(role));
        let mut instead = None;
        for _ in 0..ATTEMPTS {
            let Some(other) = self.sessions.take_slot(user, id, instead.as_ref()).await else {
                return Ok(Turn::Free);
            };
            match self.beside(session, &other, role).await? {
                Turn::Free => instead = Some(other),
                turn => return Ok(turn),
            }
        }
        Ok(Turn::Taken)
    }

    /// What the other call of a user means for this one. If it has to give way, it is over afterwards.
    async fn beside(&self, session: &Session, other: &CallId, role: Role) -> Result<Turn, CallError> {
        self.look(other, false).await;
        let Some(theirs) = self.sessions.get(other).await?.filter(|theirs| !theirs.is_over()) else {
            return Ok(Turn::Free);
        };
        let (call, their) = (&session.call, &theirs.call);
        let crosses = their.caller == call.recipient && their.recipient == call.caller;
        if crosses && their.status == CallStatus::Ringing {
            return match call.id < *other {
                true => self.refuse_other(other).await,
                false => Ok(Turn::Crossed),
            };
        }
        // A caller who calls again because the connection was lost is not in that call any more.
        let is_left = role == Role::Caller
            && theirs.role_of(&call.caller).is_ok_and(|role| theirs.side(role).lost_until.is_some());
        if is_left {
            let (caller, now) = (&call.caller, self.now());
            let ended = self.change_status(other, |session| session.ended(caller, now).map(Change::from));
            if matches!(ended.await, Ok(_) | Err(CallError::Over)) {
                return Ok(Turn::Free);
            }
        }
        Ok(Turn::Taken)
    }

    /// A call that crosses another with a smaller id, or whose recipient is busy.
    async fn refuse_own(&self, id: &CallId) {
        let now = self.now();
        self.sessions.schedule(id, now + later()).await;
        let refused =
            self.sessions.change(id, &|session| session.refused_as_busy(now).map(Change::from)).await;
        if refused.is_ok() {
            self.timers.set(id, self.now() + AFTER_THE_ANSWER, Reason::Announcement);
        }
    }

    /// Refuses another call for this one.
    async fn refuse_other(&self, id: &CallId) -> Result<Turn, CallError> {
        let now = self.now();
        match self.change_status(id, |session| session.refused_as_busy(now).map(Change::from)).await {
            Ok(session) => {
                // In case it rings already.
                if let Some(events) = self.events() {
                    events.answered_elsewhere(&session).await;
                }
                Ok(Turn::Free)
            }
            // It is over, or was accepted just now, which shows when it is looked at again.
            Err(CallError::Over | CallError::Unknown) => Ok(Turn::Free),
            Err(error) => Err(error),
        }
    }

    /// The call has never rung, and nobody is told of it.
    async fn give_up(&self, session: &Session) {
        let (id, now) = (&session.call.id, self.now());
        let over = |session: &Session| Ok(session.refused_as_busy(now)?.announced().into());
        _ = self.sessions.change(id, &over).await;
        self.sessions.release_slots(session).await;
        self.sessions.unschedule(id).await;
    }
}
