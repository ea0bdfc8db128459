use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use hubline::value::DateTime;
use hubline_store::Timestamp;
use hubline_store::clinic::Party;
use hubline_store::clinic::bans::{self, Ban, Banned, MAXIMUM};
use hubline_store::keys::AdminScope;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::values::{User, shown};
use super::{note, shown_of};
use crate::api::{AdminPrincipal, Json, Page, PageSize, Path, Problem, Query, Whole};
use crate::clinic::{Announcement, Clinic, Told};

/// For how many seconds a user stays out: 10 years at most.
type OutFor = Whole<0, 315_360_000>;
/// Time out unless the request says: 5 minutes.
const USUAL: u32 = 300;
/// Longest reason in characters.
const LONGEST_REASON: usize = 500;

/// How to close a user's connections.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Closing {
    /// For how many seconds the user stays out; 0 lets the user come again at once.
    #[schema(inline, default = 300)]
    out_for_seconds: Option<OutFor>,
    /// Why, for those who read the list; the user is not told.
    #[schema(max_length = 500, pattern = r"^[^\u0000]*$")]
    reason: Option<String>,
}

/// What became of a user's connections.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Closed {
    user: String,
    /// Until when the user is kept out; null if the user may come again at once.
    #[schema(value_type = Option<String>, format = DateTime)]
    out_until: Option<DateTime>,
    /// Connections that this instance has closed; others have closed their own.
    closed_here: usize,
    /// How many instances were told, this one among them. If fewer than there are, because Redis is away, the others learn it from the
    /// database, within 10 s of reaching it.
    instances_told: u64,
}

/// A user who is kept out.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownBan {
    user: String,
    #[schema(value_type = String, format = DateTime)]
    out_until: DateTime,
    reason: String,
    /// Who keeps the user out, like `admin:deployment`.
    by: String,
    #[schema(value_type = String, format = DateTime)]
    since: DateTime,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// What the page before has as `next`.
    #[param(nullable = false, required = false, pattern = r"^[^\u0000]*$")]
    after: Option<String>,
    /// How many at most.
    #[serde(default)]
    #[param(inline, required = false)]
    limit: PageSize,
}

impl From<Ban> for ShownBan {
    fn from(ban: Ban) -> Self {
        let Ban { user, until, reason, by, at } = ban;
        Self { user, out_until: shown(until), reason, by, since: shown(at) }
    }
}

impl Closing {
    fn checked(self) -> Result<(Duration, String), Problem> {
        let seconds = self.out_for_seconds.map_or(USUAL, Whole::as_u32);
        let reason = self.reason.unwrap_or_default();
        if reason.chars().count() > LONGEST_REASON || reason.contains('\0') {
            let detail = format!("at most {LONGEST_REASON} characters are allowed, none of them NUL");
            return Err(Problem::field("reason", detail));
        }
        Ok((Duration::from_secs(seconds.into()), reason))
    }
}

/// Closes a user's connections
///
/// Those to all hubs, on all instances. For a time the user's token opens no other, on any.
#[utoipa::path(
    post,
    path = "/api/admin/users/{user}/close",
    tag = "users",
    params(("user" = String, Path, description = "The user's id")),
    request_body = Closing,
    responses((status = 200, body = Closed), (status = 409, description = "So many users are kept out already")),
)]
pub(super) async fn close(
    State(clinic): State<Clinic>,
    who: AdminPrincipal,
    Path(user): Path<String>,
    Json(closing): Json<Closing>,
) -> Result<Json<Closed>, Problem> {
    let (out_for, reason) = closing.checked()?;
    clinic.close_user(who, user, out_for, reason).await.map(Json)
}

impl Clinic {
    /// Closes a user's connections on all instances, and keeps the user out for so long; in the audit.
    ///
    /// # Errors
    /// As the API's.
    pub(crate) async fn ban(
        &self,
        who: AdminPrincipal,
        user: String,
        out_for: Duration,
        reason: String,
    ) -> Result<(), Problem> {
        self.close_user(who, user, out_for, reason).await.map(drop)
    }

    async fn close_user(
        &self,
        who: AdminPrincipal,
        user: String,
        out_for: Duration,
        reason: String,
    ) -> Result<Closed, Problem> {
        who.require(AdminScope::Write)?;
        let user = User(user).checked("user")?;
        let ban = (!out_for.is_zero())
            .then(|| Ban::now(&user, Timestamp::now().after(out_for), &reason, &who.party()));
        let announcement = match &ban {
            Some(ban) => Announcement::ban(&user, ban.until),
            None => Announcement::Close { user: user.clone() },
        };
        let out_until = ban.as_ref().map(|ban| shown(ban.until));
        let subject = Party::user(&user);
        let written = self.store.write(move |db| {
            Box::pin(async move {
                if let Some(ban) = &ban
                    && bans::put(db, ban).await? == Banned::TooMany
                {
                    let detail =
                        format!("{MAXIMUM} users are kept out already, more than that no instance remembers");
                    return Err(Problem::conflict(detail));
                }
                let details = format!("out for {} s", out_for.as_secs());
                Ok(note(db, &who, "user.close", subject, details).await?)
            })
        });
        written.await?;
        let Told { closed_here, instances } = self.tell(&announcement).await;
        if instances == 0 && out_until.is_none() {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the connections of this instance are closed, but the others cannot be told while Redis is away; with outForSeconds \
                 they learn it from the database",
            )
            .retry_after(5));
        }
        Ok(Closed { user, out_until, closed_here, instances_told: instances.max(1) })
    }
}

/// Lists who is kept out
///
/// By user. Reading it is in the audit from then on.
#[utoipa::path(get, path = "/api/admin/bans", tag = "users", params(PageQuery), responses((status = 200, body = Page<ShownBan>)))]
pub(super) async fn list_bans(
    State(clinic): State<Clinic>,
    who: AdminPrincipal,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ShownBan>>, Problem> {
    who.require(AdminScope::Read)?;
    let PageQuery { after, limit } = query;
    let found = clinic.store.write(move |db| {
        Box::pin(async move {
            let found = bans::list(db, Timestamp::now(), after.as_deref(), limit.and_one()).await?;
            note(db, &who, "ban.read", Party::new("ban", "*"), shown_of(&found, limit)).await?;
            Ok::<_, Problem>(found)
        })
    });
    Ok(Json(limit.page(found.await?, |last| last.user.clone())))
}

/// Shows until when a user is kept out
///
/// Reading it is in the audit from then on.
#[utoipa::path(
    get,
    path = "/api/admin/bans/{user}",
    tag = "users",
    params(("user" = String, Path, description = "The user's id")),
    responses((status = 200, body = ShownBan)),
)]
pub(super) async fn find_ban(
    State(clinic): State<Clinic>,
    who: AdminPrincipal,
    Path(user): Path<String>,
) -> Result<Json<ShownBan>, Problem> {
    who.require(AdminScope::Read)?;
    let user = User(user).checked("user").map_err(|_| Problem::not_found("user who is kept out"))?;
    let found = clinic.store.write(move |db| {
        Box::pin(async move {
            let found = bans::get(db, &user, Timestamp::now()).await?;
            let found = found.ok_or_else(|| Problem::not_found("user who is kept out"))?;
            note(db, &who, "ban.read", Party::user(&user), String::new()).await?;
            Ok::<_, Problem>(found)
        })
    });
    Ok(Json(found.await?.into()))
}

/// Lets a user in again
#[utoipa::path(
    delete,
    path = "/api/admin/bans/{user}",
    tag = "users",
    params(("user" = String, Path, description = "The user's id")),
    responses((status = 204)),
)]
pub(super) async fn lift_ban(
    State(clinic): State<Clinic>,
    who: AdminPrincipal,
    Path(user): Path<String>,
) -> Result<StatusCode, Problem> {
    who.require(AdminScope::Write)?;
    let user = User(user).checked("user").map_err(|_| Problem::not_found("user who is kept out"))?;
    let lifted = user.clone();
    let written = clinic.store.write(move |db| {
        Box::pin(async move {
            if !bans::lift(db, &lifted, Timestamp::now()).await? {
                return Err(Problem::not_found("user who is kept out"));
            }
            Ok(note(db, &who, "user.let-in", Party::user(&lifted), String::new()).await?)
        })
    });
    written.await?;
    clinic.tell(&Announcement::Lift { user }).await;
    Ok(StatusCode::NO_CONTENT)
}
