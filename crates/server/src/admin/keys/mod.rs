//! Management of the keys in the database: of administrators at `/api/admin/keys`, virtual ones at `/api/admin/virtual-keys`. It needs a
//! key of the scope `full`.

mod admin_keys;
mod values;
mod virtual_keys;

use std::time::Duration;

use hubline_store::clinic::Party;
use hubline_store::clinic::audit::{self, AuditEntry};
use hubline_store::keys::{self, AdminScope, Key, KeyError, KeyKind, KeyScope, NewKey, Secret};
use hubline_store::{Store, Timestamp};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::{AdminPrincipal, Problem, page_size};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Store> {
    OpenApiRouter::new()
        .routes(routes!(admin_keys::list, admin_keys::create))
        .routes(routes!(admin_keys::find, admin_keys::revoke))
        .routes(routes!(admin_keys::rotate))
        .routes(routes!(virtual_keys::list, virtual_keys::create))
        .routes(routes!(virtual_keys::find, virtual_keys::revoke))
        .routes(routes!(virtual_keys::rotate))
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

async fn create(store: &Store, who: AdminPrincipal, new: NewKey) -> Result<(Key, Secret), Problem> {
    who.require(AdminScope::Full)?;
    store
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
        .await
}

fn is_weak(scope: &KeyScope) -> bool {
    matches!(scope, KeyScope::Admin(scope) if *scope < AdminScope::Full)
}

async fn list(
    store: &Store,
    who: &AdminPrincipal,
    kind: KeyKind,
    after: Option<String>,
    limit: Option<u32>,
) -> Result<(Vec<Key>, u32), Problem> {
    who.require(AdminScope::Full)?;
    let limit = page_size(limit)?;
    if after.as_deref().is_some_and(|after| !is_id(after)) {
        return Err(Problem::field("after", "what the page before has as next is needed"));
    }
    let list = store
        .read(move |db| Box::pin(async move { keys::list(db, kind, after.as_deref(), limit + 1).await }));
    Ok((list.await?, limit))
}

async fn find(store: &Store, who: &AdminPrincipal, kind: KeyKind, id: String) -> Result<Key, Problem> {
    who.require(AdminScope::Full)?;
    let id = existing(id)?;
    let key = store.read(move |db| Box::pin(async move { keys::find(db, kind, &id).await })).await?;
    key.ok_or_else(|| Problem::not_found("key"))
}

async fn rotate(
    store: &Store,
    who: AdminPrincipal,
    kind: KeyKind,
    id: String,
    overlap: Duration,
) -> Result<(Key, Secret, Timestamp), Problem> {
    who.require(AdminScope::Full)?;
    let id = existing(id)?;
    let now = Timestamp::now();
    let overlap_ends = after(now, overlap);
    store
        .write(move |db| {
            Box::pin(async move {
                let (key, secret) = keys::rotate(db, kind, &id, overlap_ends, now).await?;
                record(db, &who, "key.rotate", &key).await?;
                Ok((key, secret, overlap_ends))
            })
        })
        .await
}

async fn revoke(store: &Store, who: AdminPrincipal, kind: KeyKind, id: String) -> Result<Key, Problem> {
    who.require(AdminScope::Full)?;
    let id = existing(id)?;
    store
        .write(move |db| {
            Box::pin(async move {
                let key = keys::revoke(db, kind, &id, Timestamp::now()).await?;
                record(db, &who, "key.revoke", &key).await?;
                Ok(key)
            })
        })
        .await
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

/// A time later than another.
fn after(now: Timestamp, span: Duration) -> Timestamp {
    let ticks = i64::try_from(span.as_nanos() / 100).unwrap_or(i64::MAX);
    Timestamp(now.0.saturating_add(ticks))
}
