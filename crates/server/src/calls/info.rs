//! What a participant is told of a call, when asked.

use hubline::UserId;
use hubline::value::DateTime;
use hubline_store::calls::CallRecord;
use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;

use super::call::CallId;
use super::events::Opaque;
use super::session::Session;

/// A call that goes on. In JSON the names are camelCase, in MessagePack PascalCase.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CallInfo {
    call_id: CallId,
    caller_id: UserId,
    recipient_id: UserId,
    /// `Ringing` or `Active`.
    status: &'static str,
    started_at: DateTime,
    accepted_at: Option<DateTime>,
    offer: Option<Description>,
    answer: Option<Description>,
    is_caller_video_muted: bool,
    is_caller_audio_muted: bool,
    is_recipient_video_muted: bool,
    is_recipient_audio_muted: bool,
}

/// An offer or an answer, as it came.
#[derive(Debug, Clone)]
struct Description(std::sync::Arc<str>);

impl Serialize for Description {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Opaque(&self.0).serialize(serializer)
    }
}

impl CallInfo {
    pub(super) fn new(session: &Session, descriptions: [Option<std::sync::Arc<str>>; 2]) -> Self {
        let (call, state) = (&session.call, &session.state);
        let [offer, answer] = descriptions.map(|description| description.map(Description));
        Self {
            call_id: call.id.clone(),
            caller_id: call.caller.clone(),
            recipient_id: call.recipient.clone(),
            status: call.status.name(),
            started_at: call.started.into(),
            accepted_at: call.accepted.map(DateTime::from),
            offer,
            answer,
            is_caller_video_muted: state.caller.is_video_muted,
            is_caller_audio_muted: state.caller.is_audio_muted,
            is_recipient_video_muted: state.recipient.is_video_muted,
            is_recipient_audio_muted: state.recipient.is_audio_muted,
        }
    }
}

/// Which past calls a user asks for; all of it may be left out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct HistoryRequest {
    /// Calls with this user.
    pub(super) with: Option<String>,
    /// Calls that began before the one with this id.
    pub(super) before: Option<String>,
    /// How many, 1 to 100. Default 50.
    pub(super) limit: Option<i64>,
}

/// A call of the history.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PastCall {
    call_id: String,
    caller_id: String,
    recipient_id: String,
    started_at: DateTime,
    accepted_at: Option<DateTime>,
    ended_at: Option<DateTime>,
    /// `begun`, `completed`, `lost`, `missed`, `declined`, `busy` or `cancelled`.
    outcome: &'static str,
    reason: Option<String>,
}

impl From<CallRecord> for PastCall {
    fn from(call: CallRecord) -> Self {
        let time = |time| DateTime::from(OffsetDateTime::from(time));
        Self {
            call_id: call.id,
            caller_id: call.caller,
            recipient_id: call.recipient,
            started_at: time(call.started),
            accepted_at: call.accepted.map(time),
            ended_at: call.ended.map(time),
            outcome: call.outcome.as_str(),
            reason: call.reason,
        }
    }
}
