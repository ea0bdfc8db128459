use axum::extract::State;
use axum::http::StatusCode;
use hubline_store::clinic::Party;
use hubline_store::clinic::audit::{self, AuditEntry};
use hubline_store::navigation::{self, NavigationError, NavigationStore, Provider};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::values::{ProviderHealth, ShownProvider};
use crate::admin::names::Name;
use crate::api::{AdminPrincipal, Json, Page, PageSize, Path, Problem, Query};

/// Providers.
pub(super) fn routes() -> OpenApiRouter<NavigationStore> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(find, delete)).routes(routes!(set_health))
}

/// Which providers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ProviderFilter {
    /// What the page before has as `next`.
    #[param(nullable = false, required = false, pattern = r"^[^\u0000]*$")]
    after: Option<String>,
    /// How many at most.
    #[serde(default)]
    #[param(inline, required = false)]
    limit: PageSize,
}

/// Lists providers
///
/// By name, with their health.
#[utoipa::path(
    get,
    path = "/api/admin/providers",
    tag = "providers",
    params(ProviderFilter),
    responses((status = 200, body = Page<ShownProvider>)),
)]
async fn list(
    State(store): State<NavigationStore>,
    _who: AdminPrincipal,
    Query(filter): Query<ProviderFilter>,
) -> Result<Json<Page<ShownProvider>>, Problem> {
    let ProviderFilter { after, limit } = filter;
    let after = after.unwrap_or_default();
    let providers = store.providers().await?.into_iter().filter(|provider| provider.name > after);
    let found: Vec<Provider> = providers.take(limit.and_one() as usize).collect();
    Ok(Json(limit.page(found, |provider| provider.name.clone())))
}

/// Shows a provider
#[utoipa::path(
    get,
    path = "/api/admin/providers/{name}",
    tag = "providers",
    params(("name" = String, Path, description = "Its name, as mappings have it")),
    responses((status = 200, body = ShownProvider)),
)]
async fn find(
    State(store): State<NavigationStore>,
    _who: AdminPrincipal,
    Path(name): Path<String>,
) -> Result<Json<ShownProvider>, Problem> {
    let name = storable(name)?;
    let provider = store.read(move |db| Box::pin(async move { navigation::provider(db, &name).await }));
    Ok(Json(provider.await?.into()))
}

/// Sets a provider's health
///
/// A provider that is not known yet comes into being. Clients are told if anything has changed.
#[utoipa::path(
    put,
    path = "/api/admin/providers/{name}/health",
    tag = "providers",
    params(("name" = Name, Path, description = "Its name, as mappings have it")),
    request_body = ProviderHealth,
    responses(
        (status = 200, body = ShownProvider),
        (status = 409, description = "There are too many providers"),
    ),
)]
async fn set_health(
    State(store): State<NavigationStore>,
    who: AdminPrincipal,
    Path(name): Path<String>,
    Json(ProviderHealth { health, detail }): Json<ProviderHealth>,
) -> Result<Json<ShownProvider>, Problem> {
    let set = store.write(move |db| {
        Box::pin(async move {
            let actor = who.party();
            let (version, provider) =
                navigation::set_provider_health(db, &name, health.into(), &detail, actor.as_str()).await?;
            let entry = AuditEntry::now(actor, "provider.health", Party::new("provider", &name));
            audit::record(db, &entry.details(format!("version {version}: {:?}", provider.health))).await?;
            Ok::<_, Problem>(provider)
        })
    });
    Ok(Json(set.await?.into()))
}

/// Deletes a provider
///
/// Which no mapping may name.
#[utoipa::path(
    delete,
    path = "/api/admin/providers/{name}",
    tag = "providers",
    params(("name" = String, Path, description = "Its name, as mappings have it")),
    responses((status = 204), (status = 409, description = "Mappings name it")),
)]
async fn delete(
    State(store): State<NavigationStore>,
    who: AdminPrincipal,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let name = storable(name)?;
    let deleted = store.write(move |db| {
        Box::pin(async move {
            let version = navigation::delete_provider(db, &name, who.party().as_str()).await?;
            let entry = AuditEntry::now(who.party(), "provider.delete", Party::new("provider", &name));
            audit::record(db, &entry.details(format!("version {version}"))).await?;
            Ok::<_, Problem>(())
        })
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// PostgreSQL takes no NUL, so nothing has such a name.
fn storable(name: String) -> Result<String, NavigationError> {
    match name.contains('\0') {
        true => Err(NavigationError::NoProvider(name)),
        false => Ok(name),
    }
}
