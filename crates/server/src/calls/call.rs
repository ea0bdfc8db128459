//! A call between two users, and the ways in which its status may change.

use hubline::UserId;
use hubline::value::DateTime;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::clock::date;

/// The id of a call: of calls that begin at different times, the earlier one has the smaller id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(String);

impl CallId {
    /// A new one, of this time in milliseconds since 1970: a UUID of version 7. `None` if the system has no random numbers.
    pub(super) fn new(now: i64) -> Option<Self> {
        let mut random = [0; 10];
        getrandom::getrandom(&mut random).ok()?;
        let id = uuid::Builder::from_unix_timestamp_millis(u64::try_from(now).unwrap_or_default(), &random);
        Some(Self(id.into_uuid().to_string()))
    }

    /// What a client gives as one; `None` if no call has such an id.
    pub(super) fn parse(text: &str) -> Option<Self> {
        (text.len() == 36).then(|| uuid::Uuid::try_parse(text).ok()).flatten().map(|id| Self(id.to_string()))
    }

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
    /// A call that starts to ring at a time, in milliseconds since 1970.
    pub fn ringing(id: impl Into<CallId>, caller: UserId, recipient: UserId, started: i64) -> Self {
        Self {
            id: id.into(),
            caller,
            recipient,
            started: date(started),
            accepted: None,
            ended: None,
            status: CallStatus::Ringing,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call::ringing("c1", "ada".into(), "bob".into(), 1_767_323_045_678)
    }

    #[test]
    fn the_json_is_what_a_dot_net_class_reads() {
        let mut call = call();
        let ringing = r#"{"CallId":"c1","InitiatorId":"ada","RecipientId":"bob","StartedAt":"2026-01-02T03:04:05.678Z","AcceptedAt":null,"EndedAt":null,"Status":0,"StatusName":"Ringing"}"#;
        assert_eq!(call.to_json(), ringing);
        (call.status, call.accepted, call.ended) =
            (CallStatus::Ended, Some(call.started), Some(call.started));
        assert_eq!(Call::from_json(&call.to_json()).unwrap(), call);
        assert!(Call::from_json(&ringing.replace("\"Status\":0", "\"Status\":9")).is_err());
    }
}
