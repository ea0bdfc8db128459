use axum::extract::State;
use hubline_store::navigation::{ChangeQuery, NavigationStore};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::values::ShownChange;
use crate::api::{AdminPrincipal, Json, Page, PageSize, Problem, Query, Whole};

/// Who changed what.
pub(super) fn routes() -> OpenApiRouter<NavigationStore> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The id of a mapping or a change.
type Id = Whole<1, { i64::MAX }>;

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ChangeFilter {
    /// Those of this mapping, also after it is gone.
    #[param(inline, nullable = false, required = false)]
    mapping_id: Option<Id>,
    /// What the page before has as `next`.
    #[param(inline, nullable = false, required = false)]
    after: Option<Id>,
    /// How many at most.
    #[serde(default)]
    #[param(inline, required = false)]
    limit: PageSize,
}

/// Lists changes of mappings and providers
///
/// Newest first: who changed what, and how it was before and after.
#[utoipa::path(
    get,
    path = "/api/admin/changes",
    tag = "model mappings",
    params(ChangeFilter),
    responses((status = 200, body = Page<ShownChange>)),
)]
async fn list(
    State(store): State<NavigationStore>,
    _who: AdminPrincipal,
    Query(filter): Query<ChangeFilter>,
) -> Result<Json<Page<ShownChange>>, Problem> {
    let ChangeFilter { mapping_id, after, limit } = filter;
    let (mapping_id, before) = (mapping_id.map(Id::get), after.map(Id::get));
    let changes = store.changes(ChangeQuery { mapping_id, before, limit: limit.and_one() }).await?;
    Ok(Json(limit.page(changes, |change| change.id.to_string())))
}
