use axum::extract::State;
use hubline_store::navigation::{ChangeQuery, NavigationStore};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::values::ShownChange;
use crate::api::{AdminPrincipal, Json, Page, Problem, Query, page_size};

/// Who changed what.
pub(super) fn routes() -> OpenApiRouter<NavigationStore> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ChangeFilter {
    /// Those of this mapping, also after it is gone.
    #[param(nullable = false, required = false, minimum = 1)]
    mapping_id: Option<i64>,
    /// What the page before has as `next`.
    #[param(nullable = false, required = false, minimum = 1)]
    after: Option<i64>,
    /// How many at most.
    #[param(nullable = false, required = false, minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
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
    for (name, value) in [("mappingId", filter.mapping_id), ("after", filter.after)] {
        if value.is_some_and(|value| value < 1) {
            return Err(Problem::field(name, "a number from 1 on is needed"));
        }
    }
    let limit = page_size(filter.limit)?;
    let query = ChangeQuery { mapping_id: filter.mapping_id, before: filter.after, limit: limit + 1 };
    let changes = store.changes(query).await?.into_iter().map(ShownChange::from).collect();
    Ok(Json(Page::of(changes, limit, |change| change.id.to_string())))
}
