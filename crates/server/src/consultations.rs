//! Consultations, for the chat and the calls: whether one is required, and those that tokens name.

use std::time::SystemTime;

use futures_util::FutureExt;
use hubline::{Caller, Hub, HubError, HubFilter, NextCallback, Principal, UserId};
use hubline_store::clinic::Party;
use hubline_store::clinic::consultations::{Admitted, Consultation, MAXIMUM_PARTICIPANTS, admit};
use hubline_store::{Store, StoreError, Timestamp};
use serde::Deserialize;
use time::OffsetDateTime;

use crate::config::{Key, Reader, Section};

const REQUIRED: Key = Key::new(
    "Consultations:Required",
    "whether only participants of an open consultation may write, call, join its room and read its history",
);
/// The claim that names consultations.
const CLAIM: &str = "consultation";
/// Consultations of one token at most.
const MOST_NAMED: usize = 20;
/// Bytes of an id, a room or a participant at most.
const LONGEST: usize = 256;

/// Whether a consultation is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConsultationRule {
    /// Any user may write to any other, and call.
    #[default]
    NotRequired,
    /// Only participants of an open consultation may, and only rooms of consultations exist.
    Required,
}

impl Section for ConsultationRule {
    const TITLE: &'static str = "Consultations";

    fn read(reader: &mut Reader) -> Self {
        if reader.boolean(REQUIRED, false) { Self::Required } else { Self::NotRequired }
    }
}

/// Makes the consultations that the token of a connection names, where consultations are required: when the connection is made, and when its
/// token is refreshed. A connection whose token names one that cannot be made goes on without it; the log says why.
#[derive(Debug, Clone)]
pub struct NamedByTokens {
    store: Store,
    rule: ConsultationRule,
}

impl NamedByTokens {
    /// Those of the users of a hub.
    pub fn new(store: Store, rule: ConsultationRule) -> Self {
        Self { store, rule }
    }

    /// Has a hub make them.
    #[must_use]
    pub fn serve<S: Send + Sync + 'static>(self, hub: Hub<S>) -> Hub<S> {
        if self.rule == ConsultationRule::NotRequired {
            return hub;
        }
        let refreshed = self.clone();
        hub.filter(self).on_authentication_refreshed(move |caller: Caller| {
            let named = refreshed.clone();
            async move { named.admit_caller(&caller).await }
        })
    }

    async fn admit_caller(&self, caller: &Caller) {
        if let Some(principal) = caller.principal() {
            self.admit(&principal).await;
        }
    }

    async fn admit(&self, principal: &Principal) {
        let Some(user) = &principal.name_identifier else { return };
        for claim in principal.claims(CLAIM).take(MOST_NAMED) {
            let Some(named) =
                Named::parse(claim).and_then(|named| named.consultation(user, principal.expires))
            else {
                tracing::warn!(%user, "A token has a claim `{CLAIM}` that is neither an id nor an object with one, and is ignored");
                continue;
            };
            let id = named.id.clone();
            let admitted = self.store.write(move |db| {
                async move {
                    match admit(db, &named).await? {
                        // An error rolls back.
                        Admitted::TooManyParticipants => Err(NotMade::TooManyParticipants),
                        admitted => Ok(admitted),
                    }
                }
                .boxed()
            });
            match admitted.await {
                Ok(Admitted::Yes | Admitted::MadeOtherwise) => {}
                Ok(refused) => {
                    tracing::warn!(%user, consultation = id, ?refused, "A consultation that a token names is not made");
                }
                Err(error) => {
                    tracing::warn!(%user, consultation = id, %error, "A consultation that a token names is not made");
                }
            }
        }
    }
}

impl HubFilter for NamedByTokens {
    const WRAPS_CALLS: bool = false;

    async fn connected(&self, caller: Caller, next: NextCallback) -> Result<(), HubError> {
        self.admit_caller(&caller).await;
        next.run().await
    }
}

#[derive(Debug, thiserror::Error)]
enum NotMade {
    #[error("it would have more than {MAXIMUM_PARTICIPANTS} participants")]
    TooManyParticipants,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A consultation as a token names it: `"c-7"`, or `{"id":"c-7","room":"ward","participants":["bob"],"opens":1760000000,
/// "closes":1760003600}`, of which the id alone is needed. Times are seconds since 1970.
#[derive(Debug, Deserialize)]
struct Named {
    id: String,
    room: Option<String>,
    #[serde(default)]
    participants: Vec<String>,
    opens: Option<i64>,
    closes: Option<i64>,
}

impl Named {
    fn parse(claim: &str) -> Option<Self> {
        match claim.starts_with('{') {
            true => serde_json::from_str(claim).ok(),
            false => Some(Self {
                id: claim.to_owned(),
                room: None,
                participants: Vec::new(),
                opens: None,
                closes: None,
            }),
        }
    }

    /// The bearer takes part in it, and it closes with the token at the latest.
    fn consultation(self, bearer: &UserId, expires: Option<SystemTime>) -> Option<Consultation> {
        let Self { id, room, mut participants, opens, closes } = self;
        let room = room.unwrap_or_else(|| id.clone());
        participants.push(bearer.to_string());
        let fits = |text: &String| (1..=LONGEST).contains(&text.len()) && !text.contains('\0');
        if ![&id, &room].into_iter().chain(&participants).all(fits) {
            return None;
        }
        let opens = opens.map_or(Some(Timestamp(0)), timestamp)?;
        let expires = expires.map(|expires| Timestamp::from(OffsetDateTime::from(expires)));
        let closes = match closes {
            Some(closes) => Some(timestamp(closes)?),
            None => None,
        };
        let closes = [closes, expires].into_iter().flatten().min();
        let by = Party::new("token", "");
        Some(Consultation::now(&id, &room, participants, opens, closes, &by))
    }
}

fn timestamp(seconds: i64) -> Option<Timestamp> {
    OffsetDateTime::from_unix_timestamp(seconds).ok().map(Timestamp::from)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_claim_is_an_id_or_an_object() {
        let expires = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
        let read = |claim: &str| Named::parse(claim)?.consultation(&"ada".into(), expires);
        let short = read("c-7").unwrap();
        assert_eq!((&*short.id, &*short.room, short.participants.len()), ("c-7", "c-7", 1));
        assert_eq!(short.closes, Some(Timestamp(1_000 * 10_000_000)));
        let whole =
            r#"{"id":"c","room":"ward","participants":["bob","ada"],"opens":100,"closes":200,"more":1}"#;
        let whole = read(whole).unwrap();
        assert_eq!((&*whole.room, whole.participants), ("ward", vec!["ada".to_owned(), "bob".to_owned()]));
        assert_eq!((whole.opens, whole.closes), (Timestamp(1_000_000_000), Some(Timestamp(2_000_000_000))));
        // No consultation outlives the token that names it.
        let long = read(r#"{"id":"c","closes":2000}"#).unwrap();
        assert_eq!(long.closes, Some(Timestamp(1_000 * 10_000_000)));
        for wrong in ["", "{}", r#"{"id":7}"#, r#"{"id":"c","participants":[""]}"#, &"c".repeat(257)] {
            assert_eq!(read(wrong), None, "{wrong:.20}");
        }
    }
}
