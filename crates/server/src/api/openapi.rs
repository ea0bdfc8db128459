use axum::body::Bytes;
use axum::http::StatusCode;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use super::Problem;
use super::problem::PROBLEM_JSON;

/// Name of the security scheme.
const ADMIN_KEY: &str = "adminKey";

/// The document of OpenAPI 3 for parts of the API, which has what all operations have in common: problems as their errors, ids, and the key
/// that those below `guarded` need.
pub(crate) fn describe(parts: impl IntoIterator<Item = OpenApi>, guarded: &str) -> Bytes {
    let mut document = parts.into_iter().fold(empty(), OpenApi::merge_from);
    for (path, item) in &mut document.paths.paths {
        let needs_key = path.starts_with(guarded);
        for (method, operation) in operations(item) {
            complete(operation, method, path, needs_key);
        }
    }
    document.to_json().map(Bytes::from).unwrap_or_default()
}

fn empty() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Hubline")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("The HTTP API. Times are ISO 8601 in UTC; what fails is a problem of RFC 9457. Below /api/admin parameters of a query that are not described are refused."));
    let key = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An admin key: Admin:ApiKey of the configuration, or one of /api/admin/keys"))
        .build();
    let components = ComponentsBuilder::new()
        .security_scheme(ADMIN_KEY, SecurityScheme::Http(key))
        .schema(Problem::name(), Problem::schema());
    OpenApiBuilder::new().info(info.build()).components(Some(components.build())).build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [("get", get), ("put", put), ("post", post), ("delete", delete), ("patch", patch)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn complete(operation: &mut Operation, method: &str, path: &str, needs_key: bool) {
    operation.operation_id = Some(id(method, path));
    if needs_key {
        operation.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>(ADMIN_KEY, [])]);
    }
    let content = || {
        let schema = Ref::from_schema_name(Problem::name());
        ContentBuilder::new().schema(Some(schema)).build()
    };
    for (status, response) in &mut operation.responses.responses {
        let utoipa::openapi::RefOr::T(response) = response else { continue };
        if response.description.is_empty() {
            let phrase =
                status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok()?.canonical_reason());
            response.description = phrase.unwrap_or("The answer").to_owned();
        }
        if status.starts_with(['4', '5']) && response.content.is_empty() {
            response.content.insert(PROBLEM_JSON.to_owned(), content().into());
        }
    }
    let default = ResponseBuilder::new().description("What failed, and why").content(PROBLEM_JSON, content());
    operation.responses.responses.insert("default".to_owned(), default.build().into());
}

/// The id of an operation, which has to be its own: `getAdminKeysById` of `GET /api/admin/keys/{id}`.
fn id(method: &str, path: &str) -> String {
    let words = path.trim_start_matches("/api").split(['/', '-']).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |id, word| match word.strip_prefix('{') {
        Some(parameter) => id + "By" + &capitalized(parameter.trim_end_matches('}')),
        None => id + &capitalized(word),
    })
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_called_by_its_method_and_path() {
        for (path, expected) in [
            ("/api/admin/keys", "getAdminKeys"),
            ("/api/admin/virtual-keys/{id}/rotate", "getAdminVirtualKeysByIdRotate"),
            ("/api/navigation-state", "getNavigationState"),
        ] {
            assert_eq!(id("get", path), expected);
        }
    }
}
