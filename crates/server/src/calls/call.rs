//! A call between two users, and the ways in which its status may change.

use hubline::UserId;
use hubline::value::DateTime;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The id of a call, chosen by its creator. It must not have been used in the last 4 hours.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(String);

impl CallId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for CallId {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for CallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The status of a call. A call that is [`Rejected`](Self::Rejected) or [`Ended`](Self::Ended) does not change any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum CallStatus {
    /// The recipient has not answered.
    Ringing = 0,
    /// The recipient has accepted.
    Active = 1,
    /// The recipient has refused.
    Rejected = 2,
    /// One of the two has ended it, before or after it was accepted.
    Ended = 3,
}

impl CallStatus {
    /// The name, as .NET's enum has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ringing => "Ringing",
            Self::Active => "Active",
            Self::Rejected => "Rejected",
            Self::Ended => "Ended",
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Ringing, Self::Active, Self::Rejected, Self::Ended].into_iter().find(|s| *s as u8 == number)
    }
}

impl std::fmt::Display for CallStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A call between two users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The call's id.
    pub id: CallId,
    /// The user who calls.
    pub caller: UserId,
    /// The user who is called.
    pub recipient: UserId,
    /// When it started to ring, in units of 100 ns.
    pub started: OffsetDateTime,
    /// When it was accepted, if it was.
    pub accepted: Option<OffsetDateTime>,
    /// When it was rejected or ended, if it was.
    pub ended: Option<OffsetDateTime>,
    /// The status.
    pub status: CallStatus,
}

impl Call {
    /// A call that starts to ring now.
    pub fn ringing(id: impl Into<CallId>, caller: UserId, recipient: UserId) -> Self {
        let started = OffsetDateTime::now_utc();
        let started = started.replace_nanosecond(started.nanosecond() / 100 * 100).unwrap_or(started);
        Self {
            id: id.into(),
            caller,
            recipient,
            started,
            accepted: None,
            ended: None,
            status: CallStatus::Ringing,
        }
    }

    /// The call after a participant has changed its status. The recipient may accept or reject it while it rings; caller and
    /// recipient may end it while it rings or is active.
    ///
    /// # Errors
    /// [`CallError::NotAParticipant`] for anybody else, [`CallError::NotPossible`] for any other change.
    pub fn advanced(&self, by: &UserId, to: CallStatus, at: OffsetDateTime) -> Result<Self, CallError> {
        let (is_caller, is_recipient) = (*by == self.caller, *by == self.recipient);
        if !is_caller && !is_recipient {
            return Err(CallError::NotAParticipant { call: self.id.clone(), user: by.clone() });
        }
        let at = Some(at.replace_nanosecond(at.nanosecond() / 100 * 100).unwrap_or(at));
        let call = self.clone();
        match (self.status, to) {
            (CallStatus::Ringing, CallStatus::Active) if is_recipient => {
                Ok(Self { status: to, accepted: at, ..call })
            }
            (CallStatus::Ringing, CallStatus::Rejected) if is_recipient => {
                Ok(Self { status: to, ended: at, ..call })
            }
            (CallStatus::Ringing | CallStatus::Active, CallStatus::Ended) => {
                Ok(Self { status: to, ended: at, ..call })
            }
            (from, to) => Err(CallError::NotPossible { call: call.id, user: by.clone(), from, to }),
        }
    }

    /// The JSON that other programs read, for example into a .NET class with these properties:
    /// `{"CallId":"…","InitiatorId":"…","RecipientId":"…","StartedAt":"2026-01-02T03:04:05.678Z",
    /// "AcceptedAt":null,"EndedAt":null,"Status":0,"StatusName":"Ringing"}`. Times are UTC; `Status` is the
    /// number of the [`CallStatus`].
    pub fn to_json(&self) -> String {
        serde_json::to_string(&Json::from(self)).unwrap_or_default()
    }

    /// Parses the JSON of [`to_json`](Self::to_json); unknown properties and `StatusName` are ignored.
    ///
    /// # Errors
    /// The text is not the JSON of a call.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        use serde::de::Error;
        let json: Json = serde_json::from_str(text)?;
        let status = CallStatus::from_number(json.status)
            .ok_or_else(|| serde_json::Error::custom(format!("no call has status {}", json.status)))?;
        Ok(Self {
            id: json.call_id,
            caller: json.initiator_id,
            recipient: json.recipient_id,
            started: json.started_at.into(),
            accepted: json.accepted_at.map(OffsetDateTime::from),
            ended: json.ended_at.map(OffsetDateTime::from),
            status,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Json {
    call_id: CallId,
    initiator_id: UserId,
    recipient_id: UserId,
    started_at: DateTime,
    accepted_at: Option<DateTime>,
    ended_at: Option<DateTime>,
    status: u8,
    #[serde(skip_deserializing)]
    status_name: &'static str,
}

impl From<&Call> for Json {
    fn from(call: &Call) -> Self {
        Self {
            call_id: call.id.clone(),
            initiator_id: call.caller.clone(),
            recipient_id: call.recipient.clone(),
            started_at: call.started.into(),
            accepted_at: call.accepted.map(DateTime::from),
            ended_at: call.ended.map(DateTime::from),
            status: call.status as u8,
            status_name: call.status.name(),
        }
    }
}

/// Why a call could not be created, read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// A call of this id exists.
    #[error("a call {0} exists already")]
    Exists(CallId),
    /// No call of this id exists, or it is older than 4 hours.
    #[error("there is no call {0}")]
    Unknown(CallId),
    /// Only caller and recipient may act on a call.
    #[error("{user} takes no part in call {call}")]
    NotAParticipant {
        /// The call's id.
        call: CallId,
        /// The user who tried.
        user: UserId,
    },
    /// The call's status does not allow the change to this participant.
    #[error("call {call} is {from}: {user} cannot make it {to}")]
    NotPossible {
        /// The call's id.
        call: CallId,
        /// The user who tried.
        user: UserId,
        /// The status that it has.
        from: CallStatus,
        /// The status that it was to have.
        to: CallStatus,
    },
    /// This instance holds 65,536 calls that go on.
    #[error("{0} calls are held already")]
    Full(usize),
    /// The call is not known to this instance, and Redis cannot be asked, for this reason.
    #[error("other instances cannot be asked for the call: {0}")]
    Unavailable(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call {
            started: time::macros::datetime!(2026-01-02 03:04:05.678 UTC),
            ..Call::ringing("c1", "ada".into(), "bob".into())
        }
    }

    #[test]
    fn the_json_is_what_a_dot_net_class_reads() {
        let mut call = call();
        let ringing = r#"{"CallId":"c1","InitiatorId":"ada","RecipientId":"bob","StartedAt":"2026-01-02T03:04:05.678Z","AcceptedAt":null,"EndedAt":null,"Status":0,"StatusName":"Ringing"}"#;
        assert_eq!(call.to_json(), ringing);
        call = call.advanced(&"bob".into(), CallStatus::Active, OffsetDateTime::now_utc()).unwrap();
        call = call.advanced(&"ada".into(), CallStatus::Ended, OffsetDateTime::now_utc()).unwrap();
        assert_eq!(Call::from_json(&call.to_json()).unwrap(), call);
        assert!(Call::from_json(&ringing.replace("\"Status\":0", "\"Status\":9")).is_err());
    }

    #[test]
    fn each_side_can_do_its_part_only() {
        use CallStatus::{Active, Ended, Rejected, Ringing};
        let (ada, bob, eve) = (UserId::from("ada"), UserId::from("bob"), UserId::from("eve"));
        let now = OffsetDateTime::now_utc();
        let ringing = call();
        for (by, possible) in [(&ada, &[Ended][..]), (&bob, &[Active, Rejected, Ended])] {
            for to in [Ringing, Active, Rejected, Ended] {
                assert_eq!(ringing.advanced(by, to, now).is_ok(), possible.contains(&to), "{by} {to}");
            }
        }
        assert!(matches!(ringing.advanced(&eve, Ended, now), Err(CallError::NotAParticipant { .. })));
        let active = ringing.advanced(&bob, Active, now).unwrap();
        assert!(active.accepted.is_some() && active.ended.is_none());
        for to in [Ringing, Active, Rejected] {
            assert!(active.advanced(&bob, to, now).is_err());
        }
        for over in [Rejected, Ended] {
            let over = ringing.advanced(&bob, over, now).unwrap();
            assert!(over.ended.is_some() && over.advanced(&ada, Ended, now).is_err());
        }
    }
}
