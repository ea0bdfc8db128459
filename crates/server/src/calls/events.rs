//! What clients are told of calls.

use hubline::value::{Any, DateTime};
use hubline::{ClientArguments, ConnectionId, HubClients, SendError, UserId};
use hubline_store::calls::CallOutcome;
use serde::{Serialize, Serializer};

use super::clock::date;
use super::session::{Role, Session};

/// The clients of the hub, as participants of calls.
pub(super) struct Events(pub(super) HubClients);

/// JSON that a client has sent, to be sent on as it came.
pub(super) struct Opaque<'a>(pub(super) &'a str);

impl Serialize for Opaque<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: Any = serde_json::from_str(self.0).map_err(serde::ser::Error::custom)?;
        value.serialize(serializer)
    }
}

impl Events {
    /// To all devices of the recipient, or to one of them.
    pub(super) async fn incoming_call(
        &self,
        session: &Session,
        offer: &str,
        device: Option<&ConnectionId>,
    ) -> Result<(), SendError> {
        let arguments = (&session.call.caller, &session.call.id, Opaque(offer));
        match device {
            Some(device) => self.0.client(device).send("IncomingCall", arguments).await,
            None => self.0.user(&session.call.recipient).send("IncomingCall", arguments).await,
        }
    }

    /// The devices of the recipient stop to ring, but for the one that has answered.
    pub(super) async fn answered_elsewhere(&self, session: &Session) {
        let answered = session.state.recipient.connection.iter();
        let devices = self.0.user_except(&session.call.recipient, answered);
        said(session, devices.send("CallAnsweredElsewhere", (&session.call.id,)).await);
    }

    /// One connection has nothing to do with the call any more, because another one has.
    pub(super) async fn moved_elsewhere(&self, session: &Session, from: &ConnectionId) {
        said(session, self.0.client(from).send("CallAnsweredElsewhere", (&session.call.id,)).await);
    }

    pub(super) async fn accepted(&self, session: &Session, answer: &str) {
        self.to_side(session, Role::Caller, "CallAccepted", (&session.call.id, Opaque(answer))).await;
        self.answered_elsewhere(session).await;
    }

    pub(super) async fn candidate(
        &self,
        session: &Session,
        to: &ConnectionId,
        candidate: &str,
    ) -> Result<(), SendError> {
        self.0.client(to).send("ICECandidate", (&session.call.id, Opaque(candidate))).await
    }

    pub(super) async fn toggled(
        &self,
        to: &ConnectionId,
        method: &str,
        user: &UserId,
        is_muted: bool,
    ) -> Result<(), SendError> {
        self.0.client(to).send(method, (user, is_muted)).await
    }

    /// Tells both sides that the call is over, and how.
    pub(super) async fn over(&self, session: &Session) {
        let (id, reason) = (&session.call.id, session.state.reason.as_deref().unwrap_or_default());
        let outcome = session.outcome();
        match outcome {
            CallOutcome::Declined | CallOutcome::Missed | CallOutcome::Busy => {
                self.to_side(session, Role::Caller, "CallRejected", (id, reason)).await;
            }
            _ => {
                let ended = session.call.ended.unwrap_or_else(|| date(0));
                for role in [Role::Caller, Role::Recipient] {
                    self.to_side(session, role, "CallEnded", (id, DateTime::from(ended))).await;
                }
            }
        }
        match outcome {
            CallOutcome::Declined => self.answered_elsewhere(session).await,
            CallOutcome::Missed => {
                let missed = (id, &session.call.caller);
                said(session, self.0.user(&session.call.recipient).send("CallMissed", missed).await);
            }
            _ => {}
        }
    }

    /// The call was over before the devices of the recipient, or one of them, heard of it.
    pub(super) async fn over_for_recipient(&self, session: &Session, device: Option<&ConnectionId>) {
        let ended = DateTime::from(session.call.ended.unwrap_or_else(|| date(0)));
        let arguments = (&session.call.id, ended);
        said(
            session,
            match device {
                Some(device) => self.0.client(device).send("CallEnded", arguments).await,
                None => self.0.user(&session.call.recipient).send("CallEnded", arguments).await,
            },
        );
    }

    /// To the connection of a side; before the recipient has answered, to all of its devices.
    async fn to_side(&self, session: &Session, role: Role, method: &str, arguments: impl ClientArguments) {
        said(
            session,
            match &session.side(role).connection {
                Some(connection) => self.0.client(connection).send(method, arguments).await,
                None => self.0.user(session.user(role)).send(method, arguments).await,
            },
        );
    }
}

/// The status counts, not the message: who has missed it asks `GetActiveCalls`.
fn said(session: &Session, sent: Result<(), SendError>) {
    if let Err(error) = sent {
        tracing::warn!(call = %session.call.id, %error, "Clients could not be told what has become of a call");
    }
}
