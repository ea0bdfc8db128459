//! One mapping, and lists of them.

use sqlx::{AssertSqlSafe, Row};

use super::changes::{ChangeKind, Entry, record};
use super::import::{MAXIMUM_MAPPINGS, write};
use super::mapping::COLUMNS;
use super::providers::ensure;
use super::version::{Step, lock, step};
use super::{MappingValues, ModelMapping, NavigationError};
use crate::{Connection, Timestamp};

/// Largest page of a list.
pub const MAXIMUM_PAGE: u32 = 1_000;

/// A mapping after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The version of the state with the change.
    pub version: i64,
    /// As it is; of one that is gone, as it was.
    pub mapping: ModelMapping,
}

/// Which mappings are asked for; `Default` is the first 100.
#[derive(Debug, Clone, Default)]
pub struct MappingQuery {
    /// Those of this virtual name.
    pub virtual_model_name: Option<String>,
    /// Those of this provider.
    pub provider_name: Option<String>,
    /// Those in use, or those not in use.
    pub enabled: Option<bool>,
    /// How many to leave out.
    pub offset: u32,
    /// How many to return, at most [`MAXIMUM_PAGE`]. 0 stands for 100.
    pub limit: u32,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingPage {
    /// In the order of their ids.
    pub mappings: Vec<ModelMapping>,
    /// How many there are on all pages.
    pub total: i64,
}

/// Creates a mapping. A provider that is not known yet comes into being, its health unknown.
///
/// # Errors
/// [`NavigationError::Invalid`], [`NavigationError::Conflict`], [`NavigationError::Full`]; the database cannot be used.
pub async fn create(
    db: &mut Connection,
    values: MappingValues,
    actor: &str,
) -> Result<Changed, NavigationError> {
    values.check("")?;
    lock(db).await?;
    refuse_duplicate(db, &values, 0).await?;
    let count: i64 = sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM navigation_mappings")
        .fetch_one(&mut *db)
        .await?;
    if count >= MAXIMUM_MAPPINGS {
        return Err(NavigationError::Full { what: "mappings", maximum: MAXIMUM_MAPPINGS });
    }
    let step = step(db, 1, 1).await?;
    let now = Timestamp::now();
    let id = step.first_mapping;
    let mapping = ModelMapping { id, values, row_version: 1, created_at: now, updated_at: now };
    ensure(db, [&mapping.values.provider_name]).await?;
    write(db, std::slice::from_ref(&mapping)).await?;
    log(db, &step, actor, ChangeKind::Created, None, &mapping).await?;
    Ok(Changed { version: step.version, mapping })
}

/// The mapping with this id.
///
/// # Errors
/// [`NavigationError::NoMapping`]; the database cannot be used.
pub async fn get(db: &mut Connection, id: i64) -> Result<ModelMapping, NavigationError> {
    let select = format!("SELECT {COLUMNS} FROM navigation_mappings WHERE id = $1");
    let row = sqlx::query(AssertSqlSafe(select)).bind(id).fetch_optional(&mut *db).await?;
    row.as_ref().map(ModelMapping::from_row).transpose()?.ok_or(NavigationError::NoMapping(id))
}

/// Mappings in the order of their ids.
///
/// # Errors
/// The database cannot be used.
pub async fn list(db: &mut Connection, query: &MappingQuery) -> Result<MappingPage, NavigationError> {
    const MATCHES: &str = "($1 = '' OR virtual_model_name = $1) AND ($2 = '' OR provider_name = $2) AND ($3 < 0 OR enabled = $3)";
    let name = query.virtual_model_name.as_deref().unwrap_or_default();
    let provider = query.provider_name.as_deref().unwrap_or_default();
    let enabled = query.enabled.map_or(-1, i64::from);
    let limit = if query.limit == 0 { 100 } else { query.limit.min(MAXIMUM_PAGE) };
    let count = format!("SELECT CAST(COUNT(*) AS BIGINT) FROM navigation_mappings WHERE {MATCHES}");
    let count = sqlx::query_scalar(AssertSqlSafe(count)).bind(name).bind(provider).bind(enabled);
    let total: i64 = count.fetch_one(&mut *db).await?;
    let select =
        format!("SELECT {COLUMNS} FROM navigation_mappings WHERE {MATCHES} ORDER BY id LIMIT $4 OFFSET $5");
    let select = sqlx::query(AssertSqlSafe(select)).bind(name).bind(provider).bind(enabled);
    let rows = select.bind(i64::from(limit)).bind(i64::from(query.offset)).fetch_all(&mut *db).await?;
    let mappings = rows.iter().map(ModelMapping::from_row).collect::<Result<_, _>>()?;
    Ok(MappingPage { mappings, total })
}

/// All mappings in the order of their ids; what [`import`](super::import()) takes back.
///
/// # Errors
/// The database cannot be used.
pub async fn export(db: &mut Connection) -> Result<Vec<ModelMapping>, NavigationError> {
    let select = format!("SELECT {COLUMNS} FROM navigation_mappings ORDER BY id");
    sqlx::query(AssertSqlSafe(select)).fetch_all(&mut *db).await?.iter().map(ModelMapping::from_row).collect()
}

/// Changes what a mapping says. With `expected`, only if that is its row version. If it says so already, nothing changes, the
/// version included.
///
/// # Errors
/// [`NavigationError::Invalid`], [`NavigationError::NoMapping`], [`NavigationError::Outdated`], [`NavigationError::Conflict`]; the
/// database cannot be used.
pub async fn update(
    db: &mut Connection,
    id: i64,
    values: MappingValues,
    expected: Option<i64>,
    actor: &str,
) -> Result<Changed, NavigationError> {
    values.check("")?;
    lock(db).await?;
    let before = get_expected(db, id, expected).await?;
    if before.values == values {
        return Ok(Changed { version: super::version(db).await?, mapping: before });
    }
    refuse_duplicate(db, &values, id).await?;
    let step = step(db, 0, 1).await?;
    let row_version = before.row_version + 1;
    let mapping = ModelMapping { values, row_version, updated_at: Timestamp::now(), ..before.clone() };
    ensure(db, [&mapping.values.provider_name]).await?;
    write(db, std::slice::from_ref(&mapping)).await?;
    log(db, &step, actor, ChangeKind::Updated, Some(&before.values), &mapping).await?;
    Ok(Changed { version: step.version, mapping })
}

/// Deletes a mapping. With `expected`, only if that is its row version.
///
/// # Errors
/// [`NavigationError::NoMapping`], [`NavigationError::Outdated`]; the database cannot be used.
pub async fn delete(
    db: &mut Connection,
    id: i64,
    expected: Option<i64>,
    actor: &str,
) -> Result<Changed, NavigationError> {
    lock(db).await?;
    let mapping = get_expected(db, id, expected).await?;
    let step = step(db, 0, 1).await?;
    sqlx::query("DELETE FROM navigation_mappings WHERE id = $1").bind(id).execute(&mut *db).await?;
    log(db, &step, actor, ChangeKind::Deleted, Some(&mapping.values), &mapping).await?;
    Ok(Changed { version: step.version, mapping })
}

/// The mapping, whose row version is the expected one.
async fn get_expected(
    db: &mut Connection,
    id: i64,
    expected: Option<i64>,
) -> Result<ModelMapping, NavigationError> {
    let mapping = get(db, id).await?;
    match expected {
        Some(expected) if expected != mapping.row_version => {
            Err(NavigationError::Outdated { current: mapping.row_version })
        }
        _ => Ok(mapping),
    }
}

/// Fails if another mapping than `own` has the virtual name and the provider.
async fn refuse_duplicate(
    db: &mut Connection,
    values: &MappingValues,
    own: i64,
) -> Result<(), NavigationError> {
    let select = "SELECT id FROM navigation_mappings
                  WHERE virtual_model_name = $1 AND provider_name = $2 AND id <> $3";
    let query = sqlx::query(select).bind(&values.virtual_model_name).bind(&values.provider_name).bind(own);
    match query.fetch_optional(&mut *db).await? {
        Some(row) => Err(NavigationError::Conflict { id: row.try_get(0)? }),
        None => Ok(()),
    }
}

async fn log(
    db: &mut Connection,
    step: &Step,
    actor: &str,
    kind: ChangeKind,
    before: Option<&MappingValues>,
    mapping: &ModelMapping,
) -> Result<(), NavigationError> {
    record(db, step, actor, false, &[Entry::of_mapping(kind, before, mapping)?]).await
}

impl Entry {
    /// What happened to a mapping, which is as it is, or as it was if it is gone.
    pub(super) fn of_mapping(
        kind: ChangeKind,
        before: Option<&MappingValues>,
        mapping: &ModelMapping,
    ) -> Result<Self, NavigationError> {
        let json = |values: Option<&MappingValues>| values.map_or(Ok(String::new()), MappingValues::to_json);
        let after = (kind != ChangeKind::Deleted).then_some(&mapping.values);
        Ok(Self {
            kind,
            mapping_id: mapping.id,
            name: mapping.values.virtual_model_name.clone(),
            before: json(before)?,
            after: json(after)?,
        })
    }
}
