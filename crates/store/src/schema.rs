//! Whether the tables are those of this version, and making them so.

use sqlx::{AssertSqlSafe, raw_sql};

use crate::error::NOT_ALLOWED;
use crate::migrations::MIGRATIONS;
use crate::{Connection, StoreError, Timestamp};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS hubline_migrations (version BIGINT PRIMARY KEY, name TEXT NOT NULL, \
                     digest TEXT NOT NULL, applied_at BIGINT NOT NULL)";

/// A migration by number and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Rises from version to version.
    pub version: i64,
    /// Whose tables it makes.
    pub name: String,
}

/// What is missing; empty if the tables are those of this version.
///
/// # Errors
/// [`StoreError::Schema`] if they are those of a newer version, or of one that never was.
pub(crate) async fn missing(db: &mut Connection) -> Result<Vec<Migration>, StoreError> {
    let applied = applied(db).await?;
    let newest = MIGRATIONS.iter().map(|(version, ..)| *version).max().unwrap_or(0);
    if let Some((version, name, _)) = applied.iter().rev().find(|(version, ..)| *version > newest) {
        return Err(StoreError::Schema(format!(
            "the database has tables of a newer version (migration {version}, {name}; this one knows {newest}): start a version that \
             is at least as new, or restore a backup"
        )));
    }
    for (version, name, sql) in MIGRATIONS {
        let known = applied.iter().find(|(applied, ..)| applied == version);
        if known.is_some_and(|(.., applied)| *applied != digest(sql)) {
            return Err(StoreError::Schema(format!(
                "migration {version} ({name}) of the database is not the one of this version: it was made by a version that was never \
                 released, or another program's; take another database"
            )));
        }
    }
    let missing =
        MIGRATIONS.iter().filter(|(version, ..)| !applied.iter().any(|(applied, ..)| applied == version));
    Ok(missing.map(|(version, name, _)| Migration { version: *version, name: (*name).to_owned() }).collect())
}

/// Makes what is missing, in the transaction that the connection is in and under a lock that one program has at a time; returns it.
///
/// # Errors
/// As [`missing`]'s, and what the database refuses.
pub(crate) async fn migrate(db: &mut Connection) -> Result<Vec<Migration>, StoreError> {
    if db.is_postgres() {
        // Tables with many rows take longer than anything else may.
        raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0").execute(&mut *db).await?;
        lock(db).await?;
    }
    let missing = missing(db).await?;
    if missing.is_empty() {
        // So a user that may make nothing does where everything is there.
        return Ok(missing);
    }
    create(db, &missing).await.map_err(|error| match error {
        StoreError::Unavailable(why) if why.starts_with(NOT_ALLOWED) => StoreError::Unavailable(format!(
            "tables are missing and may not be made ({why}): GRANT CREATE ON SCHEMA, or run `hubline migrate` as a user that may make them"
        )),
        error => error,
    })?;
    Ok(missing)
}

async fn create(db: &mut Connection, missing: &[Migration]) -> Result<(), StoreError> {
    sqlx::query(TABLE).execute(&mut *db).await?;
    for (version, name, sql) in MIGRATIONS {
        if !missing.iter().any(|migration| migration.version == *version) {
            continue;
        }
        let sql_here = if db.is_postgres() { (*sql).to_owned() } else { for_sqlite(sql) };
        raw_sql(AssertSqlSafe(sql_here)).execute(&mut *db).await?;
        let insert =
            "INSERT INTO hubline_migrations (version, name, digest, applied_at) VALUES ($1, $2, $3, $4)";
        let insert =
            sqlx::query(insert).bind(*version).bind(*name).bind(digest(sql)).bind(Timestamp::now().0);
        insert.execute(&mut *db).await?;
    }
    Ok(())
}

/// Takes the lock of PostgreSQL that one program has at a time, and that is released with the transaction. SQLite's transaction is one
/// itself.
async fn lock(db: &mut Connection) -> Result<(), StoreError> {
    // "hubline" in ASCII.
    let attempt =
        "SELECT CAST(CASE WHEN pg_try_advisory_xact_lock(29397022485179749) THEN 1 ELSE 0 END AS BIGINT)";
    let is_mine: i64 = sqlx::query_scalar(attempt).fetch_one(&mut *db).await?;
    if is_mine == 0 {
        tracing::info!("Another program makes the tables of the database; waiting for it");
        sqlx::query("SELECT pg_advisory_xact_lock(29397022485179749)").execute(&mut *db).await?;
    }
    Ok(())
}

/// Why the store does not begin with tables missing.
pub(crate) fn missing_error(missing: &[Migration]) -> StoreError {
    let names: Vec<String> =
        missing.iter().map(|Migration { version, name }| format!("{version} {name}")).collect();
    StoreError::Schema(format!(
        "tables are missing in the database (migrations {}), and Database:SkipMigrations or CONDUIT_SKIP_DATABASE_INIT leaves them to \
         somebody else: run `hubline migrate` with the same configuration",
        names.join(", ")
    ))
}

async fn applied(db: &mut Connection) -> Result<Vec<(i64, String, String)>, StoreError> {
    let is_there = match db.is_postgres() {
        true => "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass('hubline_migrations')",
        false => "SELECT COUNT(*) FROM sqlite_master WHERE name = 'hubline_migrations'",
    };
    let is_there: i64 = sqlx::query_scalar(is_there).fetch_one(&mut *db).await?;
    if is_there == 0 {
        return Ok(Vec::new());
    }
    let select = "SELECT version, name, digest FROM hubline_migrations ORDER BY version";
    Ok(sqlx::query_as(select).fetch_all(&mut *db).await?)
}

/// `/* SQLite: ... */` is a comment to PostgreSQL alone.
fn for_sqlite(sql: &str) -> String {
    sql.replace("/* SQLite: ", "").replace(" */", "")
}

/// Tells an edited migration from the one that was carried out.
fn digest(sql: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, sql.as_bytes());
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
