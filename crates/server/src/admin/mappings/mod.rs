//! Mappings of models, providers with their health, and who changed what of them. Every change is audited in its own transaction; clients of
//! the hub are told by the application `navigation`, which follows the store.

mod bulk;
mod changes;
mod providers;
mod values;

use axum::extract::State;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use hubline_store::clinic::Party;
use hubline_store::clinic::audit::{self, AuditEntry};
use hubline_store::navigation::{
    self, Changed, MappingQuery, MappingValues, ModelMapping, NavigationError, NavigationStore,
};
use hubline_store::{Connection, StoreError};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::{AdminPrincipal, IfMatch, IfNoneMatch, Json, Path, Problem, Query, Whole, entity_tag};
use values::{ModelMappingList, NewModelMapping, ShownMapping};

/// How many mappings a page has at most.
type Limit = Whole<1, 1_000>;
/// Page of mappings that is answered unless another size is asked for.
const USUAL_PAGE: u32 = 100;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<NavigationStore> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(find, update, delete))
        .merge(bulk::routes())
        .merge(changes::routes())
        .merge(providers::routes())
}

impl From<NavigationError> for Problem {
    fn from(error: NavigationError) -> Self {
        match error {
            NavigationError::Invalid { field, problem } => Self::field(&field, problem),
            NavigationError::NoMapping(_) | NavigationError::NoProvider(_) => {
                Self::new(StatusCode::NOT_FOUND, error.to_string())
            }
            NavigationError::Conflict { .. } => {
                Self::conflict(error.to_string()).naming("virtualModelName", "taken, with this providerName")
            }
            NavigationError::Outdated { .. } => Self::new(StatusCode::PRECONDITION_FAILED, error.to_string())
                .naming("if-match", error.to_string()),
            NavigationError::Store(error) => error.into(),
            error => Self::conflict(error.to_string()),
        }
    }
}

/// Which mappings.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MappingFilter {
    /// Those of this virtual name, compared exactly.
    #[param(nullable = false, required = false, pattern = r"^[^\u0000]*$")]
    virtual_model_name: Option<String>,
    /// Those of this provider, compared exactly.
    #[param(nullable = false, required = false, pattern = r"^[^\u0000]*$")]
    provider_name: Option<String>,
    /// Those in use, or those not in use.
    #[param(nullable = false, required = false)]
    enabled: Option<bool>,
    /// How many to leave out.
    #[param(inline, nullable = false, required = false)]
    offset: Option<Whole<0, 1_000_000>>,
    /// How many at most; 100 unless given.
    #[param(inline, nullable = false, required = false)]
    limit: Option<Limit>,
}

impl From<MappingFilter> for MappingQuery {
    fn from(filter: MappingFilter) -> Self {
        Self {
            virtual_model_name: filter.virtual_model_name,
            provider_name: filter.provider_name,
            enabled: filter.enabled,
            offset: filter.offset.map_or(0, Whole::as_u32),
            limit: filter.limit.map_or(USUAL_PAGE, Whole::as_u32),
        }
    }
}

/// Lists mappings
#[utoipa::path(
    get,
    path = "/api/admin/model-mappings",
    tag = "model mappings",
    params(MappingFilter),
    responses((status = 200, body = ModelMappingList)),
)]
async fn list(
    State(store): State<NavigationStore>,
    _who: AdminPrincipal,
    Query(filter): Query<MappingFilter>,
) -> Result<Json<ModelMappingList>, Problem> {
    let page = store.list(filter.into()).await?;
    let items = page.mappings.into_iter().map(ShownMapping::from).collect();
    Ok(Json(ModelMappingList { items, total: page.total }))
}

/// Creates a mapping
///
/// A provider that is not known yet comes into being, its health unknown.
#[utoipa::path(
    post,
    path = "/api/admin/model-mappings",
    tag = "model mappings",
    request_body = NewModelMapping,
    responses(
        (status = 201, body = ShownMapping, headers(
            ("Location" = String, description = "The mapping"),
            ("ETag" = String, description = "Its version"),
        )),
        (status = 409, description = "The virtual name has a mapping with this provider already, or there are too many"),
    ),
)]
async fn create(
    State(store): State<NavigationStore>,
    who: AdminPrincipal,
    Json(new): Json<NewModelMapping>,
) -> Result<Response, Problem> {
    let values = MappingValues::from(new);
    let changed = store.write(move |db| {
        Box::pin(async move {
            let changed = navigation::create(db, values, who.party().as_str()).await?;
            record(db, &who, "mapping.create", &changed).await?;
            Ok::<_, Problem>(changed)
        })
    });
    let mapping = changed.await?.mapping;
    let location = format!("/api/admin/model-mappings/{}", mapping.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], shown(mapping)).into_response())
}

/// Shows a mapping
#[utoipa::path(
    get,
    path = "/api/admin/model-mappings/{id}",
    tag = "model mappings",
    params(
        ("id" = i64, Path, description = "The mapping's id"),
        ("If-None-Match" = Option<String>, Header, nullable = false, pattern = r#"^(\*|(W/)?"[0-9]+"|[0-9]+)$"#, description = "ETags that the client has already"),
    ),
    responses(
        (status = 200, body = ShownMapping, headers(("ETag" = String, description = "Its version"))),
        (status = 304, description = "The client has it already"),
    ),
)]
async fn find(
    State(store): State<NavigationStore>,
    _who: AdminPrincipal,
    Path(id): Path<i64>,
    has: IfNoneMatch,
) -> Result<Response, Problem> {
    let mapping = store.get(id).await?;
    match has.has(mapping.row_version) {
        true => Ok((StatusCode::NOT_MODIFIED, tag(&mapping)).into_response()),
        false => Ok(shown(mapping).into_response()),
    }
}

/// Changes a mapping
///
/// With `If-Match` only if it has not been changed meanwhile. What a mapping that was read has besides, like its id, may stay in the body and
/// is not looked at.
#[utoipa::path(
    put,
    path = "/api/admin/model-mappings/{id}",
    tag = "model mappings",
    params(
        ("id" = i64, Path, description = "The mapping's id"),
        ("If-Match" = Option<String>, Header, nullable = false, pattern = r#"^(\*|(W/)?"[0-9]+"|[0-9]+)$"#, description = "The ETag that the mapping has to have"),
    ),
    request_body = NewModelMapping,
    responses(
        (status = 200, body = ShownMapping, headers(("ETag" = String, description = "Its version"))),
        (status = 409, description = "The virtual name has another mapping with this provider"),
        (status = 412, description = "The mapping has been changed meanwhile"),
    ),
)]
async fn update(
    State(store): State<NavigationStore>,
    who: AdminPrincipal,
    Path(id): Path<i64>,
    wanted: IfMatch,
    Json(new): Json<NewModelMapping>,
) -> Result<Response, Problem> {
    let values = MappingValues::from(new);
    let changed = store.write(move |db| {
        Box::pin(async move {
            let version = matching(db, id, &wanted).await?;
            let changed = navigation::update(db, id, values, version, who.party().as_str()).await?;
            record(db, &who, "mapping.update", &changed).await?;
            Ok::<_, Problem>(changed)
        })
    });
    Ok(shown(changed.await?.mapping).into_response())
}

/// Deletes a mapping
///
/// With `If-Match` only if it has not been changed meanwhile.
#[utoipa::path(
    delete,
    path = "/api/admin/model-mappings/{id}",
    tag = "model mappings",
    params(
        ("id" = i64, Path, description = "The mapping's id"),
        ("If-Match" = Option<String>, Header, nullable = false, pattern = r#"^(\*|(W/)?"[0-9]+"|[0-9]+)$"#, description = "The ETag that the mapping has to have"),
    ),
    responses((status = 204), (status = 412, description = "The mapping has been changed meanwhile")),
)]
async fn delete(
    State(store): State<NavigationStore>,
    who: AdminPrincipal,
    Path(id): Path<i64>,
    wanted: IfMatch,
) -> Result<StatusCode, Problem> {
    let changed = store.write(move |db| {
        Box::pin(async move {
            let version = matching(db, id, &wanted).await?;
            let changed = navigation::delete(db, id, version, who.party().as_str()).await?;
            record(db, &who, "mapping.delete", &changed).await?;
            Ok::<_, Problem>(())
        })
    });
    changed.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The version that a row has to have to be changed; `None` for any.
async fn matching(db: &mut Connection, id: i64, wanted: &IfMatch) -> Result<Option<i64>, NavigationError> {
    if *wanted == IfMatch::Any {
        return Ok(None);
    }
    let current = navigation::get(db, id).await?.row_version;
    match wanted.matches(current) {
        true => Ok(Some(current)),
        false => Err(NavigationError::Outdated { current }),
    }
}

async fn record(
    db: &mut Connection,
    who: &AdminPrincipal,
    action: &'static str,
    Changed { version, mapping }: &Changed,
) -> Result<(), StoreError> {
    let MappingValues { virtual_model_name, provider_model_name, provider_name, .. } = &mapping.values;
    let entry = AuditEntry::now(who.party(), action, Party::new("mapping", &mapping.id.to_string()));
    let details =
        format!("version {version}: {virtual_model_name} = {provider_model_name} of {provider_name}");
    audit::record(db, &entry.details(details)).await
}

fn shown(mapping: ModelMapping) -> impl IntoResponse + use<> {
    (tag(&mapping), Json(ShownMapping::from(mapping)))
}

fn tag(mapping: &ModelMapping) -> [(HeaderName, axum::http::HeaderValue); 1] {
    [(ETAG, entity_tag(mapping.row_version))]
}
