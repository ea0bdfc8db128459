use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::response::IntoResponse;
use hubline::value::DateTime;
use hubline_store::Timestamp;
use hubline_store::keys::{Key, KeyKind, KeyScope, NewKey, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::KeyManagement;
use super::values::{PageQuery, Rotation, checked_models, checked_name, end};
use crate::admin::names::Name;
use crate::api::{AdminPrincipal, Json, Page, Path, Problem, Query, shown};

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
    #[schema(minimum = 1, maximum = 315_360_000)]
    expires_in_seconds: Option<u32>,
}

/// A virtual key, without its secrets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct VirtualKey {
    /// Its id, which is no secret.
    #[schema(example = "5f0c1e7a9b3d2846")]
    id: String,
    /// What people call it.
    name: String,
    /// The virtual models that it sees; null for all.
    models: Option<BTreeSet<String>>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime,
    /// When it ends; null for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<DateTime>,
    /// When it was revoked; null if it was not.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<DateTime>,
    /// When it was used last, to the minute; null if it never was.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<DateTime>,
}

/// A virtual key with its new secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct VirtualKeySecret {
    /// The key.
    key: VirtualKey,
    /// What clients of the hub send as `Authorization: Bearer`, or as `access_token` where they cannot.
    secret: String,
    /// Until when earlier secrets are good, after a rotation; null for a new key.
    #[schema(value_type = Option<String>, format = DateTime)]
    earlier_secrets_until: Option<DateTime>,
}

impl From<Key> for VirtualKey {
    fn from(key: Key) -> Self {
        let models = match key.scope {
            KeyScope::Models(models) => models,
            KeyScope::Admin(_) => Some(BTreeSet::new()), // not one of these
        };
        Self {
            id: key.id,
            name: key.name,
            models,
            created_at: shown(key.created_at),
            expires_at: key.expires_at.map(shown),
            revoked_at: key.revoked_at.map(shown),
            last_used_at: key.last_used_at.map(shown),
        }
    }
}

fn with_secret(key: Key, secret: &Secret, earlier_until: Option<Timestamp>) -> impl IntoResponse + use<> {
    let body = VirtualKeySecret {
        key: key.into(),
        secret: secret.expose().to_owned(),
        earlier_secrets_until: earlier_until.map(shown),
    };
    ([(CACHE_CONTROL, "no-store")], Json(body))
}

/// Makes a virtual key
///
/// The answer has its secret, which cannot be had again.
#[utoipa::path(
    post,
    path = "/api/admin/virtual-keys",
    tag = "virtual keys",
    request_body = NewVirtualKey,
    responses((status = 201, body = VirtualKeySecret, headers(("Location" = String, description = "The key")))),
)]
pub(super) async fn create(
    State(management): State<KeyManagement>,
    who: AdminPrincipal,
    Json(new): Json<NewVirtualKey>,
) -> Result<impl IntoResponse, Problem> {
    let new = NewKey {
        name: checked_name(new.name)?,
        scope: KeyScope::Models(checked_models(new.models)?),
        expires_at: end(Timestamp::now(), new.expires_in_seconds)?,
    };
    let (key, secret) = super::create(&management, who, new).await?;
    let location = format!("/api/admin/virtual-keys/{}", key.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], with_secret(key, &secret, None)))
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
    let (keys, limit) = super::list(&management, &who, KeyKind::Virtual, query.after, query.limit).await?;
    Ok(Json(Page::of(keys.into_iter().map(VirtualKey::from).collect(), limit, |key| key.id.clone())))
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
    Ok(Json(super::find(&management, &who, KeyKind::Virtual, id).await?.into()))
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
    responses((status = 200, body = VirtualKeySecret)),
)]
pub(super) async fn rotate(
    State(management): State<KeyManagement>,
    who: AdminPrincipal,
    Path(id): Path<String>,
    Json(rotation): Json<Rotation>,
) -> Result<impl IntoResponse, Problem> {
    let overlap = rotation.overlap()?;
    let (key, secret, until) = super::rotate(&management, who, KeyKind::Virtual, id, overlap).await?;
    Ok(with_secret(key, &secret, Some(until)))
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
    Ok(Json(super::revoke(&management, who, KeyKind::Virtual, id).await?.into()))
}
