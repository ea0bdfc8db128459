use axum::extract::State;
use axum::response::IntoResponse;
use hubline_store::Timestamp;
use hubline_store::keys::{AdminScope, Key, KeyKind, KeyScope, NewKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::values::{KeyFacts, Life, PageQuery, Rotation, Scope, WithSecret, checked_name, end};
use super::{KeyManagement, ShownKey};
use crate::api::{AdminPrincipal, Json, Page, Path, Problem, Query};

/// An admin key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewAdminKey {
    /// What people call it; no other key that is not revoked has the name.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = "^[A-Za-z0-9][A-Za-z0-9 ._@/-]*$",
        example = "deployment"
    )]
    name: String,
    /// What it may do.
    scope: Scope,
    /// For how many seconds it is good; for ever unless given.
    #[schema(inline)]
    expires_in_seconds: Option<Life>,
}

/// An admin key, without its secrets.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AdminKey {
    #[serde(flatten)]
    facts: KeyFacts,
    /// What it may do.
    scope: Scope,
}

impl From<Key> for AdminKey {
    fn from(key: Key) -> Self {
        let scope = match key.scope {
            KeyScope::Admin(scope) => scope,
            KeyScope::Models(_) => AdminScope::Read, // not one of these
        };
        Self { scope: scope.into(), facts: key.into() }
    }
}

impl ShownKey for AdminKey {
    const KIND: KeyKind = KeyKind::Admin;
    const PATH: &'static str = "/api/admin/keys";
}

/// Makes an admin key
///
/// The answer has its secret, which cannot be had again.
#[utoipa::path(
    post,
    path = "/api/admin/keys",
    tag = "keys",
    request_body = NewAdminKey,
    responses((status = 201, body = WithSecret<AdminKey>, headers(("Location" = String, description = "The key")))),
)]
pub(super) async fn create(
    State(management): State<KeyManagement>,
    who: AdminPrincipal,
    Json(new): Json<NewAdminKey>,
) -> Result<impl IntoResponse, Problem> {
    let new = NewKey {
        name: checked_name(new.name)?,
        scope: KeyScope::Admin(new.scope.into()),
        expires_at: end(Timestamp::now(), new.expires_in_seconds),
    };
    super::create::<AdminKey>(&management, who, new).await
}

/// Lists admin keys
///
/// By id; revoked and expired ones too.
#[utoipa::path(get, path = "/api/admin/keys", tag = "keys", params(PageQuery), responses((status = 200, body = Page<AdminKey>)))]
pub(super) async fn list(
    State(management): State<KeyManagement>,
    who: AdminPrincipal,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<AdminKey>>, Problem> {
    super::list(&management, &who, query).await
}

/// Shows an admin key
#[utoipa::path(
    get,
    path = "/api/admin/keys/{id}",
    tag = "keys",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 200, body = AdminKey)),
)]
pub(super) async fn find(
    State(management): State<KeyManagement>,
    who: AdminPrincipal,
    Path(id): Path<String>,
) -> Result<Json<AdminKey>, Problem> {
    super::find(&management, &who, id).await
}

/// Gives an admin key a new secret
///
/// Earlier ones stay good for a while, so that programs can change over one after the other.
#[utoipa::path(
    post,
    path = "/api/admin/keys/{id}/rotate",
    tag = "keys",
    params(("id" = String, Path, description = "The key's id")),
    request_body = Rotation,
    responses((status = 200, body = WithSecret<AdminKey>)),
)]
pub(super) async fn rotate(
    State(management): State<KeyManagement>,
    who: AdminPrincipal,
    Path(id): Path<String>,
    Json(rotation): Json<Rotation>,
) -> Result<impl IntoResponse, Problem> {
    super::rotate::<AdminKey>(&management, who, id, rotation).await
}

/// Revokes an admin key
///
/// It opens nothing from then on, and stays in the list.
#[utoipa::path(
    post,
    path = "/api/admin/keys/{id}/revoke",
    tag = "keys",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 200, body = AdminKey)),
)]
pub(super) async fn revoke(
    State(management): State<KeyManagement>,
    who: AdminPrincipal,
    Path(id): Path<String>,
) -> Result<Json<AdminKey>, Problem> {
    super::revoke(&management, who, id).await
}
