use sqlx::any::AnyRow;
use sqlx::{FromRow, Row};

use super::secret::{hash, new_id};
use super::{Key, KeyError, KeyKind, KeyScope, NewKey, PresentedKey, Secret};
use crate::{Connection, StoreError, Timestamp};

/// How exactly [`Key::last_used_at`] is kept, in units of 100 ns: a minute.
const USE_PRECISION: i64 = 60 * 10_000_000;

const COLUMNS: &str = "id, name, scope, created_at, expires_at, revoked_at, last_used_at";

/// Makes a key; its secret cannot be had again.
///
/// # Errors
/// [`KeyError::NameTaken`], or the database's.
pub async fn create(db: &mut Connection, new: &NewKey, now: Timestamp) -> Result<(Key, Secret), KeyError> {
    let id = new_id()?;
    let insert = format!(
        "INSERT INTO access_key (id, kind, name, scope, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT DO NOTHING RETURNING {COLUMNS}"
    );
    let kind = new.scope.kind();
    let row: Option<KeyRow> = sqlx::query_as(sqlx::AssertSqlSafe(insert))
        .bind(&id)
        .bind(kind.column())
        .bind(&new.name)
        .bind(written(&new.scope))
        .bind(now.0)
        .bind(new.expires_at.map(|end| end.0))
        .fetch_optional(&mut *db)
        .await?;
    let key = row.ok_or(KeyError::NameTaken)?.0;
    let secret = Secret::generate(kind, &id)?;
    add_secret(db, &id, 1, &secret, now).await?;
    Ok((key, secret))
}

/// Gives a key a new secret. Those that it has are good until `overlap_ends`, or until they would have ended before.
///
/// # Errors
/// [`KeyError::NotFound`], or the database's.
pub async fn rotate(
    db: &mut Connection,
    kind: KeyKind,
    id: &str,
    overlap_ends: Timestamp,
    now: Timestamp,
) -> Result<(Key, Secret), KeyError> {
    // The update locks the key, so that two rotations at once give two numbers.
    let lock =
        "UPDATE access_key SET name = name WHERE id = $1 AND kind = $2 AND revoked_at IS NULL RETURNING id";
    let locked: Option<String> =
        sqlx::query_scalar(lock).bind(id).bind(kind.column()).fetch_optional(&mut *db).await?;
    locked.ok_or(KeyError::NotFound)?;
    let forget = "DELETE FROM access_key_secret WHERE key_id = $1 AND expires_at <= $2";
    sqlx::query(forget).bind(id).bind(now.0).execute(&mut *db).await?;
    let end = "UPDATE access_key_secret SET expires_at = $2 WHERE key_id = $1 AND (expires_at IS NULL OR expires_at > $2)";
    sqlx::query(end).bind(id).bind(overlap_ends.0).execute(&mut *db).await?;
    let last = "SELECT CAST(COALESCE(MAX(number), 0) AS BIGINT) FROM access_key_secret WHERE key_id = $1";
    let last: i64 = sqlx::query_scalar(last).bind(id).fetch_one(&mut *db).await?;
    let secret = Secret::generate(kind, id)?;
    add_secret(db, id, last + 1, &secret, now).await?;
    let key = find(db, kind, id).await?.ok_or(KeyError::NotFound)?;
    Ok((key, secret))
}

/// Ends a key for good.
///
/// # Errors
/// [`KeyError::NotFound`], also if it is revoked already, or the database's.
pub async fn revoke(db: &mut Connection, kind: KeyKind, id: &str, now: Timestamp) -> Result<Key, KeyError> {
    let revoke = format!(
        "UPDATE access_key SET revoked_at = $3 WHERE id = $1 AND kind = $2 AND revoked_at IS NULL RETURNING {COLUMNS}"
    );
    let row: Option<KeyRow> = sqlx::query_as(sqlx::AssertSqlSafe(revoke))
        .bind(id)
        .bind(kind.column())
        .bind(now.0)
        .fetch_optional(&mut *db)
        .await?;
    let key = row.ok_or(KeyError::NotFound)?.0;
    let forget = "DELETE FROM access_key_secret WHERE key_id = $1";
    sqlx::query(forget).bind(id).execute(&mut *db).await?;
    Ok(key)
}

/// A key by its id, revoked or not.
///
/// # Errors
/// The database's.
pub async fn find(db: &mut Connection, kind: KeyKind, id: &str) -> Result<Option<Key>, StoreError> {
    let select = format!("SELECT {COLUMNS} FROM access_key WHERE id = $1 AND kind = $2");
    let row: Option<KeyRow> = sqlx::query_as(sqlx::AssertSqlSafe(select))
        .bind(id)
        .bind(kind.column())
        .fetch_optional(&mut *db)
        .await?;
    Ok(row.map(|row| row.0))
}

/// At most `limit` keys of a kind, revoked ones too, by id, behind the id `after`.
///
/// # Errors
/// The database's.
pub async fn list(
    db: &mut Connection,
    kind: KeyKind,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Key>, StoreError> {
    let select = format!("SELECT {COLUMNS} FROM access_key WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3");
    let rows: Vec<KeyRow> = sqlx::query_as(sqlx::AssertSqlSafe(select))
        .bind(kind.column())
        .bind(after.unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&mut *db)
        .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Whether there is, or ever was, a key of this kind: revoked and expired ones count, so that what a key has closed stays closed.
///
/// # Errors
/// The database's.
pub async fn exists(db: &mut Connection, kind: KeyKind) -> Result<bool, StoreError> {
    let select = "SELECT id FROM access_key WHERE kind = $1 LIMIT 1";
    let id: Option<String> = sqlx::query_scalar(select).bind(kind.column()).fetch_optional(&mut *db).await?;
    Ok(id.is_some())
}

/// The key that somebody presents, if its secret is right and good now.
///
/// # Errors
/// The database's.
pub async fn verify(
    db: &mut Connection,
    presented: &PresentedKey,
    now: Timestamp,
) -> Result<Option<Key>, StoreError> {
    let select =
        "SELECT hash FROM access_key_secret WHERE key_id = $1 AND (expires_at IS NULL OR expires_at > $2)";
    let hashes: Vec<String> =
        sqlx::query_scalar(select).bind(&presented.id).bind(now.0).fetch_all(&mut *db).await?;
    let is_right = hashes.iter().fold(false, |right, hash| presented.has_hash(hash) | right);
    if !is_right {
        return Ok(None);
    }
    let key = find(db, presented.kind, &presented.id).await?;
    Ok(key.filter(|key| key.is_good(now)))
}

/// Notes that a key was used, unless that was noted within the last minute.
///
/// # Errors
/// The database's.
pub async fn touch(db: &mut Connection, id: &str, now: Timestamp) -> Result<(), StoreError> {
    let update = "UPDATE access_key SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $3)";
    sqlx::query(update).bind(id).bind(now.0).bind(now.0 - USE_PRECISION).execute(&mut *db).await?;
    Ok(())
}

impl Key {
    /// Whether [`touch`] would change anything.
    pub fn is_use_due(&self, now: Timestamp) -> bool {
        self.last_used_at.is_none_or(|last| last.0 < now.0 - USE_PRECISION)
    }
}

async fn add_secret(
    db: &mut Connection,
    id: &str,
    number: i64,
    secret: &Secret,
    now: Timestamp,
) -> Result<(), StoreError> {
    let insert = "INSERT INTO access_key_secret (key_id, number, hash, created_at) VALUES ($1, $2, $3, $4)";
    let insert = sqlx::query(insert).bind(id).bind(number).bind(hash(secret.expose())).bind(now.0);
    insert.execute(&mut *db).await?;
    Ok(())
}

fn written(scope: &KeyScope) -> String {
    serde_json::to_string(scope).unwrap_or_default()
}

struct KeyRow(Key);

impl FromRow<'_, AnyRow> for KeyRow {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let scope: String = row.try_get("scope")?;
        let scope: KeyScope =
            serde_json::from_str(&scope).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let time = |column| row.try_get::<Option<i64>, _>(column).map(|time| time.map(Timestamp));
        Ok(Self(Key {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            scope,
            created_at: Timestamp(row.try_get("created_at")?),
            expires_at: time("expires_at")?,
            revoked_at: time("revoked_at")?,
            last_used_at: time("last_used_at")?,
        }))
    }
}
