use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use hubline::value::DateTime;
use hubline_store::Timestamp;
use hubline_store::clinic::Party;
use hubline_store::clinic::consultations::{
    self, Consultation, ConsultationFilter, Created, MAXIMUM_PARTICIPANTS,
};
use hubline_store::keys::AdminScope;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::values::{Name, User, shown};
use super::{note, shown_of};
use crate::api::{AdminPrincipal, Json, Moment, Page, PageSize, Path, Problem, Query};
use crate::clinic::Clinic;

/// A consultation to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewConsultation {
    /// Its id; one is given unless this is.
    id: Option<Name>,
    /// Its room, which no other consultation has or had; its id unless this is given.
    room: Option<Name>,
    /// Who takes part.
    #[schema(value_type = BTreeSet<User>, min_items = 2, max_items = 100)]
    participants: Vec<User>,
    /// From when on it is open; from now on unless this is given.
    #[schema(value_type = Option<String>, format = DateTime)]
    opens: Option<Moment>,
    /// When it closes; unless this is given it stays open until it is closed.
    #[schema(value_type = Option<String>, format = DateTime)]
    closes: Option<Moment>,
}

/// A consultation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownConsultation {
    id: String,
    room: String,
    participants: Vec<String>,
    /// From when on it is open.
    #[schema(value_type = String, format = DateTime)]
    opens: DateTime,
    /// When it closes; null if it stays open until it is closed.
    #[schema(value_type = Option<String>, format = DateTime)]
    closes: Option<DateTime>,
    /// Whether it is open now.
    is_open: bool,
    /// Who made it, like `admin:deployment`.
    created_by: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime,
}

/// Which consultations.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ConsultationQuery {
    /// Those that this user takes part in.
    #[param(nullable = false, required = false, pattern = r"^[^\u0000]*$")]
    participant: Option<String>,
    /// The one with this room.
    #[param(nullable = false, required = false, pattern = r"^[^\u0000]*$")]
    room: Option<String>,
    /// Those that are open now.
    #[param(nullable = false, required = false)]
    open: Option<bool>,
    /// What the page before has as `next`.
    #[param(nullable = false, required = false, pattern = r"^([0-9]{1,18} [^\u0000]+)?$")]
    after: Option<String>,
    /// How many at most.
    #[serde(default)]
    #[param(inline, required = false)]
    limit: PageSize,
}

impl From<Consultation> for ShownConsultation {
    fn from(consultation: Consultation) -> Self {
        Self {
            is_open: consultation.is_open_at(Timestamp::now()),
            id: consultation.id,
            room: consultation.room,
            participants: consultation.participants,
            opens: shown(consultation.opens),
            closes: consultation.closes.map(shown),
            created_by: consultation.created_by,
            created_at: shown(consultation.created_at),
        }
    }
}

impl NewConsultation {
    fn checked(self, who: &AdminPrincipal) -> Result<Consultation, Problem> {
        let participants: Result<Vec<String>, Problem> =
            self.participants.into_iter().map(|user| user.checked("participants")).collect();
        let opens = self.opens.map_or_else(Timestamp::now, |time| time.0);
        let closes = self.closes.map(|time| time.0);
        let id = match self.id {
            Some(id) => id.checked("id")?,
            None => consultations::new_id()?,
        };
        let room = match self.room {
            Some(room) => room.checked("room")?,
            None => id.clone(),
        };
        let new = Consultation::now(&id, &room, participants?, opens, closes, &who.party());
        if !(2..=MAXIMUM_PARTICIPANTS).contains(&new.participants.len()) {
            let detail = format!("2 to {MAXIMUM_PARTICIPANTS} different users are needed");
            return Err(Problem::field("participants", detail));
        }
        if new.closes.is_some_and(|closes| closes <= new.opens) {
            return Err(Problem::contradiction("closes", "a time later than opens is needed"));
        }
        Ok(new)
    }
}

/// Makes a consultation
///
/// While it is open its participants may write to each other, call each other and meet in its room, where the server requires a
/// consultation for that (`Consultations:Required`).
#[utoipa::path(
    post,
    path = "/api/admin/consultations",
    tag = "consultations",
    request_body = NewConsultation,
    responses(
        (status = 201, body = ShownConsultation, headers(("Location" = String, description = "The consultation"))),
        (status = 409, description = "There is one with this id or room"),
    ),
)]
pub(super) async fn create(
    State(clinic): State<Clinic>,
    who: AdminPrincipal,
    Json(new): Json<NewConsultation>,
) -> Result<impl IntoResponse, Problem> {
    who.require(AdminScope::Write)?;
    let new = new.checked(&who)?;
    let made = clinic.store.write(move |db| {
        Box::pin(async move {
            if consultations::create(db, &new).await? == Created::Exists {
                return Err(Problem::conflict(
                    "there is a consultation with this id, or with this room: rooms are not used again",
                )
                .naming("id", "taken, or the room is"));
            }
            let details = format!("{} participants", new.participants.len());
            note(db, &who, "consultation.create", Party::consultation(&new.id), details).await?;
            Ok(new)
        })
    });
    let made = ShownConsultation::from(made.await?);
    let location = format!("/api/admin/consultations/{}", percent_encoded(&made.id));
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(made)))
}

/// Lists consultations
///
/// Those made last first. It tells who is whose patient, so reading it is in the audit from then on.
#[utoipa::path(
    get,
    path = "/api/admin/consultations",
    tag = "consultations",
    params(ConsultationQuery),
    responses((status = 200, body = Page<ShownConsultation>)),
)]
pub(super) async fn list(
    State(clinic): State<Clinic>,
    who: AdminPrincipal,
    Query(query): Query<ConsultationQuery>,
) -> Result<Json<Page<ShownConsultation>>, Problem> {
    who.require(AdminScope::Read)?;
    let limit = query.limit;
    let filter = ConsultationFilter {
        participant: query.participant,
        room: query.room,
        open_at: query.open.filter(|&open| open).map(|_| Timestamp::now()),
        before: query.after.filter(|after| !after.is_empty()).map(|after| cursor(&after)).transpose()?,
    };
    let subject = match (&filter.participant, &filter.room) {
        (Some(user), _) => Party::user(user),
        (None, Some(room)) => Party::room(room),
        (None, None) => Party::consultation("*"),
    };
    let found = clinic.store.write(move |db| {
        Box::pin(async move {
            let found = consultations::list(db, &filter, limit.and_one()).await?;
            note(db, &who, "consultation.read", subject, shown_of(&found, limit)).await?;
            Ok::<_, Problem>(found)
        })
    });
    Ok(Json(limit.page(found.await?, |last| format!("{} {}", last.created_at.0, last.id))))
}

/// Shows a consultation
///
/// Reading it is in the audit from then on.
#[utoipa::path(
    get,
    path = "/api/admin/consultations/{id}",
    tag = "consultations",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, body = ShownConsultation)),
)]
pub(super) async fn find(
    State(clinic): State<Clinic>,
    who: AdminPrincipal,
    Path(id): Path<String>,
) -> Result<Json<ShownConsultation>, Problem> {
    who.require(AdminScope::Read)?;
    let id = Name(id).checked("id").map_err(|_| Problem::not_found("consultation"))?;
    let found = clinic.store.write(move |db| {
        Box::pin(async move {
            let found =
                consultations::get(db, &id).await?.ok_or_else(|| Problem::not_found("consultation"))?;
            note(db, &who, "consultation.read", Party::consultation(&id), String::new()).await?;
            Ok::<_, Problem>(found)
        })
    });
    Ok(Json(found.await?.into()))
}

/// Closes a consultation
///
/// From now on; one that has closed earlier stays as it is.
#[utoipa::path(
    post,
    path = "/api/admin/consultations/{id}/close",
    tag = "consultations",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, body = ShownConsultation)),
)]
pub(super) async fn close(
    State(clinic): State<Clinic>,
    who: AdminPrincipal,
    Path(id): Path<String>,
) -> Result<Json<ShownConsultation>, Problem> {
    who.require(AdminScope::Write)?;
    let id = Name(id).checked("id").map_err(|_| Problem::not_found("consultation"))?;
    let closed = clinic.store.write(move |db| {
        Box::pin(async move {
            let closed = consultations::close(db, &id, Timestamp::now()).await?;
            let closed = closed.ok_or_else(|| Problem::not_found("consultation"))?;
            note(db, &who, "consultation.close", Party::consultation(&id), String::new()).await?;
            Ok::<_, Problem>(closed)
        })
    });
    Ok(Json(closed.await?.into()))
}

fn cursor(after: &str) -> Result<(Timestamp, String), Problem> {
    let parsed =
        after.split_once(' ').and_then(|(at, id)| Some((Timestamp(at.parse().ok()?), id.to_owned())));
    parsed.ok_or_else(|| Problem::field("after", "the value of next on a page is needed"))
}

/// A part of a path.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}
