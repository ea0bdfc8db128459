//! Management of the keys in the database: of administrators at `/api/admin/keys`, virtual ones at `/api/admin/virtual-keys`. It needs a
//! key of the scope `full`.

mod admin_keys;
mod values;
mod virtual_keys;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::response::IntoResponse;
use futures_util::future::BoxFuture;
use hubline_store::clinic::Party;
use hubline_store::clinic::audit::{self, AuditEntry};
use hubline_store::clinic::bans::{self, Ban, Banned};
use hubline_store::keys::{self, AdminScope, Key, KeyError, KeyKind, KeyScope, NewKey, Secret};
use hubline_store::{Store, Timestamp};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::virtual_keys::user_of;
use crate::api::{AdminPrincipal, Json, Page, Problem, shown};
use values::{PageQuery, Rotation, WithSecret};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<KeyManagement> {
    OpenApiRouter::new()
        .routes(routes!(admin_keys::list, admin_keys::create))
        .routes(routes!(admin_keys::find))
        .routes(routes!(admin_keys::rotate))
        .routes(routes!(admin_keys::revoke))
        .routes(routes!(virtual_keys::list, virtual_keys::create))
        .routes(routes!(virtual_keys::find))
        .routes(routes!(virtual_keys::rotate))
        .routes(routes!(virtual_keys::revoke))
}

/// How long the user of a revoked key is kept out: longer than any instance takes to learn that it is revoked.
const OUT: Duration = Duration::from_secs(60 * 60);

/// What the handlers need.
#[derive(Debug, Clone)]
pub(crate) struct KeyManagement {
    store: Store,
    /// Closes the connections of a user.
    pub(super) keep_out: Option<KeepOut>,
}

/// See [`Admin::keeping_out`](super::Admin::keeping_out).
#[derive(Clone)]
pub(super) struct KeepOut(pub(super) Arc<dyn Fn(String, Timestamp) -> BoxFuture<'static, ()> + Send + Sync>);

impl fmt::Debug for KeepOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeepOut")
    }
}

impl KeyManagement {
    pub(super) fn new(store: Store) -> Self {
        Self { store, keep_out: None }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::NameTaken => {
                Self::conflict(format!("{error}; revoke it, or rotate it for a new secret"))
                    .naming("name", "taken")
            }
            KeyError::Store(error) => error.into(),
            _ => Self::not_found("key that is not revoked"),
        }
    }
}

/// A kind of keys, as the API shows one.
trait ShownKey: From<Key> + Serialize {
    const KIND: KeyKind;
    /// Where they are.
    const PATH: &'static str;
}

async fn create<K: ShownKey>(
    management: &KeyManagement,
    who: AdminPrincipal,
    new: NewKey,
) -> Result<impl IntoResponse + use<K>, Problem> {
    who.require(AdminScope::Full)?;
    let made = management
        .store
        .write(move |db| {
            Box::pin(async move {
                let kind = new.scope.kind();
                if who.is_keyless && is_weak(&new.scope) && !keys::exists(db, kind).await? {
                    return Err(Problem::conflict(
                        "the first key has to have the scope full: it closes the API to whoever has no key, and nobody could make another",
                    )
                    .naming("scope", "full"));
                }
                let (key, secret) = keys::create(db, &new, Timestamp::now()).await?;
                record(db, &who, "key.create", &key).await?;
                Ok((key, secret))
            })
        })
        .await;
    let (key, secret) = made?;
    let location = format!("{}/{}", K::PATH, key.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], with_secret::<K>(key, &secret, None)))
}

fn with_secret<K: ShownKey>(
    key: Key,
    secret: &Secret,
    earlier_until: Option<Timestamp>,
) -> impl IntoResponse + use<K> {
    let secret = secret.expose().to_owned();
    let body = WithSecret { key: K::from(key), secret, earlier_secrets_until: earlier_until.map(shown) };
    ([(CACHE_CONTROL, "no-store")], Json(body))
}

fn is_weak(scope: &KeyScope) -> bool {
    matches!(scope, KeyScope::Admin(scope) if *scope < AdminScope::Full)
}

async fn list<K: ShownKey>(
    management: &KeyManagement,
    who: &AdminPrincipal,
    query: PageQuery,
) -> Result<Json<Page<K>>, Problem> {
    who.require(AdminScope::Full)?;
    let PageQuery { after, limit } = query;
    let after = after.filter(|after| !after.is_empty());
    if after.as_deref().is_some_and(|after| !is_id(after)) {
        return Err(Problem::field("after", "what the page before has as next is needed"));
    }
    let found = management.store.read(move |db| {
        Box::pin(async move { keys::list(db, K::KIND, after.as_deref(), limit.and_one()).await })
    });
    Ok(Json(limit.page(found.await?, |key| key.id.clone())))
}

async fn find<K: ShownKey>(
    management: &KeyManagement,
    who: &AdminPrincipal,
    id: String,
) -> Result<Json<K>, Problem> {
    who.require(AdminScope::Full)?;
    let id = existing(id)?;
    let found = management.store.read(move |db| Box::pin(async move { keys::find(db, K::KIND, &id).await }));
    found.await?.map(|key| Json(key.into())).ok_or_else(|| Problem::not_found("key"))
}

async fn rotate<K: ShownKey>(
    management: &KeyManagement,
    who: AdminPrincipal,
    id: String,
    rotation: Rotation,
) -> Result<impl IntoResponse + use<K>, Problem> {
    who.require(AdminScope::Full)?;
    let id = existing(id)?;
    let now = Timestamp::now();
    let overlap_ends = now.after(rotation.overlap());
    let rotated = management.store.write(move |db| {
        Box::pin(async move {
            let (key, secret) = keys::rotate(db, K::KIND, &id, overlap_ends, now).await?;
            record(db, &who, "key.rotate", &key).await?;
            Ok::<_, Problem>((key, secret))
        })
    });
    let (key, secret) = rotated.await?;
    Ok(with_secret::<K>(key, &secret, Some(overlap_ends)))
}

async fn revoke<K: ShownKey>(
    management: &KeyManagement,
    who: AdminPrincipal,
    id: String,
) -> Result<Json<K>, Problem> {
    management.revoke(who, K::KIND, id).await.map(|key| Json(key.into()))
}

impl KeyManagement {
    /// At most `limit` keys of a kind, revoked ones too, by id.
    ///
    /// # Errors
    /// The scope is not `full`, or the database cannot be used.
    pub(crate) async fn all(
        &self,
        who: &AdminPrincipal,
        kind: KeyKind,
        limit: u32,
    ) -> Result<Vec<Key>, Problem> {
        who.require(AdminScope::Full)?;
        let found =
            self.store.read(move |db| Box::pin(async move { keys::list(db, kind, None, limit).await }));
        Ok(found.await?)
    }

    /// Ends a key, as the API does.
    ///
    /// # Errors
    /// As the API's.
    pub(crate) async fn revoke(
        &self,
        who: AdminPrincipal,
        kind: KeyKind,
        id: String,
    ) -> Result<Key, Problem> {
        revoke_key(self, who, kind, id).await
    }
}

/// Ends a key. Whoever has come in by a virtual one is kept out, in the same transaction, so that instances that cannot be told now learn it
/// from the database.
async fn revoke_key(
    management: &KeyManagement,
    who: AdminPrincipal,
    kind: KeyKind,
    id: String,
) -> Result<Key, Problem> {
    who.require(AdminScope::Full)?;
    let id = existing(id)?;
    let user = (kind == KeyKind::Virtual).then(|| user_of(&id));
    let out_until = Timestamp::now().after(OUT);
    let ban =
        user.as_deref().map(|user| Ban::now(user, out_until, "the virtual key was revoked", &who.party()));
    let revoked = management.store.write(move |db| {
        Box::pin(async move {
            let key = keys::revoke(db, kind, &id, Timestamp::now()).await?;
            if let Some(ban) = &ban
                && bans::put(db, ban).await? == Banned::TooMany
            {
                return Err(Problem::conflict(
                    "so many users are kept out already that the key's connections could not be closed everywhere; lift bans first",
                ));
            }
            record(db, &who, "key.revoke", &key).await?;
            Ok(key)
        })
    });
    let revoked = revoked.await?;
    if let (Some(user), Some(KeepOut(keep_out))) = (user, &management.keep_out) {
        keep_out(user, out_until).await;
    }
    Ok(revoked)
}

async fn record(
    db: &mut hubline_store::Connection,
    who: &AdminPrincipal,
    action: &'static str,
    key: &Key,
) -> Result<(), Problem> {
    let opens = match &key.scope {
        KeyScope::Admin(scope) => format!("admin key, scope {scope:?}"),
        KeyScope::Models(None) => "virtual key, all models".to_owned(),
        KeyScope::Models(Some(models)) => format!("virtual key, {} models", models.len()),
    };
    let entry = AuditEntry::now(who.party(), action, Party::new("key", &key.id));
    audit::record(db, &entry.details(format!("{}: {opens}", key.name))).await?;
    Ok(())
}

/// An id that a key may have; not every text may be asked the database for.
fn existing(id: String) -> Result<String, Problem> {
    if is_id(&id) { Ok(id) } else { Err(Problem::not_found("key")) }
}

fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
