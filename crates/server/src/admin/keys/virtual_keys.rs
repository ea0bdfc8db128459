use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::IntoResponse;
use hubline_store::Timestamp;
use hubline_store::keys::{Key, KeyKind, KeyScope, NewKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::values::{KeyFacts, Life, PageQuery, Rotation, WithSecret, checked_models, checked_name, end};
use super::{KeyManagement, ShownKey};
use crate::admin::names::Name;
use crate::api::{AdminPrincipal, Json, Page, Path, Problem, Query};

/// A virtual key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewVirtualKey {
    /// What people call it; no other key that is not revoked has the name.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = "^[A-Za-z0-9][A-Za-z0-9 ._@/-]*$",
        example = "deployment"
    )]
    name: String,
    /// The virtual models that it sees; all, also those to come, unless given.
    #[schema(value_type = Option<Vec<Name>>, max_items = 1_000)]
    models: Option<BTreeSet<String>>,
    /// For how many seconds it is good; for ever unless given.
    #[schema(inline)]
    expires_in_seconds: Option<Life>,
}

/// A virtual key, without its secrets.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VirtualKey {
    #[serde(flatten)]
    facts: KeyFacts,
    /// The virtual models that it sees; null for all.
    models: Option<BTreeSet<String>>,
}

impl From<Key> for VirtualKey {
    fn from(mut key: Key) -> Self {
        let models = match std::mem::replace(&mut key.scope, KeyScope::Models(None)) {
            KeyScope::Models(models) => models,
            KeyScope::Admin(_) => Some(BTreeSet::new()), // not one of these
        };
        Self { models, facts: key.into() }
    }
}

impl ShownKey for VirtualKey {
    const KIND: KeyKind = KeyKind::Virtual;
    const PATH: &'static str = "/api/admin/virtual-keys";
}

/// Makes a virtual key
///
/// The answer has its secret, which cannot be had again.
#[utoipa::path(
    post,
    path = "/api/admin/virtual-keys",
    tag = "virtual keys",
    request_body = NewVirtualKey,
    responses((status = 201, body = WithSecret<VirtualKey>, headers(("Location" = String, description = "The key")))),
)]
pub(super) async fn create(
    State(management): State<KeyManagement>,
    who: AdminPrincipal,
    Json(new): Json<NewVirtualKey>,
) -> Result<impl IntoResponse, Problem> {
    let new = NewKey {
        name: checked_name(new.name)?,
        scope: KeyScope::Models(checked_models(new.models)?),
        expires_at: end(Timestamp::now(), new.expires_in_seconds),
    };
    super::create::<VirtualKey>(&management, who, new).await
}

/// Lists virtual keys
///
/// By id; revoked and expired ones too.
#[utoipa::path(get, path = "/api/admin/virtual-keys", tag = "virtual keys", params(PageQuery), responses((status = 200, body = Page<VirtualKey>)))]
pub(super) async fn list(
    State(management): State<KeyManagement>,
    who: AdminPrincipal,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<VirtualKey>>, Problem> {
    super::list(&management, &who, query).await
}

/// Shows a virtual key
#[utoipa::path(
    get,
    path = "/api/admin/virtual-keys/{id}",
    tag = "virtual keys",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 200, body = VirtualKey)),
)]
pub(super) async fn find(
    State(management): State<KeyManagement>,
    who: AdminPrincipal,
    Path(id): Path<String>,
) -> Result<Json<VirtualKey>, Problem> {
    super::find(&management, &who, id).await
}

/// Gives a virtual key a new secret
///
/// Earlier ones stay good for a while, so that programs can change over one after the other.
#[utoipa::path(
    post,
    path = "/api/admin/virtual-keys/{id}/rotate",
    tag = "virtual keys",
    params(("id" = String, Path, description = "The key's id")),
    request_body = Rotation,
    responses((status = 200, body = WithSecret<VirtualKey>)),
)]
pub(super) async fn rotate(
    State(management): State<KeyManagement>,
    who: AdminPrincipal,
    Path(id): Path<String>,
    Json(rotation): Json<Rotation>,
) -> Result<impl IntoResponse, Problem> {
    super::rotate::<VirtualKey>(&management, who, id, rotation).await
}

/// Revokes a virtual key
///
/// Connections that were opened with it are closed on every instance; it stays in the list.
#[utoipa::path(
    post,
    path = "/api/admin/virtual-keys/{id}/revoke",
    tag = "virtual keys",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 200, body = VirtualKey)),
)]
pub(super) async fn revoke(
    State(management): State<KeyManagement>,
    who: AdminPrincipal,
    Path(id): Path<String>,
) -> Result<Json<VirtualKey>, Problem> {
    super::revoke(&management, who, id).await
}
