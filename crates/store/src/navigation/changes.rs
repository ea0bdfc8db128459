//! Who changed what.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::bulk::{LARGEST_STATEMENT, rows};
use super::version::Step;
use super::{MAXIMUM_PAGE, NavigationError};
use crate::{Connection, Timestamp};

const COLUMNS: &str = "id, version, at, actor, kind, in_bulk, mapping_id, name, value_before, value_after";

/// What happened to a mapping or a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A new mapping.
    Created,
    /// A mapping that says something else.
    Updated,
    /// A mapping that is gone.
    Deleted,
    /// A provider whose health is another.
    ProviderHealth,
    /// A provider that is gone.
    ProviderDeleted,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its id, in the order of changes.
    pub id: i64,
    /// The version that the change has made.
    pub version: i64,
    /// When.
    pub at: Timestamp,
    /// Who, as the caller has named them.
    pub actor: String,
    /// What.
    pub kind: ChangeKind,
    /// Whether it was a part of an import.
    pub in_bulk: bool,
    /// The mapping's id; 0 for a provider.
    pub mapping_id: i64,
    /// The mapping's virtual name, or the provider's name, after the change; before it if it is gone.
    pub name: String,
    /// What it was, as JSON ([`MappingValues`](super::MappingValues), or `{"health", "detail"}`); empty for what is new.
    pub before: String,
    /// What it is, in the same form; empty for what is gone.
    pub after: String,
}

/// Which entries are asked for; `Default` is the newest 100.
#[derive(Debug, Clone, Default)]
pub struct ChangeQuery {
    /// Those of this mapping.
    pub mapping_id: Option<i64>,
    /// Those behind the entry with this id: the next page.
    pub before: Option<i64>,
    /// How many, at most [`MAXIMUM_PAGE`]. 0 stands for 100.
    pub limit: u32,
}

/// The log, newest first.
///
/// # Errors
/// The database cannot be used.
pub async fn changes(db: &mut Connection, query: &ChangeQuery) -> Result<Vec<Change>, NavigationError> {
    // A condition for both cases would be answered by reading all.
    let of_mapping = if query.mapping_id.is_some() { "AND mapping_id = $3" } else { "" };
    let select = format!(
        "SELECT {COLUMNS} FROM navigation_changes WHERE id < $1 {of_mapping} ORDER BY id DESC LIMIT $2"
    );
    let limit = if query.limit == 0 { 100 } else { query.limit.min(MAXIMUM_PAGE) };
    let mut selected =
        sqlx::query(AssertSqlSafe(select)).bind(query.before.unwrap_or(i64::MAX)).bind(i64::from(limit));
    if let Some(mapping_id) = query.mapping_id {
        selected = selected.bind(mapping_id);
    }
    selected.fetch_all(&mut *db).await?.iter().map(Change::from_row).collect()
}

/// The log of the versions behind `after` up to `until`, oldest first, at most `limit` entries.
///
/// # Errors
/// The database cannot be used.
pub async fn changes_between(
    db: &mut Connection,
    after: i64,
    until: i64,
    limit: u32,
) -> Result<Vec<Change>, NavigationError> {
    let select = format!(
        "SELECT {COLUMNS} FROM navigation_changes WHERE version > $1 AND version <= $2 ORDER BY version, id LIMIT $3"
    );
    let query = sqlx::query(AssertSqlSafe(select)).bind(after).bind(until).bind(i64::from(limit));
    query.fetch_all(&mut *db).await?.iter().map(Change::from_row).collect()
}

/// A change that is to be recorded.
pub(super) struct Entry {
    pub(super) kind: ChangeKind,
    pub(super) mapping_id: i64,
    pub(super) name: String,
    pub(super) before: String,
    pub(super) after: String,
}

/// Records the changes of one version.
pub(super) async fn record(
    db: &mut Connection,
    step: &Step,
    actor: &str,
    in_bulk: bool,
    entries: &[Entry],
) -> Result<(), NavigationError> {
    let at = Timestamp::now();
    let mut ids = step.first_change..;
    for entries in entries.chunks(LARGEST_STATEMENT) {
        let insert = format!("INSERT INTO navigation_changes ({COLUMNS}) VALUES {}", rows(entries.len(), 10));
        let mut query = sqlx::query(AssertSqlSafe(insert));
        for (entry, id) in entries.iter().zip(&mut ids) {
            query = query.bind(id).bind(step.version).bind(at.0).bind(actor);
            query = query.bind(entry.kind.name()).bind(i64::from(in_bulk)).bind(entry.mapping_id);
            query = query.bind(&entry.name).bind(&entry.before).bind(&entry.after);
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

impl ChangeKind {
    /// `created`, `updated`, `deleted`, `provider-health`, `provider-deleted`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::ProviderHealth => "provider-health",
            Self::ProviderDeleted => "provider-deleted",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Created, Self::Updated, Self::Deleted, Self::ProviderHealth, Self::ProviderDeleted];
        all.into_iter().find(|kind| kind.name() == name)
    }
}

impl Change {
    fn from_row(row: &AnyRow) -> Result<Self, NavigationError> {
        let kind: String = row.try_get(4)?;
        let unknown = || sqlx::Error::Decode(format!("a change of the unknown kind {kind}").into());
        Ok(Self {
            id: row.try_get(0)?,
            version: row.try_get(1)?,
            at: Timestamp(row.try_get(2)?),
            actor: row.try_get(3)?,
            kind: ChangeKind::from_name(&kind).ok_or_else(unknown)?,
            in_bulk: row.try_get::<i64, _>(5)? != 0,
            mapping_id: row.try_get(6)?,
            name: row.try_get(7)?,
            before: row.try_get(8)?,
            after: row.try_get(9)?,
        })
    }
}
