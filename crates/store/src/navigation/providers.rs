//! Providers and their health.

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::bulk::{LARGEST_STATEMENT, rows};
use super::changes::{ChangeKind, Entry, record};
use super::mapping::check_name;
use super::version::{lock, step};
use super::{NavigationError, version};
use crate::{Connection, Timestamp};

/// Longest detail of a provider's health, in characters.
pub const LONGEST_DETAIL: usize = 500;
/// How many providers may be made known by their health; those of mappings come on top.
pub const MAXIMUM_PROVIDERS: i64 = 10_000;

/// How a provider is, as those who watch it say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Health {
    /// Nobody has said yet.
    #[default]
    Unknown,
    /// It serves.
    Healthy,
    /// It serves, with trouble.
    Degraded,
    /// It does not serve.
    Unhealthy,
}

/// Who serves models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its name, as mappings have it.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// More about that, for people: at most 500 characters, empty if there is nothing to say.
    pub detail: String,
    /// Since when health and detail are what they are.
    pub since: Timestamp,
}

const COLUMNS: &str = "name, health, detail, since";

/// What the log says about a provider.
#[derive(Serialize)]
struct Recorded<'a> {
    health: Health,
    detail: &'a str,
}

/// Sets a provider's health, and makes the provider known if it is not. If health and detail are so already, nothing changes,
/// the version included. Returns the version of the state with the change, and the provider.
///
/// # Errors
/// [`NavigationError::Invalid`], [`NavigationError::Full`]; the database cannot be used.
pub async fn set_provider_health(
    db: &mut Connection,
    name: &str,
    health: Health,
    detail: &str,
    actor: &str,
) -> Result<(i64, Provider), NavigationError> {
    check_name("name", name)?;
    check_detail(detail)?;
    lock(db).await?;
    let before = find(db, name).await?;
    if let Some(known) = &before
        && (known.health, &*known.detail) == (health, detail)
    {
        return Ok((version(db).await?, known.clone()));
    }
    if before.is_none() {
        refuse_too_many(db).await?;
    }
    let step = step(db, 0, 1).await?;
    let provider =
        Provider { name: name.to_owned(), health, detail: detail.to_owned(), since: Timestamp::now() };
    let upsert = format!(
        "INSERT INTO navigation_providers ({COLUMNS}) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE SET health = excluded.health, detail = excluded.detail, since = excluded.since"
    );
    let upsert = sqlx::query(AssertSqlSafe(upsert)).bind(name).bind(health.name());
    upsert.bind(detail).bind(provider.since.0).execute(&mut *db).await?;
    let entry = entry(ChangeKind::ProviderHealth, name, before.as_ref(), Some(&provider))?;
    record(db, &step, actor, false, &[entry]).await?;
    Ok((step.version, provider))
}

/// All providers, by name.
///
/// # Errors
/// The database cannot be used.
pub async fn providers(db: &mut Connection) -> Result<Vec<Provider>, NavigationError> {
    let select = format!("SELECT {COLUMNS} FROM navigation_providers");
    let rows = sqlx::query(AssertSqlSafe(select)).fetch_all(&mut *db).await?;
    let mut providers =
        rows.iter().map(|row| Provider::from_columns(row, 0)).collect::<Result<Vec<_>, _>>()?;
    // Not by the database, whose order depends on its language.
    providers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(providers)
}

/// The provider of this name.
///
/// # Errors
/// [`NavigationError::NoProvider`]; the database cannot be used.
pub async fn provider(db: &mut Connection, name: &str) -> Result<Provider, NavigationError> {
    find(db, name).await?.ok_or_else(|| NavigationError::NoProvider(name.to_owned()))
}

/// Deletes a provider that no mapping names. Returns the version of the state with the change.
///
/// # Errors
/// [`NavigationError::NoProvider`], [`NavigationError::ProviderInUse`]; the database cannot be used.
pub async fn delete_provider(db: &mut Connection, name: &str, actor: &str) -> Result<i64, NavigationError> {
    lock(db).await?;
    let before = provider(db, name).await?;
    let count = "SELECT CAST(COUNT(*) AS BIGINT) FROM navigation_mappings WHERE provider_name = $1";
    let mappings: i64 = sqlx::query_scalar(count).bind(name).fetch_one(&mut *db).await?;
    if mappings > 0 {
        return Err(NavigationError::ProviderInUse { mappings });
    }
    let step = step(db, 0, 1).await?;
    sqlx::query("DELETE FROM navigation_providers WHERE name = $1").bind(name).execute(&mut *db).await?;
    let entry = entry(ChangeKind::ProviderDeleted, name, Some(&before), None)?;
    record(db, &step, actor, false, &[entry]).await?;
    Ok(step.version)
}

/// Makes providers known that mappings name.
pub(super) async fn ensure<'a>(
    db: &mut Connection,
    names: impl IntoIterator<Item = &'a String>,
) -> Result<(), NavigationError> {
    let names: Vec<&String> = names.into_iter().collect();
    let now = Timestamp::now();
    for names in names.chunks(LARGEST_STATEMENT) {
        let insert = format!(
            "INSERT INTO navigation_providers ({COLUMNS}) VALUES {} ON CONFLICT (name) DO NOTHING",
            rows(names.len(), 4)
        );
        let mut query = sqlx::query(AssertSqlSafe(insert));
        for name in names {
            query = query.bind(*name).bind(Health::Unknown.name()).bind("").bind(now.0);
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

async fn find(db: &mut Connection, name: &str) -> Result<Option<Provider>, NavigationError> {
    let select = format!("SELECT {COLUMNS} FROM navigation_providers WHERE name = $1");
    let row = sqlx::query(AssertSqlSafe(select)).bind(name).fetch_optional(&mut *db).await?;
    row.as_ref().map(|row| Provider::from_columns(row, 0)).transpose()
}

async fn refuse_too_many(db: &mut Connection) -> Result<(), NavigationError> {
    let count = "SELECT CAST(COUNT(*) AS BIGINT) FROM navigation_providers";
    let count: i64 = sqlx::query_scalar(count).fetch_one(&mut *db).await?;
    if count >= MAXIMUM_PROVIDERS {
        return Err(NavigationError::Full { what: "providers", maximum: MAXIMUM_PROVIDERS });
    }
    Ok(())
}

fn check_detail(detail: &str) -> Result<(), NavigationError> {
    if detail.chars().nth(LONGEST_DETAIL).is_some() {
        let problem = format!("must have at most {LONGEST_DETAIL} characters");
        return Err(NavigationError::invalid("detail", problem));
    }
    if detail.chars().any(char::is_control) {
        return Err(NavigationError::invalid("detail", "must not contain control characters"));
    }
    Ok(())
}

fn entry(
    kind: ChangeKind,
    name: &str,
    before: Option<&Provider>,
    after: Option<&Provider>,
) -> Result<Entry, NavigationError> {
    let json = |provider: Option<&Provider>| match provider {
        Some(Provider { health, detail, .. }) => serde_json::to_string(&Recorded { health: *health, detail })
            .map_err(|error| NavigationError::invalid("detail", error.to_string())),
        None => Ok(String::new()),
    };
    Ok(Entry { kind, mapping_id: 0, name: name.to_owned(), before: json(before)?, after: json(after)? })
}

impl Health {
    /// `Unknown`, `Healthy`, `Degraded` or `Unhealthy`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Healthy => "Healthy",
            Self::Degraded => "Degraded",
            Self::Unhealthy => "Unhealthy",
        }
    }

    /// The health of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Unknown, Self::Healthy, Self::Degraded, Self::Unhealthy];
        all.into_iter().find(|health| health.name() == name)
    }
}

impl Provider {
    /// Reads the columns from the one with this index on.
    pub(super) fn from_columns(row: &AnyRow, first: usize) -> Result<Self, NavigationError> {
        Ok(Self {
            name: row.try_get(first)?,
            health: Health::from_name(row.try_get(first + 1)?).unwrap_or_default(),
            detail: row.try_get(first + 2)?,
            since: Timestamp(row.try_get(first + 3)?),
        })
    }
}
