//! The part of the admin API that a clinic needs: consultations, who is kept out, the audit, and what is stored of a user. What is done
//! is audited in the transaction that does it, and so is what is read, since all of it tells of patients: what cannot be audited is refused.

mod audit;
mod consultations;
mod erasures;
mod export;
mod users;
mod values;

use hubline_store::clinic::Party;
use hubline_store::clinic::audit::{AuditEntry, record};
use hubline_store::{Connection, StoreError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Clinic;
use crate::api::{AdminPrincipal, PageSize};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Clinic> {
    OpenApiRouter::new()
        .routes(routes!(consultations::list, consultations::create))
        .routes(routes!(consultations::find))
        .routes(routes!(consultations::close))
        .routes(routes!(audit::list))
        .routes(routes!(users::close))
        .routes(routes!(users::list_bans))
        .routes(routes!(users::find_ban, users::lift_ban))
        .routes(routes!(erasures::begin))
        .routes(routes!(erasures::list))
        .routes(routes!(export::export))
}

/// How many rows of a page are shown, of which one more than `limit` was asked for: the details of a read in the audit.
fn shown_of<T>(found: &[T], limit: PageSize) -> String {
    format!("{} shown", found.len().min(limit.and_one() as usize - 1))
}

/// Writes down what an administrator does.
async fn note(
    db: &mut Connection,
    who: &AdminPrincipal,
    action: &'static str,
    subject: Party,
    details: String,
) -> Result<(), StoreError> {
    let mut entry = AuditEntry::now(who.party(), action, subject);
    entry.details = Some(details).filter(|details| !details.is_empty());
    record(db, &entry).await
}
