use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::response::IntoResponse;
use hubline::value::DateTime;
use hubline_store::Timestamp;
use hubline_store::keys::{AdminScope, Key, KeyKind, KeyScope, NewKey, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::KeyManagement;
use super::values::{PageQuery, Rotation, Scope, checked_name, end};
use crate::api::{AdminPrincipal, Json, Page, Path, Problem, Query, shown};

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
    #[schema(minimum = 1, maximum = 315_360_000)]
    expires_in_seconds: Option<u32>,
}

/// An admin key, without its secrets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AdminKey {
    /// Its id, which is no secret.
    #[schema(example = "5f0c1e7a9b3d2846")]
    id: String,
    /// What people call it.
    name: String,
    /// What it may do.
    scope: Scope,
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

/// An admin key with its new secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AdminKeySecret {
    /// The key.
    key: AdminKey,
    /// What to send as `Authorization: Bearer`.
    secret: String,
    /// Until when earlier secrets are good, after a rotation; null for a new key.
    #[schema(value_type = Option<String>, format = DateTime)]
    earlier_secrets_until: Option<DateTime>,
}

impl From<Key> for AdminKey {
    fn from(key: Key) -> Self {
        let scope = match key.scope {
            KeyScope::Admin(scope) => scope,
            KeyScope::Models(_) => AdminScope::Read, // not one of these
        };
        Self {
            id: key.id,
            name: key.name,
            scope: scope.into(),
            created_at: shown(key.created_at),
            expires_at: key.expires_at.map(shown),
            revoked_at: key.revoked_at.map(shown),
            last_used_at: key.last_used_at.map(shown),
        }
    }
}

fn with_secret(key: Key, secret: &Secret, earlier_until: Option<Timestamp>) -> impl IntoResponse + use<> {
    let body = AdminKeySecret {
        key: key.into(),
        secret: secret.expose().to_owned(),
        earlier_secrets_until: earlier_until.map(shown),
    };
    ([(CACHE_CONTROL, "no-store")], Json(body))
}

/// Makes an admin key
///
/// The answer has its secret, which cannot be had again.
#[utoipa::path(
    post,
    path = "/api/admin/keys",
    tag = "keys",
    request_body = NewAdminKey,
    responses((status = 201, body = AdminKeySecret, headers(("Location" = String, description = "The key")))),
)]
pub(super) async fn create(
    State(management): State<KeyManagement>,
    who: AdminPrincipal,
    Json(new): Json<NewAdminKey>,
) -> Result<impl IntoResponse, Problem> {
    let new = NewKey {
        name: checked_name(new.name)?,
        scope: KeyScope::Admin(new.scope.into()),
        expires_at: end(Timestamp::now(), new.expires_in_seconds)?,
    };
    let (key, secret) = super::create(&management, who, new).await?;
    let location = format!("/api/admin/keys/{}", key.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], with_secret(key, &secret, None)))
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
    let (keys, limit) = super::list(&management, &who, KeyKind::Admin, query.after, query.limit).await?;
    Ok(Json(Page::of(keys.into_iter().map(AdminKey::from).collect(), limit, |key| key.id.clone())))
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
    Ok(Json(super::find(&management, &who, KeyKind::Admin, id).await?.into()))
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
    responses((status = 200, body = AdminKeySecret)),
)]
pub(super) async fn rotate(
    State(management): State<KeyManagement>,
    who: AdminPrincipal,
    Path(id): Path<String>,
    Json(rotation): Json<Rotation>,
) -> Result<impl IntoResponse, Problem> {
    let overlap = rotation.overlap()?;
    let (key, secret, until) = super::rotate(&management, who, KeyKind::Admin, id, overlap).await?;
    Ok(with_secret(key, &secret, Some(until)))
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
    Ok(Json(super::revoke(&management, who, KeyKind::Admin, id).await?.into()))
}
