//! A call as the hub keeps it, and the ways in which it may change. Nothing here waits, sends or asks for the time.

use hubline::{ConnectionId, UserId};
use hubline_store::calls::CallOutcome;
use serde::{Deserialize, Serialize};

use super::call::{Call, CallStatus};
use super::clock::{Millis, date};
use super::error::CallError;

/// Why nobody accepted: a reason of the server, in the place of the recipient's.
pub(super) const NO_ANSWER: &str = "no-answer";
/// Why nobody could be called: a reason of the server, in the place of the recipient's.
pub(super) const BUSY: &str = "busy";
/// Why a call has ended that nobody has ended.
pub(super) const LOST: &str = "connection-lost";

/// One of the two participants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Caller,
    Recipient,
}

impl Role {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Caller => Self::Recipient,
            Self::Recipient => Self::Caller,
        }
    }
}

/// A call, and what other programs need not know of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Session {
    pub(super) call: Call,
    pub(super) state: State,
}

/// What belongs to a call beside its entry for other programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Raised by each change.
    pub(super) revision: u64,
    /// Until when it may ring.
    pub(super) ring_until: Millis,
    pub(super) caller: Side,
    pub(super) recipient: Side,
    /// Why it is over, if somebody said so.
    pub(super) reason: Option<String>,
    /// Whether the clients were told of the last change of the status.
    pub(super) is_announced: bool,
}

/// One side of a call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Side {
    /// The connection that the call goes on by; of a recipient, once it has answered.
    pub(super) connection: Option<ConnectionId>,
    /// Until when another connection may take its place, since it has ended.
    pub(super) lost_until: Option<Millis>,
    #[serde(default)]
    pub(super) is_video_muted: bool,
    #[serde(default)]
    pub(super) is_audio_muted: bool,
}

/// What a participant may mute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Video,
    Audio,
}

impl Session {
    /// A call that begins to ring.
    pub(super) fn ringing(call: Call, connection: ConnectionId, ring_until: Millis) -> Self {
        let caller = Side { connection: Some(connection), ..Side::default() };
        let recipient = Side::default();
        let state = State { revision: 1, ring_until, caller, recipient, reason: None, is_announced: true };
        Self { call, state }
    }

    /// Which of the two a user is.
    ///
    /// # Errors
    /// [`CallError::Unknown`]: neither.
    pub(super) fn role_of(&self, user: &UserId) -> Result<Role, CallError> {
        match user {
            user if *user == self.call.caller => Ok(Role::Caller),
            user if *user == self.call.recipient => Ok(Role::Recipient),
            _ => Err(CallError::Unknown),
        }
    }

    pub(super) fn user(&self, role: Role) -> &UserId {
        match role {
            Role::Caller => &self.call.caller,
            Role::Recipient => &self.call.recipient,
        }
    }

    pub(super) fn side(&self, role: Role) -> &Side {
        match role {
            Role::Caller => &self.state.caller,
            Role::Recipient => &self.state.recipient,
        }
    }

    fn side_mut(&mut self, role: Role) -> &mut Side {
        match role {
            Role::Caller => &mut self.state.caller,
            Role::Recipient => &mut self.state.recipient,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.call.status > CallStatus::Active
    }

    /// What has become of it.
    pub(super) fn outcome(&self) -> CallOutcome {
        let (was_accepted, reason) = (self.call.accepted.is_some(), self.state.reason.as_deref());
        match self.call.status {
            CallStatus::Ringing | CallStatus::Active => CallOutcome::Begun,
            CallStatus::Rejected if self.state.recipient.connection.is_some() => CallOutcome::Declined,
            CallStatus::Rejected if reason == Some(BUSY) => CallOutcome::Busy,
            CallStatus::Rejected => CallOutcome::Missed,
            CallStatus::Ended if !was_accepted => CallOutcome::Cancelled,
            CallStatus::Ended if reason == Some(LOST) => CallOutcome::Lost,
            CallStatus::Ended => CallOutcome::Completed,
        }
    }

    /// Which of two versions counts.
    pub(super) fn rank(&self) -> (CallStatus, u64) {
        (self.call.status, self.state.revision)
    }

    /// When something happens to it by itself.
    pub(super) fn deadline(&self) -> Option<Millis> {
        if self.is_over() {
            return None;
        }
        let ringing = (self.call.status == CallStatus::Ringing).then_some(self.state.ring_until);
        [ringing, self.state.caller.lost_until, self.state.recipient.lost_until].into_iter().flatten().min()
    }

    /// Whether a participant may do something by this connection that only the connection with the call may do.
    ///
    /// # Errors
    /// It may not.
    pub(super) fn carried_by(&self, user: &UserId, connection: &ConnectionId) -> Result<Role, CallError> {
        let role = self.role_of(user)?;
        if self.is_over() {
            return Err(CallError::Over);
        }
        match &self.side(role).connection {
            Some(current) if current == connection => Ok(role),
            Some(_) => Err(CallError::AnotherConnection),
            // Each of the recipient's devices may prepare itself while it rings.
            None => Ok(role),
        }
    }

    fn changed(&self) -> Self {
        let mut session = self.clone();
        session.state.revision += 1;
        session
    }

    fn over(&self, status: CallStatus, reason: Option<&str>, now: Millis) -> Self {
        let mut session = self.changed();
        (session.call.status, session.call.ended) = (status, Some(date(now)));
        session.state.reason = reason.map(str::to_owned);
        session.state.is_announced = false;
        session
    }

    /// The recipient answers, by this connection.
    pub(super) fn accepted(
        &self,
        by: &UserId,
        connection: &ConnectionId,
        now: Millis,
    ) -> Result<Self, CallError> {
        self.may_answer(by, now)?;
        let mut session = self.changed();
        (session.call.status, session.call.accepted) = (CallStatus::Active, Some(date(now)));
        session.state.recipient.connection = Some(connection.clone());
        session.state.is_announced = false;
        Ok(session)
    }

    /// The recipient refuses, by this connection.
    pub(super) fn rejected(
        &self,
        by: &UserId,
        connection: &ConnectionId,
        reason: &str,
        now: Millis,
    ) -> Result<Self, CallError> {
        self.may_answer(by, now)?;
        let mut session = self.over(CallStatus::Rejected, Some(reason), now);
        session.state.recipient.connection = Some(connection.clone());
        Ok(session)
    }

    fn may_answer(&self, by: &UserId, now: Millis) -> Result<(), CallError> {
        let role = self.role_of(by)?;
        match self.call.status {
            CallStatus::Rejected | CallStatus::Ended => Err(CallError::Over),
            _ if role == Role::Caller => Err(CallError::NotTheRecipient),
            CallStatus::Active => Err(CallError::AnsweredElsewhere),
            CallStatus::Ringing if now >= self.state.ring_until => Err(CallError::Over),
            CallStatus::Ringing => Ok(()),
        }
    }

    /// The recipient cannot be called now.
    pub(super) fn refused_as_busy(&self, now: Millis) -> Result<Self, CallError> {
        match self.call.status {
            CallStatus::Ringing => Ok(self.over(CallStatus::Rejected, Some(BUSY), now)),
            _ => Err(CallError::Over),
        }
    }

    /// A participant ends it, before or after it was accepted.
    pub(super) fn ended(&self, by: &UserId, now: Millis) -> Result<Self, CallError> {
        self.role_of(by)?;
        if self.is_over() {
            return Err(CallError::Over);
        }
        Ok(self.over(CallStatus::Ended, None, now))
    }

    /// What becomes of it because a deadline has passed.
    ///
    /// # Errors
    /// [`CallError::NotPossible`]: none has.
    pub(super) fn expired(&self, now: Millis) -> Result<Self, CallError> {
        let status = self.call.status;
        if self.is_over() {
            return Err(CallError::Over);
        }
        if status == CallStatus::Ringing && now >= self.state.ring_until {
            return Ok(self.over(CallStatus::Rejected, Some(NO_ANSWER), now));
        }
        match self.deadline() {
            Some(deadline) if now >= deadline => Ok(self.over(CallStatus::Ended, Some(LOST), now)),
            _ => Err(CallError::NotPossible(status)),
        }
    }

    /// The connection has ended; another one may take its place until then.
    ///
    /// # Errors
    /// It does not carry the call, or that is known already.
    pub(super) fn lost(&self, connection: &ConnectionId, until: Millis) -> Result<Self, CallError> {
        if self.is_over() {
            return Err(CallError::Over);
        }
        let has_lost = |role: &Role| {
            let side = self.side(*role);
            side.connection.as_ref() == Some(connection) && side.lost_until.is_none()
        };
        let role = [Role::Caller, Role::Recipient].into_iter().find(has_lost);
        let role = role.ok_or(CallError::AnotherConnection)?;
        let mut session = self.changed();
        session.side_mut(role).lost_until = Some(until);
        Ok(session)
    }

    /// A participant goes on by this connection.
    pub(super) fn rejoined(
        &self,
        by: &UserId,
        connection: &ConnectionId,
        now: Millis,
    ) -> Result<Self, CallError> {
        let role = self.role_of(by)?;
        if self.is_over() || self.side(role).lost_until.is_some_and(|until| now >= until) {
            return Err(CallError::Over);
        }
        if self.side(role).connection.is_none() {
            return Err(CallError::NotAccepted);
        }
        let mut session = self.changed();
        let side = session.side_mut(role);
        (side.connection, side.lost_until) = (Some(connection.clone()), None);
        Ok(session)
    }

    /// A participant mutes or unmutes.
    pub(super) fn toggled(
        &self,
        by: &UserId,
        connection: &ConnectionId,
        media: Media,
        is_muted: bool,
    ) -> Result<Self, CallError> {
        let role = self.carried_by(by, connection)?;
        if self.side(role).connection.is_none() {
            return Err(CallError::NotAccepted);
        }
        let mut session = self.changed();
        let side = session.side_mut(role);
        match media {
            Media::Video => side.is_video_muted = is_muted,
            Media::Audio => side.is_audio_muted = is_muted,
        }
        Ok(session)
    }

    /// Its clients have been told of its status.
    pub(super) fn announced(&self) -> Self {
        let mut session = self.changed();
        session.state.is_announced = true;
        session
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Session {
        let call = Call::ringing("c", "ada".into(), "bob".into(), 1_000);
        Session::ringing(call, "a1".into(), 46_000)
    }

    fn users() -> [UserId; 3] {
        ["ada".into(), "bob".into(), "eve".into()]
    }

    #[test]
    fn the_first_answer_counts_and_only_that_of_the_recipient() {
        let [ada, bob, eve] = users();
        let ringing = call();
        assert_eq!(ringing.accepted(&eve, &"e1".into(), 2_000), Err(CallError::Unknown));
        assert_eq!(ringing.accepted(&ada, &"a1".into(), 2_000), Err(CallError::NotTheRecipient));
        assert_eq!(ringing.accepted(&bob, &"b1".into(), 46_000), Err(CallError::Over), "too late");
        let active = ringing.accepted(&bob, &"b1".into(), 2_000).unwrap();
        assert_eq!(active.call.status, CallStatus::Active);
        assert_eq!(active.accepted(&bob, &"b2".into(), 2_000), Err(CallError::AnsweredElsewhere));
        assert_eq!(active.rejected(&bob, &"b2".into(), "no", 2_000), Err(CallError::AnsweredElsewhere));
        let rejected = ringing.rejected(&bob, &"b1".into(), "no", 2_000).unwrap();
        assert_eq!(rejected.state.reason.as_deref(), Some("no"));
        assert_eq!(rejected.accepted(&bob, &"b1".into(), 2_000), Err(CallError::Over));
    }

    #[test]
    fn either_side_ends_it_once_and_nobody_else_does() {
        let [ada, bob, eve] = users();
        for session in [call(), call().accepted(&bob, &"b1".into(), 2_000).unwrap()] {
            assert_eq!(session.ended(&eve, 3_000), Err(CallError::Unknown));
            for user in [&ada, &bob] {
                let over = session.ended(user, 3_000).unwrap();
                assert!(over.is_over() && over.deadline().is_none() && !over.state.is_announced);
                assert_eq!(over.ended(&ada, 4_000), Err(CallError::Over));
                assert_eq!(over.expired(90_000), Err(CallError::Over));
                assert_eq!(over.rejoined(&ada, &"a2".into(), 4_000), Err(CallError::Over));
            }
        }
    }

    #[test]
    fn ringing_and_the_absence_of_a_side_end_at_their_deadlines() {
        let bob = UserId::from("bob");
        let ringing = call();
        assert!(ringing.expired(45_999).is_err());
        let missed = ringing.expired(46_000).unwrap();
        assert_eq!(missed.state.reason.as_deref(), Some(NO_ANSWER));

        // A caller who is away while it rings is waited for, but no longer than it rings.
        let away = ringing.lost(&"a1".into(), 40_000).unwrap();
        assert_eq!(away.deadline(), Some(40_000));
        assert_eq!(away.expired(40_000).unwrap().state.reason.as_deref(), Some(LOST));
        assert_eq!(away.lost(&"a1".into(), 70_000), Err(CallError::AnotherConnection), "known already");

        let active = ringing.accepted(&bob, &"b1".into(), 2_000).unwrap();
        assert_eq!(active.deadline(), None);
        assert!(active.expired(1_000_000).is_err());
        assert_eq!(active.lost(&"b2".into(), 33_000), Err(CallError::AnotherConnection));
        let half = active.lost(&"b1".into(), 33_000).unwrap();
        assert_eq!(half.deadline(), Some(33_000));
        let back = half.rejoined(&bob, &"b2".into(), 32_999).unwrap();
        assert_eq!((back.deadline(), back.carried_by(&bob, &"b2".into())), (None, Ok(Role::Recipient)));
        assert_eq!(back.carried_by(&bob, &"b1".into()), Err(CallError::AnotherConnection));
        assert_eq!(half.rejoined(&bob, &"b2".into(), 33_000), Err(CallError::Over), "too late");
        let lost = half.expired(33_000).unwrap();
        assert_eq!((lost.call.status, lost.state.reason.as_deref()), (CallStatus::Ended, Some(LOST)));
    }

    #[test]
    fn only_the_connection_with_the_call_mutes_and_only_after_an_answer() {
        let [ada, bob, _] = users();
        let ringing = call();
        let early = ringing.toggled(&bob, &"b1".into(), Media::Audio, true);
        assert_eq!(early, Err(CallError::NotAccepted));
        let active = ringing.accepted(&bob, &"b1".into(), 2_000).unwrap();
        let other = active.toggled(&ada, &"a2".into(), Media::Video, true);
        assert_eq!(other, Err(CallError::AnotherConnection));
        let muted = active.toggled(&ada, &"a1".into(), Media::Video, true).unwrap();
        assert!(muted.state.caller.is_video_muted && !muted.state.caller.is_audio_muted);
        assert_eq!(ringing.rejoined(&bob, &"b1".into(), 3_000), Err(CallError::NotAccepted));
    }
}
