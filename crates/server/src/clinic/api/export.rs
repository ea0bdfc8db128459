use std::collections::VecDeque;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use futures_util::stream::try_unfold;
use hubline_store::calls::{self, CallFilter, CallRecord};
use hubline_store::chat::{self, ConversationsPage, Message, Overview};
use hubline_store::clinic::audit::{self, AuditFilter};
use hubline_store::clinic::consultations::{self, ConsultationFilter};
use hubline_store::clinic::export::{self, MessagesPlace};
use hubline_store::clinic::{Party, bans};
use hubline_store::keys::AdminScope;
use hubline_store::{Connection, Store, StoreError, Timestamp};
use serde_json::{Value, json};

use super::audit::ShownEntry;
use super::consultations::ShownConsultation;
use super::note;
use super::users::ShownBan;
use super::values::{User, shown};
use crate::api::{AdminPrincipal, Path, Problem};
use crate::clinic::Clinic;

/// Rows that are read at once, and held in memory; messages with at most [`hubline_store::chat::MAXIMUM_PAGE_BYTES`] of text.
const PAGE: u32 = 500;

/// Exports a user
///
/// What is stored of the user, a JSON object a line: `kind` is `conversation`, `message`, `call`, `consultation`, `ban` or `audit`. Messages are all that
/// were exchanged with one other user, and those that the user has written in rooms. The last line is `{"kind":"end"}`; without it the export is not
/// complete, because the database went away.
#[utoipa::path(
    get,
    path = "/api/admin/users/{user}/export",
    tag = "users",
    params(("user" = String, Path, description = "The user's id")),
    responses((status = 200, body = String, content_type = "application/x-ndjson")),
)]
pub(super) async fn export(
    State(clinic): State<Clinic>,
    who: AdminPrincipal,
    Path(user): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    who.require(AdminScope::Full)?;
    let user = User(user).checked("user")?;
    let subject = Party::user(&user);
    let noted = clinic.store.write(move |db| {
        Box::pin(async move { note(db, &who, "user.export", subject, String::new()).await })
    });
    noted.await?;
    let lines = try_unfold(Export::new(clinic.store.clone(), user), Export::next);
    let headers = [(CONTENT_TYPE, "application/x-ndjson"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(lines)))
}

/// Where an export is.
struct Export {
    store: Store,
    user: String,
    place: Option<Place>,
}

/// What comes next, behind what was read last.
#[derive(Debug, Clone)]
enum Place {
    Conversations(ConversationsPage),
    Messages(MessagesPlace),
    Calls(Option<String>),
    Consultations(Option<(Timestamp, String)>),
    Ban,
    Audit(Option<String>),
    End,
}

/// Lines, and what comes behind them.
type Part = (VecDeque<Value>, Option<Place>);

impl Export {
    fn new(store: Store, user: String) -> Self {
        Self { store, user, place: Some(Place::Conversations(ConversationsPage::default())) }
    }

    /// The next lines.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        while let Some(place) = self.place.take() {
            let user = self.user.clone();
            let read = self.store.read(move |db| Box::pin(async move { read(db, &user, place).await }));
            let (lines, next) = read.await.inspect_err(|error| {
                tracing::warn!(%error, "An export of a user ended before it was complete");
            })?;
            self.place = next;
            if !lines.is_empty() {
                let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
                return Ok(Some((text.into(), self)));
            }
        }
        Ok(None)
    }
}

async fn read(db: &mut Connection, user: &str, place: Place) -> Result<Part, StoreError> {
    Ok(match place {
        Place::Conversations(page) => {
            let found = chat::conversations(db, user, page, PAGE, None).await?;
            // Their last messages bound a page too, so one that is not full may be followed by another.
            let last = found.last().map(|last| ConversationsPage { before: Some(last.place) });
            let next = last.map_or(Place::Messages(MessagesPlace::FIRST), Place::Conversations);
            (found.iter().map(|found| conversation(user, found)).collect(), Some(next))
        }
        Place::Messages(after) => {
            let (found, next) = export::messages(db, user, after).await?;
            let next = next.map_or(Place::Calls(None), Place::Messages);
            (found.iter().map(message).collect(), Some(next))
        }
        Place::Calls(before) => {
            let found =
                calls::of_user(db, user, &CallFilter { before, ..CallFilter::default() }, PAGE).await?;
            let last = full(&found).map(|last| Place::Calls(Some(last.id.clone())));
            (found.iter().map(call).collect(), Some(last.unwrap_or(Place::Consultations(None))))
        }
        Place::Consultations(before) => {
            let filter = ConsultationFilter {
                participant: Some(user.to_owned()),
                before,
                ..ConsultationFilter::default()
            };
            let found = consultations::list(db, &filter, PAGE).await?;
            let last = full(&found).map(|last| (last.created_at, last.id.clone()));
            let next = last.map_or(Place::Ban, |last| Place::Consultations(Some(last)));
            let lines = found.into_iter().map(|found| line("consultation", ShownConsultation::from(found)));
            (lines.collect(), Some(next))
        }
        Place::Ban => {
            let ban = bans::get(db, user, Timestamp::now()).await?;
            (ban.map(|ban| line("ban", ShownBan::from(ban))).into_iter().collect(), Some(Place::Audit(None)))
        }
        Place::Audit(before) => {
            let filter = AuditFilter { party: Some(Party::user(user)), before, ..AuditFilter::default() };
            let found = audit::list(db, &filter, PAGE).await?;
            let next = full(&found).map_or(Place::End, |last| Place::Audit(Some(last.id.clone())));
            let lines = found.into_iter().map(|found| line("audit", ShownEntry::from(found)));
            (lines.collect(), Some(next))
        }
        Place::End => (VecDeque::from([json!({ "kind": "end" })]), None),
    })
}

/// The last of a full page, behind which there may be more.
fn full<T>(page: &[T]) -> Option<&T> {
    page.last().filter(|_| page.len() >= PAGE as usize)
}

fn line(kind: &str, shown: impl serde::Serialize) -> Value {
    let mut line = serde_json::to_value(shown).unwrap_or_default();
    if let Some(line) = line.as_object_mut() {
        line.insert("kind".to_owned(), kind.into());
    }
    line
}

fn conversation(user: &str, found: &Overview) -> Value {
    json!({
        "kind": "conversation",
        "with": found.conversation.partner_of(user),
        "room": found.conversation.room_name(),
        "lastId": found.last_id,
        "deliveredId": found.delivered_id,
        "readId": found.read_id,
    })
}

fn call(call: &CallRecord) -> Value {
    json!({
        "kind": "call",
        "id": call.id,
        "caller": call.caller,
        "recipient": call.recipient,
        "startedAt": shown(call.started),
        "acceptedAt": call.accepted.map(shown),
        "endedAt": call.ended.map(shown),
        "outcome": call.outcome.as_str(),
        "reason": call.reason,
    })
}

/// As clients of the chat see it.
fn message(message: &Message) -> Value {
    json!({
        "kind": "message",
        "id": message.key.id,
        "from": message.from,
        "to": message.conversation.partner_of(&message.from),
        "room": message.conversation.room_name(),
        "text": message.text,
        "sentAt": shown(message.sent_at),
    })
}
