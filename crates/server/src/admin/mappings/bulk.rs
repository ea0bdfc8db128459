use std::collections::HashMap;

use axum::extract::State;
use hubline_store::clinic::Party;
use hubline_store::clinic::audit::{self, AuditEntry};
use hubline_store::navigation::{self, MAXIMUM_MAPPINGS, MappingValues, NavigationStore};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::values::{ModelMappingExport, ModelMappingImport, ModelMappingImported};
use crate::api::{AdminPrincipal, Json, Object, Problem, body_limit};

/// Most bytes of an import: 5,000 mappings with the longest names of ASCII letters fit.
const IMPORT_BYTES: usize = 4 * 1024 * 1024;

/// Import and export.
pub(super) fn routes() -> OpenApiRouter<NavigationStore> {
    let import = OpenApiRouter::new().routes(routes!(import)).layer(body_limit(IMPORT_BYTES));
    import.merge(OpenApiRouter::new().routes(routes!(export)))
}

/// Imports mappings
///
/// All of them or none, as one change: clients are told once.
#[utoipa::path(
    post,
    path = "/api/admin/model-mappings/import",
    tag = "model mappings",
    request_body = ModelMappingImport,
    responses(
        (status = 200, body = ModelMappingImported),
        (status = 409, description = "A virtual name has the same provider twice, or there would be too many mappings"),
    ),
)]
async fn import(
    State(store): State<NavigationStore>,
    who: AdminPrincipal,
    Json(import): Json<ModelMappingImport>,
) -> Result<Json<ModelMappingImported>, Problem> {
    let count = import.mappings.len();
    if usize::try_from(MAXIMUM_MAPPINGS).is_ok_and(|most| count > most) {
        let problem = format!("{count} are too many, there may be at most {MAXIMUM_MAPPINGS}");
        return Err(Problem::field("mappings", problem));
    }
    let mappings: Vec<MappingValues> =
        import.mappings.into_iter().map(|Object(mapping)| mapping.into()).collect();
    refuse_twice(&mappings)?;
    let outcome = store.write(move |db| {
        Box::pin(async move {
            let outcome = navigation::import(db, mappings, import.mode.into(), who.party().as_str()).await?;
            let details = format!(
                "version {}: {} created, {} updated, {} deleted, {} unchanged",
                outcome.version, outcome.created, outcome.updated, outcome.deleted, outcome.unchanged
            );
            let entry = AuditEntry::now(who.party(), "mapping.import", Party::new("mapping", "*"));
            audit::record(db, &entry.details(details)).await?;
            Ok::<_, Problem>(outcome)
        })
    });
    Ok(Json(outcome.await?.into()))
}

/// Exports all mappings
///
/// As an import takes them.
#[utoipa::path(
    get,
    path = "/api/admin/model-mappings/export",
    tag = "model mappings",
    responses((status = 200, body = ModelMappingExport)),
)]
async fn export(
    State(store): State<NavigationStore>,
    _who: AdminPrincipal,
) -> Result<Json<ModelMappingExport>, Problem> {
    let mappings = store.export().await?;
    Ok(Json(ModelMappingExport { mappings: mappings.into_iter().map(|mapping| mapping.values).collect() }))
}

/// The same virtual name twice with the same provider contradicts itself, as it does one by one.
fn refuse_twice(mappings: &[MappingValues]) -> Result<(), Problem> {
    let mut seen = HashMap::new();
    for (place, mapping) in mappings.iter().enumerate() {
        let first = seen.insert((&mapping.virtual_model_name, &mapping.provider_name), place);
        if let Some(first) = first {
            let problem =
                format!("mappings[{first}] has the same virtualModelName and providerName; name each once");
            return Err(Problem::conflict(problem.clone()).naming(&format!("mappings[{place}]"), problem));
        }
    }
    Ok(())
}
