use axum::extract::State;
use hubline::value::DateTime;
use hubline_store::clinic::Party;
use hubline_store::clinic::audit::{self, AuditFilter, RecordedEntry};
use hubline_store::keys::AdminScope;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::values::shown;
use super::{note, shown_of};
use crate::api::{AdminPrincipal, Json, Moment, Page, PageSize, Problem, Query};
use crate::clinic::Clinic;

/// An act that was recorded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownEntry {
    /// Its id, in the order of time.
    id: String,
    #[schema(value_type = String, format = DateTime)]
    at: DateTime,
    /// Who: `user:`, `admin:` or `server:`, and an id.
    #[schema(example = "user:ada")]
    actor: String,
    /// What was done.
    #[schema(example = "history.read")]
    action: String,
    /// To whom or what: a kind, a colon, an id.
    #[schema(example = "room:ward-3")]
    subject: String,
    /// More about it; never the text of a message.
    details: Option<String>,
}

/// Which entries. All that is given has to fit.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Who, exactly as an entry has it.
    #[param(nullable = false, required = false, example = "user:ada", pattern = r"^[^\u0000]*$")]
    actor: Option<String>,
    /// To whom or what, exactly as an entry has it.
    #[param(nullable = false, required = false, example = "room:ward-3", pattern = r"^[^\u0000]*$")]
    subject: Option<String>,
    /// A user, whether as actor or subject.
    #[param(nullable = false, required = false, example = "ada", pattern = r"^[^\u0000]*$")]
    user: Option<String>,
    /// What was done.
    #[param(nullable = false, required = false, example = "history.read", pattern = r"^[^\u0000]*$")]
    action: Option<String>,
    /// Not earlier than this.
    #[param(value_type = Option<String>, format = DateTime, nullable = false, required = false)]
    from: Option<Moment>,
    /// Earlier than this.
    #[param(value_type = Option<String>, format = DateTime, nullable = false, required = false)]
    to: Option<Moment>,
    /// What the page before has as `next`.
    #[param(nullable = false, required = false, pattern = "^([0-9a-f]{32})?$")]
    after: Option<String>,
    /// How many at most.
    #[serde(default)]
    #[param(inline, required = false)]
    limit: PageSize,
}

impl From<RecordedEntry> for ShownEntry {
    fn from(entry: RecordedEntry) -> Self {
        let RecordedEntry { id, at, actor, action, subject, details } = entry;
        Self { id, at: shown(at), actor, action, subject, details }
    }
}

/// Reads the audit
///
/// Newest first. Reading it is an act like others, and is in it from then on.
#[utoipa::path(get, path = "/api/admin/audit", tag = "audit", params(AuditQuery), responses((status = 200, body = Page<ShownEntry>)))]
pub(super) async fn list(
    State(clinic): State<Clinic>,
    who: AdminPrincipal,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Page<ShownEntry>>, Problem> {
    who.require(AdminScope::Full)?;
    let limit = query.limit;
    let after = query.after.filter(|after| !after.is_empty());
    if after
        .as_deref()
        .is_some_and(|after| after.len() != 32 || !after.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return Err(Problem::field("after", "what the page before has as next is needed"));
    }
    let subject = match &query.user {
        Some(user) => Party::user(user),
        None => Party::new("audit", ""),
    };
    let filter = AuditFilter {
        actor: query.actor,
        subject: query.subject,
        party: query.user.as_deref().map(Party::user),
        action: query.action,
        from: query.from.map(|time| time.0),
        to: query.to.map(|time| time.0),
        before: after,
    };
    let found = clinic.store.write(move |db| {
        Box::pin(async move {
            let found = audit::list(db, &filter, limit.and_one()).await?;
            note(db, &who, "audit.read", subject, shown_of(&found, limit)).await?;
            Ok::<_, Problem>(found)
        })
    });
    Ok(Json(limit.page(found.await?, |last| last.id.clone())))
}
