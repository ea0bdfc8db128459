use axum::extract::State;
use axum::http::StatusCode;
use hubline::value::DateTime;
use hubline_store::clinic::Party;
use hubline_store::clinic::erasures::{self, Erasure};
use hubline_store::keys::AdminScope;
use serde::Serialize;
use utoipa::ToSchema;

use super::note;
use super::values::{User, shown};
use crate::api::{AdminPrincipal, Json, Page, Path, Problem};
use crate::clinic::Clinic;

/// Erasures that are shown.
const MOST_SHOWN: u32 = 200;

/// A user who is being erased.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownErasure {
    user: String,
    /// What stands in the place of the user from now on. Which user that was is written nowhere but here.
    #[schema(example = "erased-5f0c1e7a9b3d2846")]
    pseudonym: String,
    /// Who asked for it, like `admin:deployment`.
    requested_by: String,
    #[schema(value_type = String, format = DateTime)]
    requested_at: DateTime,
}

impl From<Erasure> for ShownErasure {
    fn from(erasure: Erasure) -> Self {
        let Erasure { user, pseudonym, by, at } = erasure;
        Self { user, pseudonym, requested_by: by, requested_at: shown(at) }
    }
}

/// Erases a user
///
/// Texts are removed, and a pseudonym is put in the place of the user: in messages and calls, whose ids stay, in consultations, and in
/// the audit. It takes a while; a user who goes on writing meanwhile is to be closed first.
#[utoipa::path(
    post,
    path = "/api/admin/users/{user}/erase",
    tag = "users",
    params(("user" = String, Path, description = "The user's id")),
    responses((status = 202, body = ShownErasure)),
)]
pub(super) async fn begin(
    State(clinic): State<Clinic>,
    who: AdminPrincipal,
    Path(user): Path<String>,
) -> Result<(StatusCode, Json<ShownErasure>), Problem> {
    who.require(AdminScope::Full)?;
    let user = User(user).checked("user")?;
    let begun = clinic.store.write(move |db| {
        Box::pin(async move {
            let erasure = erasures::begin(db, &user, &who.party()).await?;
            note(db, &who, "user.erase", Party::user(&erasure.pseudonym), String::new()).await?;
            Ok::<_, Problem>(erasure)
        })
    });
    let begun = begun.await?;
    clinic.work.begin();
    Ok((StatusCode::ACCEPTED, Json(begun.into())))
}

/// Lists erasures that are not complete
///
/// The oldest 200, with the pseudonyms; reading it is in the audit from then on. One that is complete is in the audit, as `user.erased`.
#[utoipa::path(get, path = "/api/admin/erasures", tag = "users", responses((status = 200, body = Page<ShownErasure>)))]
pub(super) async fn list(
    State(clinic): State<Clinic>,
    who: AdminPrincipal,
) -> Result<Json<Page<ShownErasure>>, Problem> {
    who.require(AdminScope::Full)?;
    let pending = clinic.store.write(move |db| {
        Box::pin(async move {
            let pending = erasures::pending(db, MOST_SHOWN).await?;
            note(db, &who, "erasure.read", Party::new("erasure", "*"), format!("{} shown", pending.len()))
                .await?;
            Ok::<_, Problem>(pending)
        })
    });
    let pending = pending.await?;
    Ok(Json(Page { items: pending.into_iter().map(Into::into).collect(), next: None }))
}
